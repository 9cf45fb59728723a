// The CPU device: checks every number that JavaScript hands over, then runs programs instruction by
// instruction.
#include "cpu/device.h"

#include <cstring>
#include <utility>

#include "cpu/table.h"
#include "cpu/widen.h"
#include "program/requests.h"

namespace nabla {
namespace {

using ScratchFn = size_t (*)(const Instruction&, int);
constexpr ScratchFn kScratch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Scratch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};

}  // namespace

struct CpuDevice::CpuLease : Lease {
  LoadedProgram* program = nullptr;
  Handle programHandle = 0;
  std::vector<Handle> buffers;
  std::vector<std::byte*> bases;
};

struct CpuDevice::LoadedProgram {
  Program program;
  std::vector<std::byte*> bases;   // where the operands point now, by slot; [0] is the workspace
  std::vector<int64_t> alignment;  // bytes, by slot
  int32_t leases = 0;
  bool unloaded = false;
};

CpuDevice::CpuDevice(const KernelTable& kernels, int threads)
    : kernels_(kernels), pool_(threads), physicalMemory_(PhysicalMemory()) {}

CpuDevice::~CpuDevice() = default;

DeviceInfo CpuDevice::info() const { return {kernels_.name, pool_.threads(), ProcessorName()}; }

DeviceMemory CpuDevice::memory() const {
  DeviceMemory memory;
  memory.buffers = static_cast<int64_t>(buffers_.size());
  memory.bufferBytes = bufferBytes_;
  memory.workspaceBytes = workspace_.bytes() + scratch_.bytes();
  memory.peakBytes = peakBytes_;
  memory.programs = static_cast<int64_t>(programs_.size());
  return memory;
}

void CpuDevice::NotePeak() {
  peakBytes_ = std::max(peakBytes_, bufferBytes_ + workspace_.bytes() + scratch_.bytes());
}

CpuDevice::Buffer* CpuDevice::FindBuffer(double handle) {
  Buffer* const buffer = IsCount(handle) ? buffers_.Find(static_cast<Handle>(handle)) : nullptr;
  return buffer != nullptr && !buffer->freed ? buffer : nullptr;
}

CpuDevice::LoadedProgram* CpuDevice::FindProgram(double handle) {
  std::unique_ptr<LoadedProgram>* const program =
      IsCount(handle) ? programs_.Find(static_cast<Handle>(handle)) : nullptr;
  return program != nullptr && !(*program)->unloaded ? program->get() : nullptr;
}

std::string CpuDevice::Allocate(double bytes, Handle& buffer) {
  if (!IsCount(bytes)) return Wrong("size in bytes", bytes, "an integer from 0 on");
  if (static_cast<int64_t>(buffers_.size()) >= kMostBuffers) {
    return Wrong("live buffers", static_cast<double>(buffers_.size()),
                 "fewer; dispose of tensors that are no longer needed");
  }
  // Systems that promise more memory than they have would end the process later, when the buffer is used.
  const int64_t held = bufferBytes_ + workspace_.bytes() + scratch_.bytes();
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
  Buffer fresh;
  fresh.block = std::move(block);
  buffer = buffers_.Add(std::move(fresh));
  bufferBytes_ += wanted;
  NotePeak();
  return {};
}

void CpuDevice::RemoveBuffer(Handle handle) {
  bufferBytes_ -= buffers_.Find(handle)->block.bytes();
  buffers_.Remove(handle);
}

std::string CpuDevice::Free(double handle) {
  Buffer* const buffer = FindBuffer(handle);
  if (buffer == nullptr) return WrongBuffer(handle);
  buffer->freed = true;
  if (buffer->leases == 0) RemoveBuffer(static_cast<Handle>(handle));
  return {};
}

std::string CpuDevice::Range(double handle, double byteOffset, size_t bytes, std::byte*& data) {
  Buffer* const buffer = FindBuffer(handle);
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
  std::string error = DecodeProgram(words, count, program);
  if (!error.empty()) return error;
  loaded->bases.assign(program.slotBytes.size(), nullptr);
  loaded->alignment.assign(program.slotBytes.size(), 1);
  for (Instruction& instruction : program.code) {
    instruction.scratchBytes =
        instruction.widened ? ScratchWidened(instruction, pool_.threads())
                            : kScratch[static_cast<size_t>(instruction.opcode)](instruction, pool_.threads());
    program.scratchBytes = std::max(program.scratchBytes, instruction.scratchBytes);
    for (size_t i = 0; i < instruction.operands.size(); i++) {
      if (!instruction.operands[i].present) continue;
      int64_t& alignment = loaded->alignment[static_cast<size_t>(instruction.slots[i])];
      alignment = std::max(alignment, SizeOf(instruction.operands[i].dtype));
    }
  }
  error = Reserve(workspace_, program.slotBytes[0], "workspace");
  if (error.empty())
    error = Reserve(scratch_, static_cast<int64_t>(program.scratchBytes), "kernels' scratch");
  NotePeak();
  if (!error.empty()) return error;
  handle = programs_.Add(std::move(loaded));
  return {};
}

