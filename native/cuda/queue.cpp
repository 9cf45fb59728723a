// How the CUDA device runs programs: kernel by kernel, or as a graph that was captured before.
#include <algorithm>
#include <chrono>
#include <utility>

#include "cuda/device.h"
#include "cuda/kernels/steps.h"
#include "cuda/widen.h"

namespace nabla::cuda {
namespace {

constexpr Entry kEndStep = {"steps", "endStep"};

// Graphs kept for each program: pairs of buffers that take turns, as in a loop that swaps two tensors.
constexpr size_t kMostGraphs = 4;
// How long steps are queued before anybody may ask for the device.
constexpr std::chrono::microseconds kTurn{2000};
constexpr int64_t kMostStepsATurn = 4096;

void TellFault(const FaultRecord& record, StepFault& fault) {
  fault.fault = {static_cast<FaultCode>(record.code), record.value, record.limit};
  fault.instruction = record.instruction;
}

}  // namespace

std::string CudaDevice::QueueKernels(CudaProgram& program) {
  Launcher launcher(driver_, library_, streams_.work(), reinterpret_cast<FaultRecord*>(fault_.data()),
                    gpu_.multiprocessors, precision_, blas_.get());
  int32_t index = 0;
  for (const Instruction& instruction : program.program.code) {
    launcher.Begin(instruction, index, program.guarded[static_cast<size_t>(index)],
                   inventory_.scratch.data());
    LaunchInstruction(launcher);
    if (!launcher.error().empty()) break;
    index++;
  }
  if (program.mayFault && launcher.error().empty() && !program.program.code.empty()) {
    launcher.Begin(program.program.code.back(), index, true, nullptr);
    launcher.Launch(kEndStep, {}, 1, StepsParams{});
  }
  if (IsDeviceLost(launcher.result())) return Failed(launcher.result(), "starting a kernel");
  return launcher.error();
}

std::string CudaDevice::Capture(CudaProgram& program, CUgraphExec& executable) {
  CUresult error = driver_.StreamBeginCapture(streams_.work(), kCaptureThreadLocal);
  if (error != kSuccess) return Failed(error, "recording a graph");
  std::string wrong = QueueKernels(program);
  CUgraph recorded = nullptr;
  error = driver_.StreamEndCapture(streams_.work(), &recorded);
  const Resource<CUgraph> graph(recorded, {driver_.GraphDestroy});
  if (wrong.empty() && error != kSuccess) wrong = Failed(error, "recording a graph");
  if (!wrong.empty()) return wrong;
  error = driver_.GraphInstantiate(&executable, recorded, 0);
  return error == kSuccess ? std::string() : Failed(error, "making a graph");
}

std::string CudaDevice::Queue(CudaProgram& program, bool repeats) {
  const auto found = std::find_if(program.graphs.begin(), program.graphs.end(),
                                  [&](const auto& graph) { return graph.bases == program.bases; });
  if (found != program.graphs.end()) {
    const CUresult error = driver_.GraphLaunch(found->executable.get(), streams_.work());
    return error == kSuccess ? std::string() : Failed(error, "starting a graph");
  }
  if (!repeats || !program.ran || program.program.code.empty()) {
    program.ran = true;
    return QueueKernels(program);
  }
  CUgraphExec executable = nullptr;
  std::string error = Capture(program, executable);
  if (!error.empty()) return error;
  CudaProgram::Graph graph{program.bases, Resource<CUgraphExec>(executable, {driver_.GraphExecDestroy})};
  if (program.graphs.size() < kMostGraphs) {
    program.graphs.push_back(std::move(graph));
  } else {
    program.graphs[program.nextGraph] = std::move(graph);
    program.nextGraph = (program.nextGraph + 1) % kMostGraphs;
  }
  const CUresult result = driver_.GraphLaunch(executable, streams_.work());
  return result == kSuccess ? std::string() : Failed(result, "starting a graph");
}

std::string CudaDevice::ClearFault() {
  const CUresult error = driver_.MemsetD8Async(fault_.address(), 0, sizeof(FaultRecord), streams_.work());
  return error == kSuccess ? std::string() : Failed(error, "clearing the record of faults");
}

std::string CudaDevice::ReadFault(StepFault& fault) {
  FaultRecord record = {};
  const CUresult error = streams_.Read(&record, fault_.address(), fault_.use, sizeof record);
  if (error != kSuccess) return Failed(error, "running a program");
  TellFault(record, fault);
  return {};
}

std::string CudaDevice::Run(double handle, const double* bindings, size_t count, StepFault& fault) {
  CudaProgram* const program = inventory_.FindProgram(handle);
  if (program == nullptr) return WrongProgram(handle);
  std::string error = Enter();
  if (error.empty()) error = inventory_.Resolve(*program, bindings, count, resolved_);
  if (!error.empty()) return error;
  // One kernel is started as quickly as a graph of it; several are worth one when they come again.
  const bool repeats = program->program.code.size() > 1 && program->bases == resolved_;
  program->Bind(resolved_);
  CUresult awaited = kSuccess;
  for (size_t i = 0; i < count && awaited == kSuccess; i += 2)
    awaited = streams_.Begin(inventory_.FindBuffer(bindings[i])->block.use);
  if (awaited != kSuccess) return Failed(awaited, "waiting for copies");
  if (program->mayFault) {
    FinishTurns();
    running_ = nullptr;
    error = ClearFault();
  }
  if (error.empty()) error = Queue(*program, repeats);
  streams_.Queued();
  if (error.empty() && program->mayFault) error = ReadFault(fault);
  return error;
}

std::string CudaDevice::Begin(double handle, const double* bindings, size_t count,
                              std::unique_ptr<Lease>& lease) {
  auto fresh = std::make_unique<CudaLease>();
  std::string error = Enter();
  if (error.empty()) error = inventory_.Lend(handle, bindings, count, *fresh);
  if (error.empty()) lease = std::move(fresh);
  return error;
}

std::string CudaDevice::TakeTurns(CudaLease& lease) {
  if (running_ == &lease) return {};
  FinishTurns();
  running_ = &lease;
  lease.counted = 0;
  return lease.program->mayFault ? ClearFault() : std::string();
}

std::string CudaDevice::QueueTurn(CudaLease& lease, int64_t wanted, int64_t& steps) {
  CudaProgram& program = *lease.program;
  // The workspace may have grown for another program since the last turn.
  lease.bases[0] = inventory_.workspace.data();
  program.Bind(lease.bases);
  CUresult error = kSuccess;
  inventory_.ForEachBlock(lease, [&](DeviceBlock& block) {
    if (error == kSuccess) error = streams_.Begin(block.use);
  });
  if (error != kSuccess) return Failed(error, "waiting for copies");
  std::string wrong;
  while (wrong.empty() && steps < wanted && !abort_.load(std::memory_order_relaxed)) {
    wrong = Queue(program, true);
    if (wrong.empty()) steps++;
  }
  streams_.Queued();
  if (!wrong.empty() || steps == 0) return wrong;
  const size_t index = (oldest_ + underWay_) % kTurns;
  if (program.mayFault) {
    FaultRecord* const record = static_cast<FaultRecord*>(records_.get()) + index;
    error = driver_.MemcpyDtoHAsync(record, fault_.address(), sizeof *record, streams_.work());
  }
  Turn& turn = turns_[index];
  if (error == kSuccess) error = driver_.EventRecord(turn.ended.get(), streams_.work());
  if (error != kSuccess) return Failed(error, "running a program");
  turn.lease = &lease;
  turn.steps = steps;
  turn.queued = streams_.queued();
  lease.underWay += steps;
  underWay_++;
  return {};
}

void CudaDevice::FinishTurn() {
  const size_t index = oldest_;
  const Turn& turn = turns_[index];
  CudaLease& lease = *turn.lease;
  const CUresult error = driver_.EventSynchronize(turn.ended.get());
  oldest_ = (oldest_ + 1) % kTurns;
  underWay_--;
  lease.underWay -= turn.steps;
  if (error != kSuccess) {
    if (lease.fault.error.empty()) lease.fault.error = Failed(error, "running a program");
    return;
  }
  streams_.Done(turn.queued);
  if (!lease.program->mayFault) {
    lease.completed += turn.steps;
    return;
  }
  const FaultRecord& record = static_cast<const FaultRecord*>(records_.get())[index];
  lease.completed += record.steps - lease.counted;
  lease.counted = record.steps;
  TellFault(record, lease.fault);
}

void CudaDevice::FinishTurns() {
  while (underWay_ > 0) FinishTurn();
}

int64_t CudaDevice::Advance(Lease& given, int64_t most, StepFault& fault) {
  CudaLease& lease = static_cast<CudaLease&>(given);
  const auto began = std::chrono::steady_clock::now();
  std::string wrong = Enter();
  if (wrong.empty()) wrong = TakeTurns(lease);
  const int64_t left = most - lease.completed - lease.underWay;
  int64_t steps = 0;
  if (wrong.empty() && !lease.fault.ended() && left > 0)
    wrong = QueueTurn(lease, std::min(left, lease.stepsATurn), steps);
  if (!wrong.empty()) lease.fault.error = wrong;
  // The turn that was queued runs while the one before it is told, and while others have the device.
  const bool goesOn = steps > 0 && steps < left && !lease.fault.ended();
  bool waited = false;
  for (; running_ == &lease && underWay_ > (goesOn ? 1 : 0); waited = true) FinishTurn();
  const auto took = std::chrono::steady_clock::now() - began;
  if (waited && took < kTurn / 2) lease.stepsATurn = std::min(2 * lease.stepsATurn, kMostStepsATurn);
  if (took > 2 * kTurn) lease.stepsATurn = std::max<int64_t>(1, lease.stepsATurn / 2);
  fault = lease.fault;
  return std::exchange(lease.completed, 0);
}

int64_t CudaDevice::Settle(Lease& given, StepFault& fault) {
  CudaLease& lease = static_cast<CudaLease&>(given);
  (void)Enter();
  if (running_ == &lease) FinishTurns();
  fault = lease.fault;
  return std::exchange(lease.completed, 0);
}

void CudaDevice::End(Lease& lease) {
  (void)Enter();
  if (running_ == &lease) {
    FinishTurns();
    running_ = nullptr;
  }
  if (inventory_.Return(static_cast<CudaLease&>(lease))) Shrink();
}

}  // namespace nabla::cuda
