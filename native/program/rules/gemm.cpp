// The rule of the gemm kernel: every matrix lies inside its operand, so that running it cannot leave what is
// bound.
#include <string>

#include "program/program.h"

namespace nabla {
namespace {

// Elements that `batch` matrices of `rows` x `columns` reach over; 0 where there is nothing to reach. The
// arguments are nonnegative and below 2^31, so the sum of two products stays below 2^63.
int64_t Extent(int64_t batch, int64_t stride, int64_t rows, int64_t columns) {
  if (batch == 0 || rows == 0 || columns == 0) return 0;
  return (batch - 1) * stride + rows * columns;
}

std::string TooSmall(const char* name, int64_t size, int64_t need) {
  return std::string(name) + " holds " + std::to_string(size) + " elements, needs " + std::to_string(need);
}

}  // namespace

std::string CheckGemm(const Instruction& instruction) {
  if (instruction.operands.size() != 4) return "takes 4 operands";
  if (instruction.attributes.size() != 12) return "takes 12 attributes";
  static constexpr const char* kNames[] = {"out", "a", "b", "bias"};
  for (size_t i = 0; i < 4; i++) {
    const Operand& operand = instruction.operands[i];
    if (!operand.present) {
      if (i < 3) return std::string(kNames[i]) + " is missing";
    } else if (operand.dtype != DType::kFloat32) {
      return std::string(kNames[i]) + " is not float32";
    }
  }
  for (size_t i = 0; i < 11; i++) {
    if (instruction.attr(i) < 0) return "attribute " + std::to_string(i) + " is negative";
  }
  const int64_t batch = instruction.attr(0), m = instruction.attr(1), n = instruction.attr(2),
                k = instruction.attr(3);
  const int64_t strideA = instruction.attr(6), strideB = instruction.attr(7), strideOut = instruction.attr(8);
  if (instruction.attr(4) > 1 || instruction.attr(5) > 1) return "transA and transB must be 0 or 1";
  if (instruction.attr(9) >= static_cast<int32_t>(Activation::kCount)) return "unknown activation";
  if (instruction.attr(10) > 1) return "accumulate must be 0 or 1";
  const Operand& bias = instruction.operands[3];
  if (instruction.attr(10) == 1 && (bias.present || instruction.attr(9) != 0)) {
    return "accumulate takes neither bias nor activation";
  }
  if (batch > 1 && strideOut < m * n) return "the matrices of out overlap";
  if (bias.present && bias.size != n) return "bias must hold n elements";

  const int64_t needs[] = {Extent(batch, strideOut, m, n), Extent(batch, strideA, m, k),
                           Extent(batch, strideB, k, n)};
  for (size_t i = 0; i < 3; i++) {
    if (instruction.operands[i].size < needs[i])
      return TooSmall(kNames[i], instruction.operands[i].size, needs[i]);
  }
  return {};
}

}  // namespace nabla
