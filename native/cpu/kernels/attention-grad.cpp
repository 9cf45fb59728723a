// The gradient of attention by blocks: the weights are computed again from the scores and their logarithmic
// sums (Dao et al. 2022).
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/attention-grad.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include "cpu/kernel.h"
#include "cpu/kernels/attention-tile.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

using nabla::attention::BackwardBuffers;

// weights[i] = e^(scores[i] - logSumExp), with zeros up to `width`.
HWY_INLINE void Weights(float* scores, int64_t count, int64_t width, float logSumExp) {
  const TagF d;
  for (int64_t i = 0; i < count; i += kLanes) {
    hn::StoreU(ExpNegative(hn::Sub(hn::LoadU(d, scores + i), Splat(logSumExp))), d, scores + i);
  }
  ZeroFrom(scores, WholeLanes(count), width);
}

// d[i] = weights[i] * (d[i] - along) * scale, with zeros from `count` up to `width`.
HWY_INLINE void ScoreGradients(const float* weights, int64_t count, int64_t width, float along, float scale,
                               float* gradients) {
  const TagF d;
  for (int64_t i = 0; i < count; i += kLanes) {
    const VecF flow = hn::Mul(hn::Sub(hn::LoadU(d, gradients + i), Splat(along)), Splat(scale));
    hn::StoreU(hn::Mul(hn::LoadU(d, weights + i), flow), d, gradients + i);
  }
  // Lanes beyond the last key hold whatever the product's padding gave.
  for (int64_t i = count; i < WholeLanes(count); i++) gradients[i] = 0;
  ZeroFrom(gradients, WholeLanes(count), width);
}

HWY_INLINE float Dot(const float* a, const float* b, int64_t count) {
  const TagF d;
  VecF sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum);
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < count; i++) total += a[i] * b[i];
  return total;
}

struct Backward {
  AttentionSizes s;
  BackwardBuffers buffers;
  const float *q, *k, *v, *out, *logSumExp, *dout;
  const Operand& mask;
  float *dq, *dk, *dv;
  float* scratch;

  // Units are heads of keys: what several heads of queries add to one is added on one thread, in their order.
  void Compute(int64_t begin, int64_t end, int part) const {
    float* buffer = scratch + part * buffers.size;
    for (int64_t unit = begin; unit < end; unit++) Head(unit / s.kvHeads, unit % s.kvHeads, buffer);
  }

  void Head(int64_t b, int64_t shared, float* buffer) const {
    float *dKeys = buffer + buffers.dKeys, *dValues = buffer + buffers.dValues,
          *along = buffer + buffers.along;
    float* dQueries = buffer + buffers.dQueries;
    const int64_t width = Padded(s.dim), valueWidth = Padded(s.valueDim), first = shared * s.group();
    for (int64_t g = 0; g < s.group(); g++) {
      for (int64_t t = 0; t < s.queries; t++) {
        const int64_t at = s.output(b, t, first + g);
        along[g * s.queries + t] = Dot(out + at, dout + at, s.valueDim);
      }
    }
    ZeroFrom(dQueries, 0, s.group() * s.queries * width);
    for (int64_t j = 0; j < s.keys; j += kBlock) {
      const int64_t columns = HWY_MIN(kBlock, s.keys - j);
      TurnRows(k + s.key(b, j, shared), s.kRow, columns, s.dim, buffer + buffers.turnedKeys);
      TurnRows(v + s.value(b, j, shared), s.vRow, columns, s.valueDim, buffer + buffers.turnedValues);
      const Rows keys =
          WholeVectors(k + s.key(b, j, shared), s.kRow, columns, s.dim, buffer + buffers.keyRows);
      ZeroFrom(dKeys, 0, columns * width);
      ZeroFrom(dValues, 0, columns * valueWidth);
      for (int64_t g = 0; g < s.group(); g++) {
        // Queries before the block's first key do not see it.
        for (int64_t i = s.causal ? j : 0; i < s.queries; i += kBlock)
          Block(b, first + g, g, i, j, columns, keys, buffer);
      }
      for (int64_t t = 0; t < columns; t++) {
        CopyRow(dKeys + t * width, s.dim, dk + s.key(b, j + t, shared));
        CopyRow(dValues + t * valueWidth, s.valueDim, dv + s.value(b, j + t, shared));
      }
    }
    for (int64_t g = 0; g < s.group(); g++) {
      for (int64_t t = 0; t < s.queries; t++) {
        CopyRow(dQueries + (g * s.queries + t) * width, s.dim, dq + s.query(b, t, first + g));
      }
    }
  }

