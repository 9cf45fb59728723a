// The program: the words that TypeScript encodes and every backend runs, decoded and checked once at load.
//
// Layout of the words (int32, little endian):
//   header    magic, version, slots, operands, instructions, codeWords, workspaceLo, workspaceHi
//   slots     two words each (lo, hi): the least size in bytes of what is bound to the slot
//   operands  slot, byteOffsetLo, byteOffsetHi, dtype, rank, rank dimensions
//   code      for each instruction: opcode, words of the whole instruction, operand count,
//             operand ids (-1: absent), attributes
//
// Slot 0 is the workspace: the backend provides it, and its content is undefined when a step starts. Operands
// are row-major and contiguous.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "program/kinds.h"

namespace nabla {

constexpr int32_t kProgramMagic = 0x414c424e;  // "NBLA"
constexpr int32_t kProgramVersion = 1;

// The floating-point numbers of 16 bits.
constexpr bool IsHalf(DType dtype) { return dtype == DType::kBfloat16 || dtype == DType::kFloat16; }
constexpr int64_t SizeOf(DType dtype) {
  if (IsHalf(dtype)) return 2;
  return dtype == DType::kFloat32 || dtype == DType::kInt32 ? 4 : 1;
}
constexpr bool IsFloating(DType dtype) { return dtype == DType::kFloat32 || IsHalf(dtype); }

enum class Opcode : int32_t {
#define NABLA_KERNEL(name, Name, operands, attributes) k##Name,
#include "kernels.def"
#undef NABLA_KERNEL
  kCount
};

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
  bool widened = false;  // operands of 16 bits are turned to float32 around the kernel (widen.h)

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
