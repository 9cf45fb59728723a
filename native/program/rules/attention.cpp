// The rules of attention and attentionGrad: every query, key and value lies inside its operand, and gradients
// are written whole.
#include "program/attention.h"

#include <algorithm>
#include <vector>

#include "program/rules/rule.h"

namespace nabla {
namespace {

constexpr size_t kAttributes = 17;

// Whether `tokens` rows of `width` numbers, `row` apart, lie inside the operand.
bool Inside(const Operand& operand, int64_t tokens, int64_t row, int64_t offset, int64_t width) {
  if (operand.dtype != DType::kFloat32 || offset < 0 || row < 0 || (tokens > 1 && row < width)) return false;
  if (tokens == 0 || width == 0) return true;
  int64_t last = 0, end = 0;
  return !__builtin_mul_overflow(tokens - 1, row, &last) &&
         !__builtin_add_overflow(last, offset + width, &end) && end <= operand.size;
}

std::string CheckSizes(const Instruction& instruction) {
  for (size_t i = 0; i < kAttributes - 1; ++i) {
    if (instruction.attr(i) < 0) return "attribute " + std::to_string(i) + " is negative";
  }
  for (size_t i = 13; i < 16; ++i) {
    if (!IsFlag(instruction.attr(i))) return "attribute " + std::to_string(i) + " is neither 0 nor 1";
  }
  const AttentionSizes sizes(instruction);
  if (sizes.heads < 1 || sizes.kvHeads < 1 || sizes.heads % sizes.kvHeads != 0)
    return "kvHeads does not divide heads";
  if (sizes.dim < 1 || sizes.valueDim < 1) return "dim and valueDim must be at least 1";
  constexpr int64_t kMost = int64_t{1} << 40;
  int64_t tokens = 0, width = 0;
  const bool counts = Product({sizes.batch, std::max(sizes.queries, sizes.keys)}, tokens) &&
                      Product({sizes.heads, std::max(sizes.dim, sizes.valueDim)}, width);
  if (!counts || tokens > kMost || width > kMost) return "sizes are too large";
  return {};
}

std::string CheckInputs(const AttentionSizes& sizes, const Operand& q, const Operand& k, const Operand& v,
                        const Operand& mask) {
  if (!Inside(q, sizes.batch * sizes.queries, sizes.qRow, sizes.qOffset, sizes.heads * sizes.dim)) {
    return "q does not hold the queries";
  }
  const int64_t tokens = sizes.batch * sizes.keys;
  if (!Inside(k, tokens, sizes.kRow, sizes.kOffset, sizes.kvHeads * sizes.dim))
    return "k does not hold the keys";
  if (!Inside(v, tokens, sizes.vRow, sizes.vOffset, sizes.kvHeads * sizes.valueDim))
    return "v does not hold the values";
  if (!mask.present) return {};
  const int64_t batch = sizes.maskBatch ? sizes.batch : 1, heads = sizes.maskHeads ? sizes.heads : 1;
  const bool fits = HasSize(mask, DType::kFloat32, {batch, heads, sizes.queries, sizes.keys}) ||
                    HasSize(mask, DType::kBool, {batch, heads, sizes.queries, sizes.keys});
  return fits ? std::string() : "mask is neither float32 nor bool [batch or 1, heads or 1, queries, keys]";
}

// A part of every row of a gradient.
struct Part {
  int64_t tokens, row, offset, width;
};

// Whether the parts fill the operand's rows exactly, none of them twice.
bool Fills(const Operand& operand, std::vector<Part> parts) {
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.offset < b.offset; });
  int64_t at = 0;
  for (const Part& part : parts) {
    if (part.tokens != parts[0].tokens || part.row != parts[0].row || part.offset != at) return false;
    at += part.width;
  }
  return at == parts[0].row && HasSize(operand, DType::kFloat32, {parts[0].tokens, at});
}

}  // namespace

std::string CheckAttention(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 6, kAttributes, {1, 5}); !wrong.empty()) return wrong;
  if (std::string wrong = CheckSizes(instruction); !wrong.empty()) return wrong;
  const AttentionSizes sizes(instruction);
  const std::vector<Operand>& operands = instruction.operands;
  if (!HasSize(operands[0], DType::kFloat32, {sizes.batch, sizes.queries, sizes.outRow()})) {
    return "out is not float32 [batch, queries, heads * valueDim]";
  }
  if (operands[1].present &&
      !HasSize(operands[1], DType::kFloat32, {sizes.batch, sizes.heads, sizes.queries})) {
    return "logSumExp is not float32 [batch, heads, queries]";
  }
  return CheckInputs(sizes, operands[2], operands[3], operands[4], operands[5]);
}

std::string CheckAttentionGrad(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 10, kAttributes, {1, 2, 9}); !wrong.empty()) return wrong;
  if (std::string wrong = CheckSizes(instruction); !wrong.empty()) return wrong;
  const AttentionSizes sizes(instruction);
  const std::vector<Operand>& operands = instruction.operands;
  for (const size_t i : {size_t{6}, size_t{8}}) {
    if (!HasSize(operands[i], DType::kFloat32, {sizes.batch, sizes.queries, sizes.outRow()})) {
      return "out and dout are not float32 [batch, queries, heads * valueDim]";
    }
  }
  if (!HasSize(operands[7], DType::kFloat32, {sizes.batch, sizes.heads, sizes.queries})) {
    return "logSumExp is not float32 [batch, heads, queries]";
  }
  const Part q{sizes.batch * sizes.queries, sizes.qRow, sizes.qOffset, sizes.heads * sizes.dim};
  const Part k{sizes.batch * sizes.keys, sizes.kRow, sizes.kOffset, sizes.kvHeads * sizes.dim};
  const Part v{sizes.batch * sizes.keys, sizes.vRow, sizes.vOffset, sizes.kvHeads * sizes.valueDim};
  const Operand &dq = operands[0], &dk = operands[1], &dv = operands[2];
  const bool filled =
      dk.present ? Fills(dq, {q}) && (dv.present ? Fills(dk, {k}) && Fills(dv, {v}) : Fills(dk, {k, v}))
                 : !dv.present && Fills(dq, {q, k, v});
  if (!filled) return "the gradients do not fill dq, dk and dv";
  return CheckInputs(sizes, operands[3], operands[4], operands[5], operands[9]);
}

}  // namespace nabla
