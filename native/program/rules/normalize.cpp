// The rules of normalize and normalizeGrad.
#include "program/rules/rule.h"

namespace nabla {
namespace {

bool IsFloats(const Operand& operand, std::initializer_list<int64_t> dims) {
  return !operand.present || HasSize(operand, DType::kFloat32, dims);
}

}  // namespace

std::string CheckNormalize(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 6, 4, {1, 2, 4, 5}); !wrong.empty()) return wrong;
  const int64_t rows = instruction.attr(0), columns = instruction.attr(1);
  const std::vector<Operand>& operands = instruction.operands;
  if (!IsFloats(operands[0], {rows, columns}) || !IsFloats(operands[3], {rows, columns})) {
    return "out or input is not rows * columns elements of float32";
  }
  if (!IsFloats(operands[1], {rows}) || !IsFloats(operands[2], {rows}))
    return "mean or rstd is not one float32 a row";
  if (!IsFloats(operands[4], {columns}) || !IsFloats(operands[5], {columns})) {
    return "scale or offset is not one float32 a column";
  }
  if (!IsFlag(instruction.attr(2))) return "center is neither 0 nor 1";
  if (operands[1].present && instruction.attr(2) == 0) return "a mean is only known where rows are centered";
  return {};
}

std::string CheckNormalizeGrad(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 8, 2, {1, 2, 5, 7}); !wrong.empty()) return wrong;
  const int64_t rows = instruction.attr(0), columns = instruction.attr(1);
  const std::vector<Operand>& operands = instruction.operands;
  for (const size_t i : {size_t{0}, size_t{3}, size_t{4}}) {
    if (!IsFloats(operands[i], {rows, columns}))
      return "dx, dy or input is not rows * columns elements of float32";
  }
  for (const size_t i : {size_t{1}, size_t{2}, size_t{7}}) {
    if (!IsFloats(operands[i], {columns})) return "dscale, doffset or scale is not one float32 a column";
  }
  if (!IsFloats(operands[5], {rows}) || !IsFloats(operands[6], {rows}))
    return "mean or rstd is not one float32 a row";
  return {};
}

}  // namespace nabla
