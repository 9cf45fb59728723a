// The program: the words that TypeScript encodes and every backend runs, decoded and checked once at load.
//
// Layout of the words (int32, little endian):
//   header    magic, version, slots, operands, instructions, codeWords, workspaceLo, workspaceHi
//   slots     two words each (lo, hi): the least size in bytes of what is bound to the slot. Slot 0 is the
//   workspace: the
//             backend provides it, its content is undefined when a step starts.
//   operands  slot, byteOffsetLo, byteOffsetHi, dtype, rank, rank dimensions. Always row-major and
//   contiguous. code      for each instruction: opcode, words of the whole instruction, operand count,
//   operand ids (-1: absent), attributes
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nabla {

constexpr int32_t kProgramMagic = 0x414c424e;  // "NBLA"
constexpr int32_t kProgramVersion = 1;
constexpr int kMaxRank = 8;
constexpr int kMaxMapInputs = 12;
constexpr int kMaxMicro = 32;

// kBfloat16: the upper half of a float32.
enum class DType : int32_t { kFloat32 = 0, kInt32 = 1, kUint8 = 2, kBool = 3, kBfloat16 = 4 };

constexpr int64_t SizeOf(DType dtype) {
  if (dtype == DType::kBfloat16) return 2;
  return dtype == DType::kFloat32 || dtype == DType::kInt32 ? 4 : 1;
}
constexpr bool IsFloating(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kBfloat16; }

enum class Opcode : int32_t {
#define NABLA_KERNEL(name, Name, operands, attributes) k##Name,
#include "kernels.def"
#undef NABLA_KERNEL
  kCount
};

enum class Micro : int32_t {
#define NABLA_MICRO(name, arity, signature) k_##name,
#include "micro.def"
#undef NABLA_MICRO
  kCount
};

enum class ReduceKind : int32_t {
  kSum,
  kProd,
  kMax,
  kMin,
  kAny,
  kAll,
  kArgMax,
  kArgMin,
  kSumSquares,
  kCount
};
enum class Activation : int32_t { kNone, kRelu, kSigmoid, kTanh, kCount };
// kCopy: rows as they are; kAffine: float32 out = row * scale + shift; kOneHot: rows of one class index
// become float32 rows of rowSize numbers.
enum class GatherMode : int32_t { kCopy, kAffine, kOneHot, kCount };
// Average: over the positions inside the input; padding does not count.
enum class PoolKind : int32_t { kMax, kAverage, kCount };
enum class UpdateKind : int32_t {
  kSgd,
  kMomentum,
  kRmsprop,
  kAdam,
  kAdagrad,
  kAdadelta,
  kAdamax,
  kNadam,
  kFtrl,
  kLion,
  kCount
};
// kSimpleTanh, kSimpleRelu: h' = activation(sum). Gates of kLstm: input, forget, cell, output; of kGru:
// update, reset, candidate.
enum class RnnKind : int32_t { kSimpleTanh, kSimpleRelu, kLstm, kGru, kCount };
enum class CumulateKind : int32_t { kSum, kProd, kMax, kLogSumExp, kCount };
enum class ResizeMode : int32_t { kNearest, kBilinear, kCount };
// Bits of update's flags.
constexpr int32_t kUpdateNesterov = 1, kUpdateCentered = 2, kUpdateAmsgrad = 4;

// One operand, resolved: data points into the bound buffer while a step runs, and is null during a check.
struct Operand {
  std::byte* data = nullptr;
  DType dtype = DType::kFloat32;
  int32_t rank = 0;
  int64_t dims[kMaxRank] = {};
  int64_t size = 0;  // number of elements
  bool present = false;

  int64_t bytes() const { return size * SizeOf(dtype); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
};

// What a failing kernel says: a code, and two numbers for the message that TypeScript words.
enum class FaultCode : int32_t { kNone = 0, kIndexOutOfRange = 1, kLabelOutOfRange = 2 };
struct Fault {
  FaultCode code = FaultCode::kNone;
  int64_t value = 0;  // what was met
  int64_t limit = 0;  // what it must be below
};

// An instruction as a kernel sees it.
struct Instruction {
  Opcode opcode = Opcode::kMap;
  std::vector<Operand> operands;
  std::vector<int32_t> attributes;
  std::vector<int32_t> slots;    // of each operand, for rebinding; -1 where absent
  std::vector<int64_t> offsets;  // bytes, of each operand in its slot
  size_t scratchBytes = 0;
  bool widened = false;  // bfloat16 operands are turned to float32 around the kernel (widen.h)

  int32_t attr(size_t i) const { return attributes[i]; }
  float attrFloat(size_t i) const {
    static_assert(sizeof(float) == sizeof(int32_t));
    float value;
    __builtin_memcpy(&value, &attributes[i], sizeof value);
    return value;
  }
};

struct Program {
  std::vector<int64_t> slotBytes;  // [0] is the workspace
  std::vector<Instruction> code;
  size_t scratchBytes = 0;  // the largest of any instruction
};

// Decodes and checks untrusted words. Returns an empty string, or what is wrong: every operand lies inside
// its slot, every opcode, dtype, count and attribute is one that the kernel's rule accepts, so that running
// the program cannot touch memory outside what is bound.
std::string DecodeProgram(const int32_t* words, size_t count, Program& program);

// One rule a kernel (native/program/rules/): what its operands and attributes must satisfy. Empty string:
// accepted.
#define NABLA_KERNEL(name, Name, operands, attributes) \
  std::string Check##Name(const Instruction& instruction);
#include "kernels.def"
#undef NABLA_KERNEL

}  // namespace nabla
