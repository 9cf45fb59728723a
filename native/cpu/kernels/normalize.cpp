// normalize and normalizeGrad: rows brought to mean 0 and variance 1 (Ba et al. 2016), or to mean square 1
// (Zhang and Sennrich 2019).
#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/normalize.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include <cmath>

#include "cpu/kernels/normalize-plan.h"
#include "cpu/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

using normalize_plan::kRowBlock;
using normalize_plan::SumSize;

// Elements that are worth a thread of their own.
constexpr int64_t kNormalizeGrain = 32768;

int64_t NormalizeGrain(int64_t columns) {
  return std::max<int64_t>(1, kNormalizeGrain / std::max<int64_t>(1, columns));
}

// What normalize reads and writes, null where absent.
struct Forward {
  const float *x, *scale, *offset;
  float *y, *mean, *rstd;
  size_t n;
  bool center;
  float epsilon;

  void Row(int64_t row) const {
    const D d;
    const float* in = x + row * static_cast<int64_t>(n);
    const V share = hn::Set(d, n == 0 ? 0.0f : 1.0f / static_cast<float>(n));
    V middle = hn::Zero(d);
    if (center) {
      middle = hn::Mul(
          RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR { return LoadPart(d, in + i, count); }), share);
    }
    const V squares = RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR {
      const V off = hn::Sub(LoadPart(d, in + i, count), middle);
      return KeepFirst(d, hn::Mul(off, off), count);
    });
    const float variance = hn::GetLane(hn::Mul(squares, share));
    const float factor = 1.0f / std::sqrt(variance + epsilon);
    if (mean != nullptr) mean[row] = hn::GetLane(middle);
    if (rstd != nullptr) rstd[row] = factor;
    const V by = hn::Set(d, factor);
    const float *s = scale, *o = offset;
    FillRow(d, y + row * static_cast<int64_t>(n), n, [=](size_t i, size_t count) HWY_ATTR {
      V out = hn::Mul(hn::Sub(LoadPart(d, in + i, count), middle), by);
      if (s != nullptr) out = hn::Mul(out, LoadPart(d, s + i, count));
      if (o != nullptr) out = hn::Add(out, LoadPart(d, o + i, count));
      return out;
    });
  }
};

// What normalizeGrad reads and writes, null where absent.
struct Backward {
  const float *dy, *x, *mean, *rstd, *scale;
  float* dx;
  size_t n;

  // One row's dx, and its part of the sums over rows (null: not wanted).
  HWY_INLINE void Row(int64_t row, float* dscale, float* doffset) const {
    const D d;
    const int64_t at = row * static_cast<int64_t>(n);
    const float *g = dy + at, *in = x + at, *s = scale;
    const V middle = hn::Set(d, mean == nullptr ? 0.0f : mean[row]), by = hn::Set(d, rstd[row]);
    const auto unit = [=](size_t i, size_t count)
                          HWY_ATTR { return hn::Mul(hn::Sub(LoadPart(d, in + i, count), middle), by); };
    const auto flow = [=](size_t i, size_t count) HWY_ATTR {
      const V v = LoadPart(d, g + i, count);
      return s == nullptr ? v : hn::Mul(v, LoadPart(d, s + i, count));
    };
    const V share = hn::Set(d, 1.0f / static_cast<float>(n));
    V flowMean = hn::Zero(d);
    if (mean != nullptr) flowMean = hn::Mul(RowSum(d, n, flow), share);
    // Lanes beyond the row load as zero gradients.
    const V along = hn::Mul(
        RowSum(d, n,
               [=](size_t i, size_t count) HWY_ATTR { return hn::Mul(flow(i, count), unit(i, count)); }),
        share);
    FillRow(d, dx + at, n, [=](size_t i, size_t count) HWY_ATTR {
      const V u = unit(i, count);
      if (dscale != nullptr) {
        StorePart(hn::MulAdd(LoadPart(d, g + i, count), u, LoadPart(d, dscale + i, count)), d, dscale + i,
                  count);
      }
      if (doffset != nullptr) {
        StorePart(hn::Add(LoadPart(d, g + i, count), LoadPart(d, doffset + i, count)), d, doffset + i, count);
      }
      return hn::Mul(by, hn::NegMulAdd(u, along, hn::Sub(flow(i, count), flowMean)));
    });
  }
};

void AddInto(float* total, const float* part, size_t n) {
  const D d;
  FillRow(d, total, n, [=](size_t i, size_t count) HWY_ATTR {
    return hn::Add(LoadPart(d, total + i, count), LoadPart(d, part + i, count));
  });
}

void Clear(float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = 0;
}

}  // namespace

void RunNormalize(const Call& call) {
  const auto data = [&](size_t i) { return call.operand(i).present ? call.operand(i).as<float>() : nullptr; };
  const int64_t columns = call.attr(1);
  const Forward forward{
      data(3),           data(4),          data(5), data(0), data(1), data(2), static_cast<size_t>(columns),
      call.attr(2) != 0, call.attrFloat(3)};
  ParallelFor(call.pool, call.attr(0), NormalizeGrain(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) forward.Row(row);
  });
}

void RunNormalizeGrad(const Call& call) {
  const auto data = [&](size_t i) { return call.operand(i).present ? call.operand(i).as<float>() : nullptr; };
  const int64_t columns = call.attr(1);
  const size_t n = static_cast<size_t>(columns);
  const Backward backward{data(3), data(4), data(5), data(6), data(7), data(0), n};
  float* const totals[] = {data(1), data(2)};  // dscale, doffset
  // Each part has a running total and the sum of the rows of a block, of both.
  float* scratch = reinterpret_cast<float*>(call.scratch);
  const int64_t size = SumSize(columns);

  const int64_t grain = NormalizeGrain(columns);
  const auto sums = [=](int part, int which) { return scratch + (part * 4 + which) * size; };
  ParallelFor(call.pool, call.attr(0), grain, [&](int64_t begin, int64_t end, int part) {
    for (int i = 0; i < 2; ++i) Clear(sums(part, i), n);
    for (int64_t from = begin; from < end; from += kRowBlock) {
      for (int i = 0; i < 2; ++i) Clear(sums(part, 2 + i), n);
      for (int64_t row = from; row < std::min(end, from + kRowBlock); ++row) {
        backward.Row(row, totals[0] == nullptr ? nullptr : sums(part, 2),
                     totals[1] == nullptr ? nullptr : sums(part, 3));
      }
      for (int i = 0; i < 2; ++i) AddInto(sums(part, i), sums(part, 2 + i), n);
    }
  });
  // As many parts as ParallelFor makes.
  const int parts =
      static_cast<int>(std::min<int64_t>(call.pool.threads(), (call.attr(0) + grain - 1) / grain));
  for (int i = 0; i < 2; ++i) {
    if (totals[i] == nullptr) continue;
    Clear(totals[i], n);
    for (int part = 0; part < parts; ++part) AddInto(totals[i], sums(part, i), n);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchNormalize(const Instruction&, int) { return 0; }
size_t ScratchNormalizeGrad(const Instruction& instruction, int threads) {
  return static_cast<size_t>(threads) * 4 * sizeof(float) *
         static_cast<size_t>(normalize_plan::SumSize(instruction.attr(1)));
}

}  // namespace nabla
#endif  // HWY_ONCE
