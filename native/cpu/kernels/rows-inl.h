// Sums, maxima and stores along rows of float32, for kernels that go over a row more than once. Included once
// an instruction set, after Highway.
#if defined(NABLA_CPU_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_ROWS_INL_H_
#undef NABLA_CPU_KERNELS_ROWS_INL_H_
#else
#define NABLA_CPU_KERNELS_ROWS_INL_H_
#endif

#include <limits>

#include "cpu/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Sums longer than this are added in halves, so that the rounding error grows with the logarithm of the
// length.
constexpr size_t kSumBlock = 4096;

// The largest number in every lane. A NaN may be missed here: it shows in the exponentials.
HWY_INLINE V RowMax(D d, const float* x, size_t n) {
  const size_t lanes = hn::Lanes(d);
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  V m0 = hn::Set(d, kLeast), m1 = m0, m2 = m0, m3 = m0;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    m0 = hn::Max(m0, hn::LoadU(d, x + i));
    m1 = hn::Max(m1, hn::LoadU(d, x + i + lanes));
    m2 = hn::Max(m2, hn::LoadU(d, x + i + 2 * lanes));
    m3 = hn::Max(m3, hn::LoadU(d, x + i + 3 * lanes));
  }
  for (; i + lanes <= n; i += lanes) m0 = hn::Max(m0, hn::LoadU(d, x + i));
  if (i < n) m1 = hn::Max(m1, LoadFirst(d, x + i, n - i, kLeast));
  return hn::MaxOfLanes(d, hn::Max(hn::Max(m0, m1), hn::Max(m2, m3)));
}

// Sum over a row of term(i, count), a vector of terms of which `count` lanes are wanted and the others are 0.
template <class Term>
HWY_INLINE V SumBlock(D d, size_t begin, size_t end, const Term& term) {
  const size_t lanes = hn::Lanes(d);
  V s0 = hn::Zero(d), s1 = s0;
  size_t i = begin;
  for (; i + 2 * lanes <= end; i += 2 * lanes) {
    s0 = hn::Add(s0, term(i, lanes));
    s1 = hn::Add(s1, term(i + lanes, lanes));
  }
  if (i + lanes <= end) {
    s0 = hn::Add(s0, term(i, lanes));
    i += lanes;
  }
  if (i < end) s1 = hn::Add(s1, term(i, end - i));
  return hn::Add(s0, s1);
}

template <class Term>
V SumHalves(D d, size_t begin, size_t end, const Term& term) {
  if (end - begin <= kSumBlock) return SumBlock(d, begin, end, term);
  const size_t half = begin + (end - begin) / 2 / kSumBlock * kSumBlock;
  const size_t middle = half == begin ? begin + kSumBlock : half;
  return hn::Add(SumHalves(d, begin, middle, term), SumHalves(d, middle, end, term));
}

// The sum in every lane.
template <class Term>
HWY_INLINE V RowSum(D d, size_t n, const Term& term) {
  return hn::SumOfLanes(d, n <= kSumBlock ? SumBlock(d, 0, n, term) : SumHalves(d, 0, n, term));
}

HWY_INLINE V LoadPart(D d, const float* x, size_t count) {
  return count == hn::Lanes(d) ? hn::LoadU(d, x) : LoadFirst(d, x, count, 0.0f);
}

HWY_INLINE void StorePart(V v, D d, float* x, size_t count) {
  if (count == hn::Lanes(d)) {
    hn::StoreU(v, d, x);
  } else {
    StoreFirst(v, d, x, count);
  }
}

// Zero in the lanes from `count` on.
HWY_INLINE V KeepFirst(D d, V v, size_t count) {
  return count == hn::Lanes(d) ? v : hn::IfThenElseZero(hn::FirstN(d, count), v);
}

// out[i] = value(i, count) by vectors.
template <class Value>
HWY_INLINE void FillRow(D d, float* out, size_t n, const Value& value) {
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(value(i, lanes), d, out + i);
  if (i < n) StoreFirst(value(i, n - i), d, out + i, n - i);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
