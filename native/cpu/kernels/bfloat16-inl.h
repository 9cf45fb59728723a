// bfloat16 a vector at a time. Included once an instruction set, after Highway.
#if defined(NABLA_CPU_KERNELS_BFLOAT16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_BFLOAT16_INL_H_
#undef NABLA_CPU_KERNELS_BFLOAT16_INL_H_
#else
#define NABLA_CPU_KERNELS_BFLOAT16_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "cpu/bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {

inline void WidenBfloat16(const uint16_t* from, size_t count, float* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<uint32_t, decltype(d)> words;
  const hn::Rebind<uint16_t, decltype(d)> halves;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto upper = hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, from + i)));
    hn::StoreU(hn::BitCast(d, upper), d, to + i);
  }
  for (; i < count; ++i) to[i] = FromBfloat16(from[i]);
}

// As ToBfloat16.
inline void NarrowToBfloat16(const float* from, size_t count, uint16_t* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<uint32_t, decltype(d)> words;
  const hn::Rebind<int32_t, decltype(d)> signedWords;
  const hn::Rebind<uint16_t, decltype(d)> halves;
  const size_t lanes = hn::Lanes(d);
  const auto one = hn::Set(words, 1), half = hn::Set(words, 0x7fff), quiet = hn::Set(words, 0x400000);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto value = hn::LoadU(d, from + i);
    const auto word = hn::BitCast(words, value);
    const auto even = hn::And(hn::ShiftRight<16>(word), one);
    const auto rounded = hn::Add(word, hn::Add(half, even));
    const auto isNumber = hn::RebindMask(words, hn::Eq(value, value));
    const auto kept = hn::IfThenElse(isNumber, rounded, hn::Or(word, quiet));
    const auto upper = hn::BitCast(signedWords, hn::ShiftRight<16>(kept));
    hn::StoreU(hn::DemoteTo(halves, upper), halves, to + i);
  }
  for (; i < count; ++i) to[i] = ToBfloat16(from[i]);
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
