// The rule of the cumulate kernel.
#include "program/rules/rule.h"

namespace nabla {

std::string CheckCumulate(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 2, 6); !wrong.empty()) return wrong;
  const Operand& out = instruction.operands[0];
  const Operand& input = instruction.operands[1];
  const int32_t kind = instruction.attr(0);
  if (kind < 0 || kind >= static_cast<int32_t>(CumulateKind::kCount)) return "unknown kind";
  const bool integers =
      input.dtype == DType::kInt32 && static_cast<CumulateKind>(kind) != CumulateKind::kLogSumExp;
  if (input.dtype != DType::kFloat32 && !integers) return "the kind does not take this dtype";
  const int64_t outer = instruction.attr(1), count = instruction.attr(2), inner = instruction.attr(3);
  if (!HasSize(input, input.dtype, {outer, count, inner}))
    return "input is not outer * count * inner elements";
  if (!HasSize(out, input.dtype, {outer, count, inner}))
    return "out does not have the size and dtype of input";
  if (!IsFlag(instruction.attr(4))) return "exclusive is neither 0 nor 1";
  if (!IsFlag(instruction.attr(5))) return "reverse is neither 0 nor 1";
  return {};
}

}  // namespace nabla