  // Queries from i on with keys from j on. h is the head of the queries, g its place in the group.
  HWY_NOINLINE void Block(int64_t b, int64_t h, int64_t g, int64_t i, int64_t j, int64_t columns,
                          const Rows& keys, float* buffer) const {
    const int64_t rows = HWY_MIN(kBlock, s.queries - i), diagonal = i - j;
    const int64_t width = Padded(s.dim), valueWidth = Padded(s.valueDim), filled = WholeLanes(columns);
    const bool cut = s.causal && columns > diagonal + 1;
    const Cut cutColumns = cut ? Cut::kColumns : Cut::kNone, cutEnd = cut ? Cut::kDepthEnd : Cut::kNone;
    const Cut cutBegin = cut ? Cut::kDepthBegin : Cut::kNone;
    float *weights = buffer + buffers.weights, *dScores = buffer + buffers.dScores;
    const float *queries = q + s.query(b, i, h), *douts = dout + s.output(b, i, h);
    const auto seen = [&](int64_t r) { return cut ? Within(diagonal + r + 1, columns) : columns; };

    Product product{};
    product.rows = rows, product.columns = columns, product.aDepth = 1;
    product.outRow = kBlock, product.bDepth = kPanel;
    // The scores, and from them the weights.
    product.depth = s.dim, product.alpha = s.scale;
    product.a = queries, product.aRow = s.qRow;
    product.b = buffer + buffers.turnedKeys, product.bPanel = s.dim * kPanel;
    product.out = weights;
    Multiply(product, cutColumns, diagonal);
    for (int64_t r = 0; r < rows; r++) {
      float* row = weights + r * kBlock;
      MaskRow(row, seen(r), mask, s.mask(b, i + r, h) + j);
      Weights(row, seen(r), filled, logSumExp[s.statistic(b, i + r, h)]);
    }
    // The weights' gradients, and from them the scores'.
    product.depth = s.valueDim, product.alpha = 1;
    product.a = douts, product.aRow = s.outRow();
    product.b = buffer + buffers.turnedValues, product.bPanel = s.valueDim * kPanel;
    product.out = dScores;
    Multiply(product, cutColumns, diagonal);
    for (int64_t r = 0; r < rows; r++) {
      ScoreGradients(weights + r * kBlock, seen(r), filled, buffer[buffers.along + g * s.queries + i + r],
                     s.scale, dScores + r * kBlock);
    }
    product.add = true;
    product.bPanel = kPanel;
    // The queries' gradients.
    product.columns = s.dim, product.depth = columns;
    product.a = dScores, product.aRow = kBlock;
    product.b = keys.data, product.bDepth = keys.stride;
    product.out = buffer + buffers.dQueries + (g * s.queries + i) * width, product.outRow = width;
    Multiply(product, cutEnd, diagonal);
    // The keys', and the values': both sum over the queries.
    const Rows queryRows = WholeVectors(queries, s.qRow, rows, s.dim, buffer + buffers.queryRows);
    product.rows = columns, product.depth = rows, product.aRow = 1, product.aDepth = kBlock;
    product.b = queryRows.data, product.bDepth = queryRows.stride;
    product.out = buffer + buffers.dKeys;
    Multiply(product, cutBegin, diagonal);
    const Rows outputRows = WholeVectors(douts, s.outRow(), rows, s.valueDim, buffer + buffers.outputRows);
    product.columns = s.valueDim;
    product.a = weights;
    product.b = outputRows.data, product.bDepth = outputRows.stride;
    product.out = buffer + buffers.dValues, product.outRow = valueWidth;
    Multiply(product, cutBegin, diagonal);
  }
};

}  // namespace

void RunAttentionGrad(const Call& call) {
  const AttentionSizes s(call.instruction);
  float* dq = call.operand(0).as<float>();
  float* dk = call.operand(1).present ? call.operand(1).as<float>() : dq;
  float* dv = call.operand(2).present ? call.operand(2).as<float>() : dk;
  const Backward backward{s,
                          BackwardBuffers(s),
                          call.operand(3).as<float>(),
                          call.operand(4).as<float>(),
                          call.operand(5).as<float>(),
                          call.operand(6).as<float>(),
                          call.operand(7).as<float>(),
                          call.operand(8).as<float>(),
                          call.operand(9),
                          dq,
                          dk,
                          dv,
                          reinterpret_cast<float*>(call.scratch)};
  const int64_t work = s.group() * s.queries * s.keys * (3 * s.dim + 2 * s.valueDim + 32);
  ParallelFor(call.pool, s.batch * s.kvHeads, kThreadWork / HWY_MAX(int64_t{1}, work) + 1,
              [&backward](int64_t begin, int64_t end, int part) { backward.Compute(begin, end, part); });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchAttentionGrad(const Instruction& instruction, int threads) {
  const attention::BackwardBuffers buffers{AttentionSizes(instruction)};
  return static_cast<size_t>(threads) * sizeof(float) * static_cast<size_t>(buffers.size);
}

}  // namespace nabla
#endif  // HWY_ONCE
