// How the CUDA device runs programs: kernel by kernel, or as a graph that was captured before.
#include <algorithm>
#include <chrono>
#include <utility>

#include "cuda/device.h"
#include "cuda/kernels/steps.h"

namespace nabla::cuda {
namespace {

using LaunchFn = void (*)(Launcher&);
constexpr LaunchFn kLaunch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Launch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};
constexpr Entry kEndStep = {"steps", "endStep"};

// Graphs kept for each program: pairs of buffers that take turns, as in a loop that swaps two tensors.
constexpr size_t kMostGraphs = 4;
// How long steps are queued before anybody may ask for the device.
constexpr std::chrono::microseconds kTurn{2000};
constexpr int64_t kMostStepsATurn = 4096;

}  // namespace

std::string CudaDevice::QueueKernels(CudaProgram& program) {
  Launcher launcher(driver_, library_, stream_.get(), reinterpret_cast<FaultRecord*>(fault_.data()),
                    gpu_.multiprocessors, precision_);
  int32_t index = 0;
  for (const Instruction& instruction : program.program.code) {
    launcher.Begin(instruction, index, program.guarded[static_cast<size_t>(index)],
                   inventory_.scratch.data());
    kLaunch[static_cast<size_t>(instruction.opcode)](launcher);
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
  CUresult error = driver_.StreamBeginCapture(stream_.get(), kCaptureThreadLocal);
  if (error != kSuccess) return Failed(error, "recording a graph");
  std::string wrong = QueueKernels(program);
  CUgraph recorded = nullptr;
  error = driver_.StreamEndCapture(stream_.get(), &recorded);
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
    const CUresult error = driver_.GraphLaunch(found->executable.get(), stream_.get());
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
  const CUresult result = driver_.GraphLaunch(executable, stream_.get());
  return result == kSuccess ? std::string() : Failed(result, "starting a graph");
}

std::string CudaDevice::ClearFault() {
  const CUresult error = driver_.MemsetD8Async(fault_.address(), 0, sizeof(FaultRecord), stream_.get());
  return error == kSuccess ? std::string() : Failed(error, "clearing the record of faults");
}

std::string CudaDevice::ReadFault(StepFault& fault, int64_t& steps) {
  FaultRecord record = {};
  const CUresult error = staging_.Read(&record, fault_.address(), sizeof record);
  if (error != kSuccess) return Failed(error, "running a program");
  steps = record.steps;
  fault.fault = {static_cast<FaultCode>(record.code), record.value, record.limit};
  fault.instruction = record.instruction;
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
  if (program->mayFault) error = ClearFault();
  if (error.empty()) error = Queue(*program, repeats);
  int64_t steps = 0;
  if (error.empty() && program->mayFault) error = ReadFault(fault, steps);
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

int64_t CudaDevice::Advance(Lease& given, int64_t most, StepFault& fault) {
  CudaLease& lease = static_cast<CudaLease&>(given);
  CudaProgram& program = *lease.program;
  fault.error = Enter();
  if (!fault.error.empty()) return 0;
  // The workspace may have grown for another program since the last turn.
  lease.bases[0] = inventory_.workspace.data();
  program.Bind(lease.bases);
  if (program.mayFault) fault.error = ClearFault();
  const auto begin = std::chrono::steady_clock::now();
  const int64_t wanted = std::min(most, lease.stepsATurn);
  int64_t steps = 0;
  while (fault.error.empty() && steps < wanted && !abort_.load(std::memory_order_relaxed)) {
    fault.error = Queue(program, true);
    if (fault.error.empty()) steps++;
  }
  if (!fault.error.empty()) return 0;
  if (program.mayFault) {
    fault.error = ReadFault(fault, steps);
  } else if (const CUresult error = driver_.StreamSynchronize(stream_.get()); error != kSuccess) {
    fault.error = Failed(error, "running a program");
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  if (took < kTurn / 2) lease.stepsATurn = std::min(2 * lease.stepsATurn, kMostStepsATurn);
  if (took > 2 * kTurn) lease.stepsATurn = std::max<int64_t>(1, lease.stepsATurn / 2);
  return fault.error.empty() ? steps : 0;
}

void CudaDevice::End(Lease& lease) {
  (void)Enter();
  if (inventory_.Return(static_cast<CudaLease&>(lease))) Shrink();
}

}  // namespace nabla::cuda
