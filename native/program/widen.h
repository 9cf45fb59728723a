// bfloat16 and float16 operands of kernels that compute on float32: which kernels take them, and how the work
// is cut up so that only a part of each operand exists as float32 at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "program/program.h"

namespace nabla {

// What a part of the work needs of an operand.
enum class Share : uint8_t {
  kWhole,  // all of it
  kRows,   // the rows that belong to the part
  kSum,    // an output that all parts add to
};

// How an instruction is cut up along one of its counts (samples, rows, depth).
struct WidenPlan {
  static constexpr size_t kMostOperands = 10;
  int attribute = -1;  // the count; below 0 where the work is done in one go
  int64_t count = 1;   // its value
  size_t outputs = 1;  // operands that are written, the first ones
  Share share[kMostOperands] = {};
};

// Whether the instruction has operands of 16 bits and a kernel that does not read and write them itself, as
// map and copies do.
bool NeedsWidening(const Instruction& instruction);

// The kernel's own rule, on float32 in place of what has 16 bits; refuses kernels that do not take it.
std::string CheckWidened(const Instruction& instruction, std::string (*check)(const Instruction&));

// For instructions that CheckWidened accepts.
WidenPlan PlanWidening(const Instruction& instruction);

}  // namespace nabla