void CpuDevice::RemoveProgram(Handle handle) {
  programs_.Remove(handle);
  int64_t workspace = 0, scratch = 0;
  programs_.ForEach([&](const std::unique_ptr<LoadedProgram>& other) {
    workspace = std::max(workspace, other->program.slotBytes[0]);
    scratch = std::max(scratch, static_cast<int64_t>(other->program.scratchBytes));
  });
  // Giving back less than half is not worth a new block.
  const auto shrink = [this](Block& block, int64_t bytes) {
    if (bytes > block.bytes() / 2) return;
    Block smaller = bytes > 0 ? Block(bytes, slabs_) : Block();
    if (bytes == 0 || smaller.ok()) block = std::move(smaller);
  };
  shrink(workspace_, workspace);
  shrink(scratch_, scratch);
}

std::string CpuDevice::Unload(double handle) {
  LoadedProgram* const program = FindProgram(handle);
  if (program == nullptr) return WrongProgram(handle);
  program->unloaded = true;
  if (program->leases == 0) RemoveProgram(static_cast<Handle>(handle));
  return {};
}

std::string CpuDevice::Resolve(const LoadedProgram& program, const double* bindings, size_t count,
                               std::vector<std::byte*>& bases) {
  const size_t slots = program.program.slotBytes.size();
  if (std::string error = CheckBindingCount(count, slots); !error.empty()) return error;
  bases.resize(slots);
  bases[0] = workspace_.data();
  for (size_t slot = 1; slot < slots; slot++) {
    const double handle = bindings[2 * slot - 2];
    const double byteOffset = bindings[2 * slot - 1];
    Buffer* const buffer = FindBuffer(handle);
    if (buffer == nullptr) return "slot " + std::to_string(slot) + ": " + WrongBuffer(handle);
    std::string error = CheckBinding(slot, buffer->block.bytes(), byteOffset, program.program.slotBytes[slot],
                                     program.alignment[slot]);
    if (!error.empty()) return error;
    bases[slot] = buffer->block.data() + static_cast<int64_t>(byteOffset);
  }
  return {};
}

void CpuDevice::Bind(LoadedProgram& program, const std::vector<std::byte*>& bases) {
  if (program.bases == bases) return;
  for (Instruction& instruction : program.program.code) {
    for (size_t i = 0; i < instruction.operands.size(); i++) {
      const int32_t slot = instruction.slots[i];
      if (slot >= 0) instruction.operands[i].data = bases[static_cast<size_t>(slot)] + instruction.offsets[i];
    }
  }
  program.bases = bases;
}

StepFault CpuDevice::Execute(LoadedProgram& program) {
  StepFault result;
  for (const Instruction& instruction : program.program.code) {
    if (abort_.load(std::memory_order_relaxed)) break;
    const Call call{instruction, scratch_.data(), pool_, result.fault};
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
  LoadedProgram* const program = FindProgram(handle);
  if (program == nullptr) return WrongProgram(handle);
  std::string error = Resolve(*program, bindings, count, resolved_);
  if (!error.empty()) return error;
  Bind(*program, resolved_);
  fault = Execute(*program);
  return {};
}

std::string CpuDevice::Begin(double handle, const double* bindings, size_t count,
                             std::unique_ptr<Lease>& lease) {
  LoadedProgram* const program = FindProgram(handle);
  if (program == nullptr) return WrongProgram(handle);
  auto fresh = std::make_unique<CpuLease>();
  std::string error = Resolve(*program, bindings, count, fresh->bases);
  if (!error.empty()) return error;
  fresh->program = program;
  fresh->programHandle = static_cast<Handle>(handle);
  fresh->buffers.reserve(count / 2);
  for (size_t i = 0; i < count; i += 2) {
    fresh->buffers.push_back(static_cast<Handle>(bindings[i]));
    FindBuffer(bindings[i])->leases++;
  }
  program->leases++;
  lease = std::move(fresh);
  return {};
}

StepFault CpuDevice::Step(Lease& given) {
  CpuLease& lease = static_cast<CpuLease&>(given);
  // The workspace may have grown for another program since the last step.
  lease.bases[0] = workspace_.data();
  Bind(*lease.program, lease.bases);
  return Execute(*lease.program);
}

int64_t CpuDevice::Advance(Lease& lease, int64_t, StepFault& fault) {
  fault = Step(lease);
  return fault.ended() ? 0 : 1;
}

void CpuDevice::End(Lease& given) {
  CpuLease& lease = static_cast<CpuLease&>(given);
  for (const Handle handle : lease.buffers) {
    Buffer* const buffer = buffers_.Find(handle);
    if (--buffer->leases == 0 && buffer->freed) RemoveBuffer(handle);
  }
  lease.buffers.clear();
  if (--lease.program->leases == 0 && lease.program->unloaded) RemoveProgram(lease.programHandle);
  lease.program = nullptr;
}

}  // namespace nabla
