// Loads and stores of a vector's first lanes, for the ends of rows. Included once an instruction set, after
// Highway.
#if defined(NABLA_CPU_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_LANES_INL_H_
#undef NABLA_CPU_KERNELS_LANES_INL_H_
#else
#define NABLA_CPU_KERNELS_LANES_INL_H_
#endif

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether the machine loads and stores part of a vector of 32-bit lanes without touching the rest of the
// memory.
constexpr bool kHasMaskedMemory = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3;

// The first `count` lanes from memory (count < Lanes(d)), the others `fill`. 32-bit lanes.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadFirst(D d, const T* from, size_t count, T fill) {
  static_assert(sizeof(T) == 4);
  if constexpr (kHasMaskedMemory) {
    const auto mask = hn::FirstN(d, count);
    return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, from), hn::Set(d, fill));
  } else {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    hn::Store(hn::Set(d, fill), d, lanes);
    for (size_t i = 0; i < count; ++i) lanes[i] = from[i];
    return hn::Load(d, lanes);
  }
}

// Stores the first `count` lanes (count < Lanes(d)) and nothing else. 32-bit lanes.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreFirst(hn::Vec<D> v, D d, T* to, size_t count) {
  static_assert(sizeof(T) == 4);
  if constexpr (kHasMaskedMemory) {
    hn::BlendedStore(v, hn::FirstN(d, count), d, to);
  } else {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    hn::Store(v, d, lanes);
    for (size_t i = 0; i < count; ++i) to[i] = lanes[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
