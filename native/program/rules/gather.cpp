// The rules of gather and scatterAdd. Indices themselves are data, and checked while the program runs.
#include "program/rules/rule.h"

namespace nabla {

std::string CheckGather(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 4, 6, {3}); !wrong.empty()) return wrong;
  const Operand& out = instruction.operands[0];
  const Operand& table = instruction.operands[1];
  const Operand& indices = instruction.operands[2];
  const Operand& cursor = instruction.operands[3];
  const int64_t count = instruction.attr(0), tableRows = instruction.attr(1), rowSize = instruction.attr(2);
  const int32_t mode = instruction.attr(3);
  if (mode < 0 || mode >= static_cast<int32_t>(GatherMode::kCount)) return "unknown mode";

  if (!HasSize(out, out.dtype, {count, rowSize})) return "out is not count * rowSize elements";
  switch (static_cast<GatherMode>(mode)) {
    case GatherMode::kCopy:
      if (!HasSize(table, out.dtype, {tableRows, rowSize}))
        return "table does not fit its size or the dtype of out";
      break;
    case GatherMode::kAffine:
      if (out.dtype != DType::kFloat32) return "affine rows are float32";
      if (table.dtype == DType::kBool) return "affine rows come from uint8, int32 or float32";
      if (!HasSize(table, table.dtype, {tableRows, rowSize}))
        return "table is not tableRows * rowSize elements";
      break;
    case GatherMode::kOneHot:
      if (out.dtype != DType::kFloat32) return "one-hot rows are float32";
      if (!HasSize(table, DType::kInt32, {tableRows}) && !HasSize(table, DType::kUint8, {tableRows})) {
        return "one-hot rows come from one int32 or uint8 a table row";
      }
      break;
    case GatherMode::kCount:
      break;
  }

  if (indices.dtype != DType::kInt32) return "indices are int32";
  if (cursor.present) {
    if (cursor.dtype != DType::kInt32 || cursor.size < 1) return "cursor is one int32";
  } else if (indices.size < count) {
    return "fewer indices than count";
  }
  return {};
}

std::string CheckScatterAdd(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 3, 4); !wrong.empty()) return wrong;
  const int64_t count = instruction.attr(0), tableRows = instruction.attr(1), rowSize = instruction.attr(2);
  if (!HasSize(instruction.operands[0], DType::kFloat32, {tableRows, rowSize})) {
    return "out is not tableRows * rowSize elements of float32";
  }
  if (!HasSize(instruction.operands[1], DType::kFloat32, {count, rowSize})) {
    return "source is not count * rowSize elements of float32";
  }
  if (!HasSize(instruction.operands[2], DType::kInt32, {count})) return "indices are not count int32";
  if (!IsFlag(instruction.attr(3))) return "accumulate is neither 0 nor 1";
  return {};
}

}  // namespace nabla
