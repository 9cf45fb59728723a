// Starts attention and its gradient.
#include "cuda/kernels/attention.h"

#include <algorithm>

#include "cuda/launcher.h"
#include "program/attention.h"

namespace nabla::cuda {
namespace {

// The second for rows of more than kAttentionTile numbers.
constexpr Entry kAttention[] = {{"attention", "attention"}, {"attention", "attentionWide"}};
constexpr Entry kAlong = {"attention_grad", "attentionAlong"};
constexpr Entry kQueries[] = {{"attention_grad", "attentionGradQueries"},
                              {"attention_grad", "attentionGradQueriesWide"}};
constexpr Entry kKeys[] = {{"attention_grad", "attentionGradKeys"},
                           {"attention_grad", "attentionGradKeysWide"}};
constexpr int64_t kMostBlocksY = 65535;

AttentionShape DeviceShape(const AttentionSizes& s) {
  AttentionShape shape = {};
  shape.qRow = s.qRow;
  shape.qOffset = s.qOffset;
  shape.kRow = s.kRow;
  shape.kOffset = s.kOffset;
  shape.vRow = s.vRow;
  shape.vOffset = s.vOffset;
  shape.batch = static_cast<int32_t>(s.batch);
  shape.heads = static_cast<int32_t>(s.heads);
  shape.kvHeads = static_cast<int32_t>(s.kvHeads);
  shape.group = static_cast<int32_t>(s.group());
  shape.queries = static_cast<int32_t>(s.queries);
  shape.keys = static_cast<int32_t>(s.keys);
  shape.dim = static_cast<int32_t>(s.dim);
  shape.valueDim = static_cast<int32_t>(s.valueDim);
  shape.maskBatch = s.maskBatch;
  shape.maskHeads = s.maskHeads;
  shape.causal = s.causal;
  shape.scale = s.scale;
  return shape;
}

template <class Params>
void SetMask(Launcher& launcher, size_t operand, Params& p) {
  const DType dtype = launcher.operand(operand).dtype;
  if (dtype == DType::kFloat32 || dtype == DType::kBfloat16) {
    p.mask = launcher.floats(operand);
  } else {
    p.sight = launcher.data<uint8_t>(operand);
  }
}

// Blocks for tiles of `rows` of `heads`, each for as many of `columns` as it has room for.
template <class Params>
void LaunchTiles(Launcher& launcher, const Entry (&entries)[2], Params& p, int64_t rows, int64_t heads,
                 int64_t columns) {
  const bool wide = columns > kAttentionTile;
  p.rowBlocks = static_cast<int32_t>(BlocksFor(rows, kAttentionTile));
  const int64_t columnBlocks = BlocksFor(columns, wide ? 2 * kAttentionTile : kAttentionTile);
  launcher.Launch(entries[wide ? 1 : 0], {p.rowBlocks * columnBlocks, std::min(heads, kMostBlocksY)},
                  kAttentionThreads, p);
}

}  // namespace

size_t ScratchAttention(const Instruction&) { return 0; }

void LaunchAttention(Launcher& launcher) {
  const AttentionSizes s(launcher.instruction());
  AttentionParams p = {};
  p.out = launcher.floats(0);
  p.logSumExp = launcher.floats(1);
  p.q = launcher.floats(2);
  p.k = launcher.floats(3);
  p.v = launcher.floats(4);
  SetMask(launcher, 5, p);
  p.shape = DeviceShape(s);
  LaunchTiles(launcher, kAttention, p, s.queries, s.batch * s.heads, s.valueDim);
}

size_t ScratchAttentionGrad(const Instruction& instruction) {
  return static_cast<size_t>(instruction.operands[7].size) * sizeof(float);
}

void LaunchAttentionGrad(Launcher& launcher) {
  const AttentionSizes s(launcher.instruction());
  AttentionGradParams p = {};
  p.dq = launcher.floats(0);
  p.dk = launcher.operand(1).present ? launcher.floats(1) : p.dq;
  p.dv = launcher.operand(2).present ? launcher.floats(2) : p.dk;
  p.along = launcher.scratch<float>();
  p.q = launcher.floats(3);
  p.k = launcher.floats(4);
  p.v = launcher.floats(5);
  p.out = launcher.floats(6);
  p.logSumExp = launcher.floats(7);
  p.dout = launcher.floats(8);
  SetMask(launcher, 9, p);
  p.shape = DeviceShape(s);
  launcher.Launch(kAlong, {BlocksFor(s.batch * s.heads * s.queries, kAttentionThreads / 32)},
                  kAttentionThreads, p);
  LaunchTiles(launcher, kQueries, p, s.queries, s.batch * s.heads, s.dim);
  LaunchTiles(launcher, kKeys, p, s.keys, s.batch * s.kvHeads, std::max(s.dim, s.valueDim));
}

}  // namespace nabla::cuda
