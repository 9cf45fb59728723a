// Attention by blocks with a running maximum (Dao et al. 2022): the matrix of scores never exists as a whole.
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/attention.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include <cmath>

#include "cpu/kernel.h"
#include "cpu/kernels/attention-tile.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

using nabla::attention::Blocks;
using nabla::attention::ForwardBuffers;
using nabla::attention::KeysSeen;

// What is known of a query's scores so far.
struct Running {
  float most = kNothing;
  float sum = 0;
};

// Turns `count` scores into their exponentials below the running maximum, with zeros up to `width`. Gives the
// factor for what was summed before.
HWY_INLINE float Exponentials(float* scores, int64_t count, int64_t width, Running& running) {
  const TagF d;
  VecF most = Splat(running.most);
  for (int64_t i = 0; i < count; i += kLanes) most = hn::Max(most, hn::LoadU(d, scores + i));
  const float found = hn::GetLane(hn::MaxOfLanes(d, most));
  const float base = found == kNothing ? 0.0f : found;
  VecF sum = hn::Zero(d);
  for (int64_t i = 0; i < count; i += kLanes) {
    const VecF e = ExpNegative(hn::Sub(hn::LoadU(d, scores + i), Splat(base)));
    sum = hn::Add(sum, e);
    hn::StoreU(e, d, scores + i);
  }
  ZeroFrom(scores, WholeLanes(count), width);
  const float factor = running.most == kNothing ? 0.0f : std::exp(running.most - base);
  running.sum = running.sum * factor + hn::GetLane(hn::SumOfLanes(d, sum));
  running.most = found;
  return factor;
}

HWY_INLINE void ScaleRow(const float* from, int64_t count, float factor, float* to) {
  const TagF d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::Mul(hn::LoadU(d, from + i), Splat(factor)), d, to + i);
  for (; i < count; i++) to[i] = from[i] * factor;
}

struct Forward {
  AttentionSizes s;
  ForwardBuffers buffers;
  const float *q, *k, *v;
  const Operand& mask;
  float *out, *logSumExp;
  float* scratch;

  // Units are blocks of queries, head after head.
  void Compute(int64_t begin, int64_t end, int part) const {
    float* buffer = scratch + part * buffers.size;
    const int64_t blocks = Blocks(s.queries);
    int64_t turned = -1;
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t b = unit / blocks / s.heads, h = unit / blocks % s.heads, shared = h / s.group();
      const int64_t from = unit % blocks * kBlock, to = HWY_MIN(from + kBlock, s.queries);
      if (turned != unit / blocks) {
        // All keys that this part may need for the head.
        const int64_t last = HWY_MIN(s.queries, (from / kBlock + end - unit) * kBlock);
        TurnRows(k + s.key(b, 0, shared), s.kRow, KeysSeen(s, last), s.dim, buffer + buffers.keys);
        turned = unit / blocks;
      }
      Block(b, h, from, to, buffer);
    }
  }

  HWY_NOINLINE void Block(int64_t b, int64_t h, int64_t from, int64_t to, float* buffer) const {
    const int64_t rows = to - from, width = Padded(s.valueDim), seen = KeysSeen(s, to);
    float *scores = buffer + buffers.scores, *sums = buffer + buffers.sums;
    Running running[kBlock];
    if (seen == 0) ZeroFrom(sums, 0, rows * width);
    for (int64_t j = 0; j < seen; j += kBlock) {
      const int64_t columns = HWY_MIN(kBlock, seen - j), diagonal = from - j;
      const bool cut = s.causal && columns > diagonal + 1;
      Product product{};
      product.rows = rows, product.columns = columns, product.depth = s.dim;
      product.a = q + s.query(b, from, h), product.aRow = s.qRow, product.aDepth = 1;
      product.b = buffer + buffers.keys + j * s.dim, product.bDepth = kPanel, product.bPanel = s.dim * kPanel;
      product.out = scores, product.outRow = kBlock, product.alpha = s.scale;
      Multiply(product, cut ? Cut::kColumns : Cut::kNone, diagonal);
      for (int64_t r = 0; r < rows; r++) {
        float* row = scores + r * kBlock;
        const int64_t count = cut ? Within(diagonal + r + 1, columns) : columns;
        MaskRow(row, count, mask, s.mask(b, from + r, h) + j);
        const float factor = Exponentials(row, count, WholeLanes(columns), running[r]);
        if (j > 0 && factor != 1)
          ScaleRow(sums + r * width, WholeLanes(s.valueDim), factor, sums + r * width);
      }
      const Rows values = WholeVectors(v + s.value(b, j, h / s.group()), s.vRow, columns, s.valueDim,
                                       buffer + buffers.values);
      product.columns = s.valueDim, product.depth = columns;
      product.a = scores, product.aRow = kBlock;
      product.b = values.data, product.bDepth = values.stride, product.bPanel = kPanel;
      product.out = sums, product.outRow = width, product.alpha = 1, product.add = j > 0;
      Multiply(product, cut ? Cut::kDepthEnd : Cut::kNone, diagonal);
    }
    for (int64_t r = 0; r < rows; r++) {
      const float sum = running[r].sum;
      // A query that sees no key gives zeros; infinity makes the gradient's weights 0 as well.
      const bool blind = running[r].most == kNothing && !(sum != sum);
      ScaleRow(sums + r * width, s.valueDim, blind ? 0 : 1 / sum, out + s.output(b, from + r, h));
      if (logSumExp == nullptr) continue;
      logSumExp[s.statistic(b, from + r, h)] = blind ? -kNothing : running[r].most + std::log(sum);
    }
  }
};

}  // namespace

void RunAttention(const Call& call) {
  const AttentionSizes s(call.instruction);
  const bool wanted = call.operand(1).present;
  const Forward forward{s,
                        ForwardBuffers(s),
                        call.operand(2).as<float>(),
                        call.operand(3).as<float>(),
                        call.operand(4).as<float>(),
                        call.operand(5),
                        call.operand(0).as<float>(),
                        wanted ? call.operand(1).as<float>() : nullptr,
                        reinterpret_cast<float*>(call.scratch)};
  const int64_t work = HWY_MIN(s.queries, kBlock) * s.keys * (s.dim + s.valueDim + 32);
  ParallelFor(call.pool, s.batch * s.heads * Blocks(s.queries), kThreadWork / HWY_MAX(int64_t{1}, work) + 1,
              [&forward](int64_t begin, int64_t end, int part) { forward.Compute(begin, end, part); });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchAttention(const Instruction& instruction, int threads) {
  const attention::ForwardBuffers buffers{AttentionSizes(instruction)};
  return static_cast<size_t>(threads) * sizeof(float) * static_cast<size_t>(buffers.size);
}

}  // namespace nabla
#endif  // HWY_ONCE
