// How the host's half of a kernel starts the device's half, and the table of those halves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda/blas.h"
#include "cuda/driver.h"
#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"
#include "program/program.h"

namespace nabla::cuda {

// A kernel by name: the file of native/cuda/kernels it is in, and what NABLA_ENTRY calls it there. Made once,
// as a constant: launchers know it by its address.
struct Entry {
  const char* family;
  const char* name;
};

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

// How float32 products are computed: by tensor cores, with 10 bits of each factor's mantissa and float32
// sums, or all in float32.
enum class Precision { kTf32, kFloat32 };

// The kernels of one device, loaded when they are first needed.
class KernelLibrary {
 public:
  KernelLibrary(const Driver& driver, int capability) : driver_(driver), capability_(capability) {}
  // What was wrong, or an empty string.
  std::string Find(const Entry& entry, CUfunction& function);

 private:
  std::string LoadFamily(const char* family, CUmodule& module);

  const Driver& driver_;
  const int capability_;
  std::unordered_map<std::string, Resource<CUmodule>> modules_;
  std::unordered_map<const Entry*, CUfunction> functions_;
};

// What one instruction needs to start its kernels. Operands' data are addresses in device memory.
class Launcher {
 public:
  Launcher(const Driver& driver, KernelLibrary& library, CUstream stream, FaultRecord* fault,
           int multiprocessors, Precision precision, const Blas* blas = nullptr)
      : driver_(driver),
        library_(library),
        stream_(stream),
        fault_(fault),
        multiprocessors_(multiprocessors),
        precision_(precision),
        blas_(blas) {}

  // The instruction that follows: its number, whether it must do nothing once a fault has happened, and its
  // scratch memory.
  void Begin(const Instruction& instruction, int32_t index, bool guarded, std::byte* scratch) {
    instruction_ = &instruction;
    index_ = index;
    guarded_ = guarded;
    scratch_ = scratch;
  }
  // Another instruction in its place, with scratch of its own.
  void Substitute(const Instruction& instruction, std::byte* scratch) {
    instruction_ = &instruction;
    scratch_ = scratch;
  }

  const Instruction& instruction() const { return *instruction_; }
  const Operand& operand(size_t i) const { return instruction_->operands[i]; }
  // Null where the operand is absent.
  template <class T>
  T* data(size_t i) const {
    return operand(i).present ? operand(i).as<T>() : nullptr;
  }
  // Of an operand that is float32 or bfloat16.
  Floats floats(size_t i) const {
    const Operand& of = operand(i);
    if (!of.present) return {};
    return {of.data, of.dtype == DType::kBfloat16 ? 1 : 0, 0};
  }
  int32_t attr(size_t i) const { return instruction_->attr(i); }
  float attrFloat(size_t i) const { return instruction_->attrFloat(i); }
  // instruction().scratchBytes bytes, 256-byte aligned.
  template <class T>
  T* scratch() const {
    return reinterpret_cast<T*>(scratch_);
  }
  // Of this GPU: what a grid should be a few times as large as.
  int multiprocessors() const { return multiprocessors_; }
  Precision precision() const { return precision_; }
  // NVIDIA's products; null where there are none.
  const Blas* blas() const { return blas_; }
  CUstream stream() const { return stream_; }

  // Starts a kernel. A grid without blocks starts nothing. Params has a Head, `head`, as its first member.
  template <class Params>
  void Launch(const Entry& entry, Grid grid, unsigned threads, Params params) {
    static_assert(offsetof(Params, head) == 0);
    params.head.fault = fault_;
    params.head.stop = guarded_ ? fault_ : nullptr;
    params.head.instruction = index_;
    Start(entry, grid, threads, &params);
  }

  // What the kernel cannot do, where its rule allows more than the device's half counts to.
  void Refuse(std::string why) {
    if (error_.empty()) error_ = std::move(why);
  }
  // The first thing that went wrong; empty if nothing did.
  const std::string& error() const { return error_; }
  CUresult result() const { return result_; }

 private:
  void Start(const Entry& entry, Grid grid, unsigned threads, void* params);

  const Driver& driver_;
  KernelLibrary& library_;
  CUstream stream_;
  FaultRecord* fault_;
  int multiprocessors_;
  Precision precision_;
  const Blas* blas_;
  const Instruction* instruction_ = nullptr;
  int32_t index_ = 0;
  bool guarded_ = false;
  std::byte* scratch_ = nullptr;
  std::string error_;
  CUresult result_ = kSuccess;
};

// One function a kernel of native/program/kernels.def, in native/cuda/launch. A missing one is a link error,
// not a hole.
#define NABLA_KERNEL(name, Name, operands, attributes) void Launch##Name(Launcher& launcher);
#include "program/kernels.def"
#undef NABLA_KERNEL

// Scratch that an instruction needs on the device, in bytes.
#define NABLA_KERNEL(name, Name, operands, attributes) size_t Scratch##Name(const Instruction& instruction);
#include "program/kernels.def"
#undef NABLA_KERNEL

// How many operands, from the first, the kernel writes.
constexpr size_t WrittenOperands(Opcode opcode) {
  switch (opcode) {
    case Opcode::kMap:
    case Opcode::kReduce:
    case Opcode::kGemm:
    case Opcode::kSoftmax:
    case Opcode::kSoftmaxGrad:
    case Opcode::kGather:
    case Opcode::kScatterAdd:
    case Opcode::kCopy:
    case Opcode::kConv:
    case Opcode::kConvInputGrad:
    case Opcode::kConvFilterGrad:
    case Opcode::kPool:
    case Opcode::kPoolGrad:
    case Opcode::kCumulate:
    case Opcode::kResize:
    case Opcode::kResizeGrad:
      return 1;
    case Opcode::kSoftmaxCrossEntropy:
    case Opcode::kAttention:
    case Opcode::kSort:
      return 2;
    case Opcode::kNormalize:
    case Opcode::kNormalizeGrad:
    case Opcode::kAttentionGrad:
      return 3;
    case Opcode::kRnn:
      return 4;
    case Opcode::kUpdate:
    case Opcode::kRnnGrad:
      return 5;
    case Opcode::kCount:
      break;
  }
  return 0;
}

// The plain cover of `count` things by blocks of `each`.
constexpr int64_t BlocksFor(int64_t count, int64_t each) { return (count + each - 1) / each; }

}  // namespace nabla::cuda
