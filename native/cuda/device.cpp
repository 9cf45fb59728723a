// The CUDA device: memory, and programs as they are loaded; every number that JavaScript hands over is
// checked.
#include "cuda/device.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda/images.h"

namespace nabla::cuda {
namespace {

using ScratchFn = size_t (*)(const Instruction&);
constexpr ScratchFn kScratch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Scratch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};

// Whether the instruction may refuse its data.
bool MayFault(const Instruction& instruction) {
  switch (instruction.opcode) {
    case Opcode::kGather:
    case Opcode::kScatterAdd:
      return true;
    case Opcode::kSoftmaxCrossEntropy:
      return instruction.operands[3].dtype != DType::kFloat32;
    default:
      return false;
  }
}

// Whether the instruction writes memory that outlives the step: one of its written operands, the first of
// the list, lies outside of the workspace.
bool WritesOutside(const Instruction& instruction) {
  const size_t written = WrittenOperands(instruction.opcode);
  for (size_t i = 0; i < written && i < instruction.slots.size(); i++) {
    if (instruction.slots[i] > 0) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Device> OpenDevice(int ordinal, Precision precision, std::string& reason) {
  const Driver* const driver = OpenDriver(reason);
  if (driver == nullptr) return nullptr;
  if (!driver->emulated && !HasImages()) {
    reason =
        "the addon holds no CUDA kernels, got one built without NVIDIA's compiler, expected one with it; "
        "install nvcc (CUDA 13) and run `npm run build:native`, or use another backend";
    return nullptr;
  }
  Gpu gpu;
  reason = FindGpu(*driver, ordinal, gpu);
  if (!reason.empty()) return nullptr;
  auto device = std::make_unique<CudaDevice>(*driver, gpu, precision);
  reason = device->Open();
  if (!reason.empty()) return nullptr;
  return device;
}

CudaDevice::CudaDevice(const Driver& driver, const Gpu& gpu, Precision precision)
    : driver_(driver), gpu_(gpu), precision_(precision), library_(driver, gpu.capability) {}

CudaDevice::~CudaDevice() {
  if (context_.get() == nullptr) return;
  (void)driver_.CtxSetCurrent(context_.get());
  if (stream_.get() != nullptr) (void)driver_.StreamSynchronize(stream_.get());
}

std::string CudaDevice::Open() {
  CUcontext context = nullptr;
  CUresult error = driver_.PrimaryCtxRetain(&context, gpu_.device);
  if (error != kSuccess) return Failed(error, "opening " + gpu_.name);
  context_ = Owned<CUcontext, PrimaryContextRelease>(context, {&driver_, gpu_.device});
  if (std::string wrong = Enter(); !wrong.empty()) return wrong;
  // Memory that is given back stays with the process, for the next allocation.
  CUmemoryPool pool = nullptr;
  uint64_t threshold = UINT64_MAX;
  error = driver_.DeviceGetDefaultMemPool(&pool, gpu_.device);
  if (error == kSuccess) error = driver_.MemPoolSetAttribute(pool, kPoolReleaseThreshold, &threshold);
  CUstream stream = nullptr;
  if (error == kSuccess) error = driver_.StreamCreate(&stream, kStreamNonBlocking);
  if (error == kSuccess) stream_ = Resource<CUstream>(stream, {driver_.StreamDestroy});
  if (error == kSuccess) error = staging_.Open(driver_, stream);
  if (error != kSuccess) return Failed(error, "opening " + gpu_.name);
  return Take(sizeof(FaultRecord), "the record of faults", fault_);
}

std::string CudaDevice::Enter() {
  if (!lost_.empty()) return lost_;
  const CUresult error = driver_.CtxSetCurrent(context_.get());
  return error == kSuccess ? std::string() : Failed(error, "entering the context");
}

std::string CudaDevice::Failed(CUresult error, const std::string& what) {
  if (IsDeviceLost(error)) {
    lost_ = "the GPU was lost, got " + driver_.Text(error) + " while " + what +
            ", expected success; what was in its memory is gone: go on from the last checkpoint in a new "
            "process, or with another backend";
    return lost_;
  }
  return what + " failed, got " + driver_.Text(error) + ", expected success";
}

DeviceInfo CudaDevice::info() const {
  char memory[32];
  std::snprintf(memory, sizeof memory, "%.1f GiB", static_cast<double>(gpu_.memoryBytes) / 1073741824.0);
  const std::string capability =
      std::to_string(gpu_.capability / 10) + "." + std::to_string(gpu_.capability % 10);
  std::string words = gpu_.name + ", " + memory + ", compute capability " + capability +
                      ", driver for CUDA " + VersionText(driver_.version);
  words += precision_ == Precision::kTf32 ? ", TF32 products" : ", float32 products";
  if (driver_.emulated) {
    words += ", kernels emulated";
  } else {
    words += std::string(", kernels for ") + ImageArchitectures();
  }
  return {"sm_" + std::to_string(gpu_.capability), 1, words};
}

std::string CudaDevice::Take(int64_t bytes, const char* what, DeviceBlock& block) {
  // Nothing cannot be allocated, but must have an address.
  const size_t wanted = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  CUdeviceptr address = 0;
  CUresult error = kOutOfMemory;
  // More than the GPU has is not worth asking for.
  if (static_cast<int64_t>(wanted) <= gpu_.memoryBytes) {
    error = driver_.MemAllocAsync(&address, wanted, stream_.get());
    if (error == kOutOfMemory) {
      // What was given back lies in pieces, perhaps: all of it goes back to the driver.
      CUmemoryPool pool = nullptr;
      error = driver_.StreamSynchronize(stream_.get());
      if (error == kSuccess) error = driver_.DeviceGetDefaultMemPool(&pool, gpu_.device);
      if (error == kSuccess) error = driver_.MemPoolTrimTo(pool, 0);
      if (error == kSuccess) error = driver_.MemAllocAsync(&address, wanted, stream_.get());
    }
  }
  if (error == kOutOfMemory) {
    size_t free = 0, total = 0;
    (void)driver_.MemGetInfo(&free, &total);
    return std::string("not enough GPU memory, got a request for ") + std::to_string(bytes) + " bytes for " +
           what + " while " + std::to_string(inventory_.held()) + " are held here and " +
           std::to_string(free) + " of " + std::to_string(total) +
           " are free, expected less; use a smaller batch or model, dispose of tensors, or "
           "end other programs on the GPU";
  }
  if (error != kSuccess) return Failed(error, std::string("taking memory for ") + what);
  block = DeviceBlock(driver_, stream_.get(), address, bytes);
  error = driver_.MemsetD8Async(address, 0, wanted, stream_.get());
  return error == kSuccess ? std::string() : Failed(error, std::string("clearing memory for ") + what);
}

std::string CudaDevice::Allocate(double bytes, Handle& handle) {
  if (std::string wrong = Enter(); !wrong.empty()) return wrong;
  if (std::string wrong = inventory_.CheckNewBuffer(bytes); !wrong.empty()) return wrong;
  DeviceBlock block;
  std::string error = Take(static_cast<int64_t>(bytes), "a buffer", block);
  if (error.empty()) handle = inventory_.AddBuffer(std::move(block));
  return error;
}

std::string CudaDevice::Free(double handle) {
  // Of a lost device only the inventory is kept.
  (void)Enter();
  return inventory_.FreeBuffer(handle);
}

std::string CudaDevice::Write(double handle, double byteOffset, const void* source, size_t bytes) {
  const auto* const buffer = inventory_.FindBuffer(handle);
  if (buffer == nullptr) return WrongBuffer(handle);
  int64_t offset = 0;
  std::string error = CheckRange(buffer->block.bytes(), byteOffset, bytes, offset);
  if (error.empty()) error = Enter();
  if (!error.empty()) return error;
  const CUresult result =
      staging_.Write(buffer->block.address() + static_cast<CUdeviceptr>(offset), source, bytes);
  return result == kSuccess ? std::string() : Failed(result, "copying to the GPU");
}

std::string CudaDevice::Read(double handle, double byteOffset, void* target, size_t bytes) {
  const auto* const buffer = inventory_.FindBuffer(handle);
  if (buffer == nullptr) return WrongBuffer(handle);
  int64_t offset = 0;
  std::string error = CheckRange(buffer->block.bytes(), byteOffset, bytes, offset);
  if (error.empty()) error = Enter();
  if (!error.empty()) return error;
  const CUresult result =
      staging_.Read(target, buffer->block.address() + static_cast<CUdeviceptr>(offset), bytes);
  return result == kSuccess ? std::string() : Failed(result, "copying from the GPU");
}

std::string CudaDevice::Reserve(DeviceBlock& block, int64_t bytes, const char* what) {
  if (bytes <= block.bytes()) return {};
  DeviceBlock larger;
  std::string error = Take(bytes, what, larger);
  if (!error.empty()) return error;
  block = std::move(larger);
  ForgetGraphs();
  return {};
}

// The addresses in them are no longer right.
void CudaDevice::ForgetGraphs() {
  inventory_.ForEachProgram([](CudaProgram& program) { program.graphs.clear(); });
}

std::string CudaDevice::Load(const int32_t* words, size_t count, Handle& handle) {
  auto loaded = std::make_unique<CudaProgram>();
  Program& program = loaded->program;
  std::string error = loaded->Decode(words, count);
  if (error.empty()) error = Enter();
  if (!error.empty()) return error;
  for (const Instruction& instruction : program.code) {
    for (const Operand& operand : instruction.operands) {
      if (operand.present && operand.dtype == DType::kBfloat16)
        return "dtype, got bfloat16, expected float32, int32, uint8 or bool: the kernels for GPUs know no "
               "other; leave the dtype policy at float32, or take the CPU";
    }
  }
  for (Instruction& instruction : program.code) {
    instruction.scratchBytes = kScratch[static_cast<size_t>(instruction.opcode)](instruction);
    program.scratchBytes = std::max(program.scratchBytes, instruction.scratchBytes);
    loaded->mayFault = loaded->mayFault || MayFault(instruction);
    loaded->guarded.push_back(loaded->mayFault && WritesOutside(instruction));
  }
  error = Reserve(inventory_.workspace, program.slotBytes[0], "the workspace that the program plans");
  if (error.empty())
    error = Reserve(inventory_.scratch, static_cast<int64_t>(program.scratchBytes), "the kernels' scratch");
  inventory_.NotePeak();
  if (!error.empty()) return error;
  handle = inventory_.AddProgram(std::move(loaded));
  return {};
}

void CudaDevice::Shrink() {
  const auto [workspace, scratch] = inventory_.Needed();
  // Giving back less than half is not worth a new block.
  const auto shrink = [this](DeviceBlock& block, int64_t bytes, const char* what) {
    if (bytes > block.bytes() / 2 || block.bytes() == 0) return;
    DeviceBlock smaller;
    if (bytes > 0 && !Take(bytes, what, smaller).empty()) return;
    block = std::move(smaller);
    ForgetGraphs();
  };
  shrink(inventory_.workspace, workspace, "a smaller workspace");
  shrink(inventory_.scratch, scratch, "less scratch");
}

std::string CudaDevice::Unload(double handle) {
  (void)Enter();
  bool gone = false;
  std::string error = inventory_.UnloadProgram(handle, gone);
  if (gone) Shrink();
  return error;
}

}  // namespace nabla::cuda
