// Which kernels take bfloat16 and float16 operands through float32, and along which count each is cut up.
#include "program/widen.h"

#include <algorithm>
#include <limits>

#include "program/attention.h"

namespace nabla {
namespace {

// A kernel that is cut up along a count: the attribute that holds it, how many operands are written, and of
// each operand the letter of its share: r rows, w whole, + sum.
struct Pattern {
  Opcode opcode;
  int attribute;
  size_t outputs;
  const char* shares;
};

constexpr Pattern kPatterns[] = {
    {Opcode::kConv, 0, 1, "rrww"},
    {Opcode::kConvInputGrad, 0, 1, "rrw"},
    {Opcode::kConvFilterGrad, 0, 1, "+rr"},
    {Opcode::kPool, 1, 1, "rr"},
    {Opcode::kPoolGrad, 1, 1, "rrrr"},
    {Opcode::kSoftmax, 0, 1, "rr"},
    {Opcode::kSoftmaxGrad, 0, 1, "rrr"},
    {Opcode::kNormalize, 0, 3, "rrrrww"},
    {Opcode::kNormalizeGrad, 0, 3, "r++rrrrw"},
    {Opcode::kAttention, 0, 2, "rrrrrr"},
    {Opcode::kAttentionGrad, 0, 3, "rrrrrrrrrr"},
};
constexpr size_t kAttentionMaskBatch = 13;

void Apply(const char* shares, WidenPlan& plan) {
  for (size_t i = 0; shares[i] != '\0'; ++i) {
    plan.share[i] = shares[i] == 'r' ? Share::kRows : shares[i] == '+' ? Share::kSum : Share::kWhole;
  }
}

// Matrices one after the other, or one for all.
bool IsBatchOf(const Operand& operand, int64_t batch, int64_t stride) {
  return stride == 0 || operand.size == batch * stride;
}

void PlanGemm(const Instruction& instruction, WidenPlan& plan) {
  const int64_t batch = instruction.attr(0), strideA = instruction.attr(6), strideB = instruction.attr(7),
                strideOut = instruction.attr(8);
  const bool transA = instruction.attr(4) == 1, transB = instruction.attr(5) == 1;
  const auto& operands = instruction.operands;
  if (batch != 1) {
    const bool regular = IsBatchOf(operands[0], batch, strideOut) && strideOut > 0 &&
                         IsBatchOf(operands[1], batch, strideA) && IsBatchOf(operands[2], batch, strideB);
    if (!regular) return;
    plan.attribute = 0;
    plan.share[0] = Share::kRows;
    if (strideA > 0) plan.share[1] = Share::kRows;
    if (strideB > 0) plan.share[2] = Share::kRows;
    return;
  }
  // Operands may be longer than the matrices in them.
  const int64_t m = instruction.attr(1), n = instruction.attr(2), k = instruction.attr(3);
  if (operands[0].size != m * n || operands[1].size != m * k || operands[2].size != k * n) return;
  const bool bare = !operands[3].present && instruction.attr(9) == 0 && instruction.attr(10) == 0;
  if (!transA) {
    plan.attribute = 1;
    Apply("rrww", plan);
  } else if (!transB && bare) {
    plan.attribute = 3;
    Apply("+rrw", plan);
  }
}

void PlanReduce(const Instruction& instruction, WidenPlan& plan) {
  const ReduceKind kind = static_cast<ReduceKind>(instruction.attr(0));
  if (instruction.attr(1) != 1) {
    plan.attribute = 1;
    Apply("rr", plan);
  } else if (kind == ReduceKind::kSum || kind == ReduceKind::kSumSquares) {
    plan.attribute = 2;
    Apply("+r", plan);
  }
}

// Whether queries, keys and values are all that is in their operands.
bool IsWholeRows(const Instruction& instruction) {
  const AttentionSizes sizes(instruction);
  const size_t q = instruction.opcode == Opcode::kAttention ? 2 : 3;
  const int64_t rows[] = {sizes.queries * sizes.qRow, sizes.keys * sizes.kRow, sizes.keys * sizes.vRow};
  for (size_t i = 0; i < 3; ++i) {
    if (instruction.operands[q + i].size != sizes.batch * rows[i]) return false;
  }
  return true;
}

bool Takes(Opcode opcode) {
  if (opcode == Opcode::kGemm || opcode == Opcode::kReduce) return true;
  return std::any_of(std::begin(kPatterns), std::end(kPatterns),
                     [opcode](const Pattern& pattern) { return pattern.opcode == opcode; });
}

}  // namespace

bool NeedsWidening(const Instruction& instruction) {
  const Opcode opcode = instruction.opcode;
  if (opcode == Opcode::kMap || opcode == Opcode::kCopy) return false;
  // Rows are copied as they are.
  const bool copies = opcode == Opcode::kGather && instruction.attributes.size() > 3 &&
                      instruction.attr(3) == static_cast<int32_t>(GatherMode::kCopy);
  return !copies && std::any_of(instruction.operands.begin(), instruction.operands.end(),
                                [](const Operand& o) { return o.present && IsHalf(o.dtype); });
}

std::string CheckWidened(const Instruction& instruction, std::string (*check)(const Instruction&)) {
  if (!Takes(instruction.opcode)) return "takes no bfloat16 or float16";
  if (instruction.operands.size() > WidenPlan::kMostOperands) return "has too many operands";
  Instruction widened = instruction;
  for (Operand& operand : widened.operands) {
    if (!IsHalf(operand.dtype)) continue;
    if (operand.size > std::numeric_limits<int32_t>::max()) return "has too large an operand of 16 bits";
    operand.dtype = DType::kFloat32;
  }
  if (std::string refused = check(widened); !refused.empty()) return refused;
  const bool gemm = instruction.opcode == Opcode::kGemm;
  if (gemm && IsHalf(instruction.operands[0].dtype)) {
    // What the product leaves as it is would have to be read first.
    if (instruction.attr(10) == 1) return "accumulates in float32 only";
    const int64_t most = int64_t{instruction.attr(1)} * instruction.attr(2);
    if (instruction.attr(0) > 1 && instruction.operands[0].size != instruction.attr(0) * most)
      return "out has gaps, which only float32 may";
  }
  return {};
}

WidenPlan PlanWidening(const Instruction& instruction) {
  WidenPlan plan;
  if (instruction.opcode == Opcode::kGemm) PlanGemm(instruction, plan);
  if (instruction.opcode == Opcode::kReduce) PlanReduce(instruction, plan);
  for (const Pattern& pattern : kPatterns) {
    if (pattern.opcode != instruction.opcode) continue;
    plan.attribute = pattern.attribute;
    plan.outputs = pattern.outputs;
    Apply(pattern.shares, plan);
  }
  const bool attention =
      instruction.opcode == Opcode::kAttention || instruction.opcode == Opcode::kAttentionGrad;
  if (attention && instruction.attr(kAttentionMaskBatch) == 0)
    plan.share[instruction.operands.size() - 1] = Share::kWhole;
  if (attention && !IsWholeRows(instruction)) plan.attribute = -1;
  if (plan.attribute >= 0) plan.count = instruction.attr(static_cast<size_t>(plan.attribute));
  // Without whole rows the work is not cut up.
  bool regular = plan.attribute >= 0 && plan.count > 0;
  for (size_t i = 0; regular && i < instruction.operands.size(); ++i) {
    regular = plan.share[i] != Share::kRows || instruction.operands[i].size % plan.count == 0;
  }
  if (!regular) {
    plan.attribute = -1;
    plan.count = 1;
    std::fill(std::begin(plan.share), std::end(plan.share), Share::kWhole);
  }
  return plan;
}

}  // namespace nabla
