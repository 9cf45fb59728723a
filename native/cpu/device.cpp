// The CPU device: checks every number that JavaScript hands over, then runs programs instruction by
// instruction.
#include "cpu/device.h"

#include <cstring>
#include <utility>

#include "cpu/table.h"
#include "cpu/widen.h"

namespace nabla {
namespace {

using ScratchFn = size_t (*)(const Instruction&, int);
constexpr ScratchFn kScratch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Scratch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};

}  // namespace

CpuDevice::CpuDevice(const KernelTable& kernels, int threads)
    : kernels_(kernels), pool_(threads), physicalMemory_(PhysicalMemory()) {}

DeviceInfo CpuDevice::info() const { return {kernels_.name, pool_.threads(), ProcessorName()}; }

std::string CpuDevice::Allocate(double bytes, Handle& buffer) {
  if (std::string wrong = inventory_.CheckNewBuffer(bytes); !wrong.empty()) return wrong;
  // Systems that promise more memory than they have would end the process later, when the buffer is used.
  const int64_t held = inventory_.held();
  const int64_t wanted = static_cast<int64_t>(bytes);
  Block block;
  if (physicalMemory_ == 0 || wanted <= physicalMemory_ - std::min(physicalMemory_, held))
    block = Block(wanted, slabs_);
  if (!block.ok()) {
    std::string error = "not enough memory, got a request for " + Text(bytes) + " bytes while " +
                        std::to_string(held) + " are held, expected less";
    if (physicalMemory_ > 0) error += " (the machine has " + std::to_string(physicalMemory_) + ")";
    return error + "; free buffers, or use a smaller model or batch";
  }
  buffer = inventory_.AddBuffer(std::move(block));
  return {};
}

std::string CpuDevice::Free(double handle) { return inventory_.FreeBuffer(handle); }

std::string CpuDevice::Range(double handle, double byteOffset, size_t bytes, std::byte*& data) {
  const auto* const buffer = inventory_.FindBuffer(handle);
  if (buffer == nullptr) return WrongBuffer(handle);
  int64_t offset = 0;
  std::string error = CheckRange(buffer->block.bytes(), byteOffset, bytes, offset);
  if (!error.empty()) return error;
  data = buffer->block.data() + offset;
  return {};
}

std::string CpuDevice::Write(double buffer, double byteOffset, const void* source, size_t bytes) {
  std::byte* data = nullptr;
  std::string error = Range(buffer, byteOffset, bytes, data);
  if (error.empty() && bytes > 0) std::memcpy(data, source, bytes);
  return error;
}

std::string CpuDevice::Read(double buffer, double byteOffset, void* target, size_t bytes) {
  std::byte* data = nullptr;
  std::string error = Range(buffer, byteOffset, bytes, data);
  if (error.empty() && bytes > 0) std::memcpy(target, data, bytes);
  return error;
}

std::string CpuDevice::Reserve(Block& block, int64_t bytes, const char* what) {
  if (bytes <= block.bytes()) return {};
  Block larger(bytes, slabs_);
  if (!larger.ok()) {
    return std::string("not enough memory for the ") + what + ", got a need of " + std::to_string(bytes) +
           " bytes, expected less; use a smaller batch";
  }
  block = std::move(larger);
  return {};
}

std::string CpuDevice::Load(const int32_t* words, size_t count, Handle& handle) {
  auto loaded = std::make_unique<LoadedProgram>();
  Program& program = loaded->program;
  std::string error = loaded->Decode(words, count);
  if (!error.empty()) return error;
  for (Instruction& instruction : program.code) {
    instruction.scratchBytes =
        instruction.widened ? ScratchWidened(instruction, pool_.threads())
                            : kScratch[static_cast<size_t>(instruction.opcode)](instruction, pool_.threads());
    program.scratchBytes = std::max(program.scratchBytes, instruction.scratchBytes);
  }
  error = Reserve(inventory_.workspace, program.slotBytes[0], "workspace");
  if (error.empty()) {
    error = Reserve(inventory_.scratch, static_cast<int64_t>(program.scratchBytes), "kernels' scratch");
  }
  inventory_.NotePeak();
  if (!error.empty()) return error;
  handle = inventory_.AddProgram(std::move(loaded));
  return {};
}

void CpuDevice::Shrink() {
  const auto [workspace, scratch] = inventory_.Needed();
  // Giving back less than half is not worth a new block.
  const auto shrink = [this](Block& block, int64_t bytes) {
    if (bytes > block.bytes() / 2) return;
    Block smaller = bytes > 0 ? Block(bytes, slabs_) : Block();
    if (bytes == 0 || smaller.ok()) block = std::move(smaller);
  };
  shrink(inventory_.workspace, workspace);
  shrink(inventory_.scratch, scratch);
}

std::string CpuDevice::Unload(double handle) {
  bool gone = false;
  std::string error = inventory_.UnloadProgram(handle, gone);
  if (gone) Shrink();
  return error;
}

StepFault CpuDevice::Execute(LoadedProgram& program) {
  StepFault result;
  for (const Instruction& instruction : program.program.code) {
    if (abort_.load(std::memory_order_relaxed)) break;
    const Call call{instruction, inventory_.scratch.data(), pool_, result.fault};
    if (instruction.widened) {
      RunWidened(call, kernels_);
    } else {
      kernels_.run[static_cast<size_t>(instruction.opcode)](call);
    }
    if (result.fault.code != FaultCode::kNone) break;
    result.instruction++;
  }
  return result;
}

std::string CpuDevice::Run(double handle, const double* bindings, size_t count, StepFault& fault) {
  LoadedProgram* const program = inventory_.FindProgram(handle);
  if (program == nullptr) return WrongProgram(handle);
  std::string error = inventory_.Resolve(*program, bindings, count, resolved_);
  if (!error.empty()) return error;
  program->Bind(resolved_);
  fault = Execute(*program);
  return {};
}

std::string CpuDevice::Begin(double handle, const double* bindings, size_t count,
                             std::unique_ptr<Lease>& lease) {
  auto fresh = std::make_unique<CpuLease>();
  std::string error = inventory_.Lend(handle, bindings, count, *fresh);
  if (error.empty()) lease = std::move(fresh);
  return error;
}

StepFault CpuDevice::Step(Lease& given) {
  CpuLease& lease = static_cast<CpuLease&>(given);
  // The workspace may have grown for another program since the last step.
  lease.bases[0] = inventory_.workspace.data();
  lease.program->Bind(lease.bases);
  return Execute(*lease.program);
}

int64_t CpuDevice::Advance(Lease& lease, int64_t, StepFault& fault) {
  fault = Step(lease);
  return fault.ended() ? 0 : 1;
}

void CpuDevice::End(Lease& lease) {
  if (inventory_.Return(static_cast<CpuLease&>(lease))) Shrink();
}

}  // namespace nabla
