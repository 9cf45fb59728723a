// The rule of the sort kernel.
#include "program/rules/rule.h"

namespace nabla {

std::string CheckSort(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 3, 3, {0, 1}); !wrong.empty()) return wrong;
  const Operand& values = instruction.operands[0];
  const Operand& indices = instruction.operands[1];
  const Operand& input = instruction.operands[2];
  const int64_t rows = instruction.attr(0), columns = instruction.attr(1);
  if (input.dtype == DType::kBool) return "bool is not sorted; widen it";
  if (!HasSize(input, input.dtype, {rows, columns})) return "input is not rows * columns elements";
  if (!values.present && !indices.present) return "neither values nor indices are asked for";
  if (values.present && !HasSize(values, input.dtype, {rows, columns})) return "values do not fit input";
  if (indices.present && !HasSize(indices, DType::kInt32, {rows, columns}))
    return "indices are not one int32 an element";
  if (!IsFlag(instruction.attr(2))) return "descending is neither 0 nor 1";
  return {};
}

}  // namespace nabla
