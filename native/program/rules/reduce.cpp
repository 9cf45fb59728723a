// The rule of the reduce kernel.
#include "program/rules/rule.h"

namespace nabla {
namespace {

bool Accepts(ReduceKind kind, DType in, DType out) {
  const bool number = in == DType::kFloat32 || in == DType::kInt32;
  switch (kind) {
    case ReduceKind::kSum:
    case ReduceKind::kProd:
      return number && out == in;
    case ReduceKind::kMax:
    case ReduceKind::kMin:
      return out == in;
    case ReduceKind::kAny:
    case ReduceKind::kAll:
      return in == DType::kBool && out == DType::kBool;
    case ReduceKind::kArgMax:
    case ReduceKind::kArgMin:
      return (number || in == DType::kUint8) && out == DType::kInt32;
    case ReduceKind::kSumSquares:
      return in == DType::kFloat32 && out == DType::kFloat32;
    case ReduceKind::kCount:
      break;
  }
  return false;
}

}  // namespace

std::string CheckReduce(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 2, 5); !wrong.empty()) return wrong;
  const Operand& out = instruction.operands[0];
  const Operand& input = instruction.operands[1];
  const int32_t kindWord = instruction.attr(0);
  if (kindWord < 0 || kindWord >= static_cast<int32_t>(ReduceKind::kCount)) return "unknown kind";
  const ReduceKind kind = static_cast<ReduceKind>(kindWord);
  if (!Accepts(kind, input.dtype, out.dtype)) return "the kind does not take these dtypes";

  const int64_t outer = instruction.attr(1), count = instruction.attr(2), inner = instruction.attr(3);
  if (!HasSize(input, input.dtype, {outer, count, inner}))
    return "input is not outer * count * inner elements";
  if (!HasSize(out, out.dtype, {outer, inner})) return "out is not outer * inner elements";

  const bool position = kind == ReduceKind::kArgMax || kind == ReduceKind::kArgMin;
  if (position && count == 0) return "argMax and argMin need a count above 0";
  const bool scales =
      out.dtype == DType::kFloat32 && (kind == ReduceKind::kSum || kind == ReduceKind::kSumSquares);
  if (!scales && instruction.attrFloat(4) != 1.0f) return "only float32 sums take a scale";
  return {};
}

}  // namespace nabla
