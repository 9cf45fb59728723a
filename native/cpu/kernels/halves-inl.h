// bfloat16 and float16 a vector at a time. Included once an instruction set, after Highway.
#if defined(NABLA_CPU_KERNELS_HALVES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_HALVES_INL_H_
#undef NABLA_CPU_KERNELS_HALVES_INL_H_
#else
#define NABLA_CPU_KERNELS_HALVES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "cpu/halves.h"

// Whether the processor converts float16 by itself (F16C, AVX-512, NEON of 64 bits).
#undef NABLA_HAS_FLOAT16
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || (HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64)
#define NABLA_HAS_FLOAT16 1
#else
#define NABLA_HAS_FLOAT16 0
#endif

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {

// Vectors of either dtype as vectors of float32, and back to the nearest, as the scalar forms do.
struct Bfloat16Lanes {
  using Number = Bfloat16;

  template <class D, class Halves>
  static HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Widen(D d, Halves bits) {
    namespace hn = hwy::HWY_NAMESPACE;
    const hn::Rebind<uint32_t, D> words;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
  }

  template <class D, class To>
  static HWY_INLINE hwy::HWY_NAMESPACE::Vec<To> Narrow(D d, hwy::HWY_NAMESPACE::Vec<D> value, To halves) {
    namespace hn = hwy::HWY_NAMESPACE;
    const hn::Rebind<uint32_t, D> words;
    const hn::Rebind<int32_t, D> signedWords;
    const auto word = hn::BitCast(words, value);
    const auto even = hn::And(hn::ShiftRight<16>(word), hn::Set(words, 1));
    const auto rounded = hn::Add(word, hn::Add(hn::Set(words, 0x7fff), even));
    const auto isNumber = hn::RebindMask(words, hn::Eq(value, value));
    const auto kept = hn::IfThenElse(isNumber, rounded, hn::Or(word, hn::Set(words, 0x400000)));
    static_cast<void>(d);
    return hn::DemoteTo(halves, hn::BitCast(signedWords, hn::ShiftRight<16>(kept)));
  }
};

struct Float16Lanes {
  using Number = Float16;

  template <class D, class Halves>
  static HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Widen(D d, Halves bits) {
    namespace hn = hwy::HWY_NAMESPACE;
#if NABLA_HAS_FLOAT16
    const hn::Rebind<hwy::float16_t, D> halves;
    return hn::PromoteTo(d, hn::BitCast(halves, bits));
#else
    // The largest exponent becomes that of float32's infinities and NaN, which stay in the product; others
    // are brought back by it. Denormal numbers follow a leading digit that is taken off.
    const hn::Rebind<int32_t, D> words;
    const hn::Rebind<int16_t, D> shorts;
    const auto word = hn::PromoteTo(words, hn::BitCast(shorts, bits));
    const auto sign = hn::And(word, hn::Set(words, INT32_MIN));
    const auto magnitude = hn::And(word, hn::Set(words, 0x7fff));
    const auto raised = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(words, 224 << 23));
    const auto normal = hn::BitCast(words, hn::Mul(hn::BitCast(d, raised), hn::Set(d, 0x1p-112f)));
    const auto led = hn::BitCast(d, hn::Or(magnitude, hn::Set(words, 126 << 23)));
    const auto denormal = hn::BitCast(words, hn::Sub(led, hn::Set(d, 0.5f)));
    const auto isDenormal = hn::Gt(hn::Set(words, 0x400), magnitude);
    return hn::BitCast(d, hn::Or(hn::IfThenElse(isDenormal, denormal, normal), sign));
#endif
  }

  template <class D, class To>
  static HWY_INLINE hwy::HWY_NAMESPACE::Vec<To> Narrow(D d, hwy::HWY_NAMESPACE::Vec<D> value, To halves) {
    namespace hn = hwy::HWY_NAMESPACE;
#if NABLA_HAS_FLOAT16
    const hn::Rebind<hwy::float16_t, D> numbers;
    static_cast<void>(d);
    return hn::BitCast(halves, hn::DemoteTo(numbers, value));
#else
    const hn::Rebind<int32_t, D> words;
    const auto word = hn::BitCast(words, value);
    const auto magnitude = hn::And(word, hn::Set(words, 0x7fffffff));
    const auto sign = hn::And(hn::ShiftRight<16>(word), hn::Set(words, 0x8000));
    const auto tail = hn::ShiftRight<13>(magnitude);
    const auto odd = hn::And(tail, hn::Set(words, 1));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, hn::Set(words, 0xfff - (112 << 23))), odd));
    // The last place of the sum is that of a denormal number.
    const auto sum = hn::Add(hn::BitCast(d, magnitude), hn::Set(d, 0.5f));
    const auto denormal = hn::Sub(hn::BitCast(words, sum), hn::Set(words, 126 << 23));
    const auto notANumber = hn::Or(hn::And(tail, hn::Set(words, 0x3ff)), hn::Set(words, 0x7e00));
    const auto isNumber = hn::Gt(hn::Set(words, 0x7f800001), magnitude);
    const auto endless = hn::IfThenElse(isNumber, hn::Set(words, 0x7c00), notANumber);
    const auto isFinite = hn::Gt(hn::Set(words, 143 << 23), magnitude);
    const auto isDenormal = hn::Gt(hn::Set(words, 113 << 23), magnitude);
    const auto finite = hn::IfThenElse(isDenormal, denormal, normal);
    return hn::DemoteTo(halves, hn::Or(hn::IfThenElse(isFinite, finite, endless), sign));
#endif
  }
};

template <class Lanes>
inline void WidenAs(const uint16_t* from, size_t count, float* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<uint16_t, decltype(d)> halves;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(Lanes::Widen(d, hn::LoadU(halves, from + i)), d, to + i);
  for (; i < count; ++i) to[i] = ToFloat(typename Lanes::Number{from[i]});
}

template <class Lanes>
inline void NarrowAs(const float* from, size_t count, uint16_t* to) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<uint16_t, decltype(d)> halves;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(Lanes::Narrow(d, hn::LoadU(d, from + i), halves), halves, to + i);
  for (; i < count; ++i) {
    typename Lanes::Number rounded;
    Round(from[i], rounded);
    to[i] = rounded.bits;
  }
}

inline void WidenHalves(DType dtype, const uint16_t* from, size_t count, float* to) {
  dtype == DType::kFloat16 ? WidenAs<Float16Lanes>(from, count, to) : WidenAs<Bfloat16Lanes>(from, count, to);
}

inline void NarrowToHalves(DType dtype, const float* from, size_t count, uint16_t* to) {
  dtype == DType::kFloat16 ? NarrowAs<Float16Lanes>(from, count, to)
                           : NarrowAs<Bfloat16Lanes>(from, count, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
