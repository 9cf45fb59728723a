// The operations of reduce on vectors, and on one value as a vector of one lane. Included once an instruction
// set.
#if defined(NABLA_CPU_KERNELS_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_REDUCE_INL_H_
#undef NABLA_CPU_KERNELS_REDUCE_INL_H_
#else
#define NABLA_CPU_KERNELS_REDUCE_INL_H_
#endif

#include <limits>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One value in a vector of one lane: the operations then serve vectors and ends alike.
template <class T>
using One = hn::CappedTag<T, 1>;

// A reduction is a struct with the value of nothing, a step that takes an element in, and a step that joins
// two results.
template <class T>
struct Sum {
  static constexpr bool kIsSum = true;
  static constexpr T kNothing = 0;
  template <class V>
  static HWY_INLINE V Take(V a, V x) {
    return hn::Add(a, x);
  }
  template <class V>
  static HWY_INLINE V Join(V a, V b) {
    return hn::Add(a, b);
  }
};

template <class T>
struct SumSquares : Sum<T> {
  template <class V>
  static HWY_INLINE V Take(V a, V x) {
    return hn::MulAdd(x, x, a);
  }
};

template <class T>
struct Prod {
  static constexpr bool kIsSum = false;
  static constexpr T kNothing = 1;
  template <class V>
  static HWY_INLINE V Take(V a, V x) {
    return hn::Mul(a, x);
  }
  template <class V>
  static HWY_INLINE V Join(V a, V b) {
    return hn::Mul(a, b);
  }
};

template <class T>
struct Max {
  static constexpr bool kIsSum = false;
  static constexpr T kNothing =
      std::is_same_v<T, float> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  template <class V>
  static HWY_INLINE V Take(V a, V x) {
    // Instruction sets differ in what their maximum does with NaN; comparisons do not. A NaN in `a` compares
    // false and stays.
    if constexpr (std::is_same_v<T, float>) {
      return hn::IfThenElse(hn::Or(hn::Gt(x, a), hn::IsNaN(x)), x, a);
    } else {
      return hn::Max(a, x);
    }
  }
  template <class V>
  static HWY_INLINE V Join(V a, V b) {
    return Take(a, b);
  }
};

template <class T>
struct Min {
  static constexpr bool kIsSum = false;
  static constexpr T kNothing =
      std::is_same_v<T, float> ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  template <class V>
  static HWY_INLINE V Take(V a, V x) {
    if constexpr (std::is_same_v<T, float>) {
      return hn::IfThenElse(hn::Or(hn::Lt(x, a), hn::IsNaN(x)), x, a);
    } else {
      return hn::Min(a, x);
    }
  }
  template <class V>
  static HWY_INLINE V Join(V a, V b) {
    return Take(a, b);
  }
};

template <class Op, class T>
HWY_INLINE T TakeOne(T a, T x) {
  const One<T> d;
  return hn::GetLane(Op::Take(hn::Set(d, a), hn::Set(d, x)));
}

template <class Op, class T>
HWY_INLINE T JoinOne(T a, T b) {
  const One<T> d;
  return hn::GetLane(Op::Join(hn::Set(d, a), hn::Set(d, b)));
}

template <class Op, class D, class V, class T = hn::TFromD<D>>
HWY_INLINE T JoinLanes(D d, V v) {
  if constexpr (Op::kIsSum) {
    return hn::GetLane(hn::SumOfLanes(d, v));
  } else {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    hn::Store(v, d, lanes);
    T result = lanes[0];
    for (size_t i = 1; i < hn::Lanes(d); ++i) result = JoinOne<Op>(result, lanes[i]);
    return result;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
