// cumulate: running sums, products, maxima and log-sum-exps along one axis.
#include <cmath>
#include <limits>
#include <type_traits>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/cumulate.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 32768;
// Columns that are carried side by side: a constant, so that the compiler makes vectors of them.
constexpr int64_t kTile = 32;

// Each kind: the number type that is carried, where it begins, and how an element joins. Floats are carried
// in double, so that the error does not grow with the length.
struct FloatSum {
  using Element = float;
  using Carried = double;
  static constexpr double kStart = 0;
  static HWY_INLINE double Join(double sofar, double x) { return sofar + x; }
};

struct FloatProd {
  using Element = float;
  using Carried = double;
  static constexpr double kStart = 1;
  static HWY_INLINE double Join(double sofar, double x) { return sofar * x; }
};

struct FloatMax {
  using Element = float;
  using Carried = float;
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  // A NaN stays, an x that is NaN is taken.
  static HWY_INLINE float Join(float sofar, float x) { return sofar > x || sofar != sofar ? sofar : x; }
};

struct FloatLogSumExp {
  using Element = float;
  using Carried = double;
  static constexpr double kStart = -std::numeric_limits<double>::infinity();
  static HWY_INLINE double Join(double sofar, double x) {
    if (sofar != sofar || x != x) return sofar + x;
    const double high = sofar > x ? sofar : x, low = sofar > x ? x : sofar;
    return std::isinf(high) ? high : high + std::log1p(std::exp(low - high));
  }
};

// Unsigned, where wrapping is defined.
struct IntSum {
  using Element = uint32_t;
  using Carried = uint32_t;
  static constexpr uint32_t kStart = 0;
  static HWY_INLINE uint32_t Join(uint32_t sofar, uint32_t x) { return sofar + x; }
};

struct IntProd {
  using Element = uint32_t;
  using Carried = uint32_t;
  static constexpr uint32_t kStart = 1;
  static HWY_INLINE uint32_t Join(uint32_t sofar, uint32_t x) { return sofar * x; }
};

struct IntMax {
  using Element = int32_t;
  using Carried = int32_t;
  static constexpr int32_t kStart = std::numeric_limits<int32_t>::min();
  static HWY_INLINE int32_t Join(int32_t sofar, int32_t x) { return sofar > x ? sofar : x; }
};

// Walks `count` elements of `width` neighbouring columns; `step` elements from one to the next. Width is
// int64_t or a constant of it.
template <class Kind, class Width>
void Columns(const typename Kind::Element* in, typename Kind::Element* out, int64_t count, int64_t step,
             bool exclusive, Width width) {
  using Carried = typename Kind::Carried;
  Carried sofar[kTile];
  for (int64_t c = 0; c < kTile; ++c) sofar[c] = Kind::kStart;
  for (int64_t i = 0; i < count; ++i, in += step, out += step) {
    for (int64_t c = 0; c < width; ++c) {
      const Carried next = Kind::Join(sofar[c], static_cast<Carried>(in[c]));
      out[c] = static_cast<typename Kind::Element>(exclusive ? sofar[c] : next);
      sofar[c] = next;
    }
  }
}

template <class Kind>
void Cumulate(const Call& call) {
  using Element = typename Kind::Element;
  const int64_t outer = call.attr(1), count = call.attr(2), inner = call.attr(3);
  const bool exclusive = call.attr(4) != 0, reverse = call.attr(5) != 0;
  if (outer == 0 || count == 0 || inner == 0) return;
  Element* out = call.operand(0).as<Element>();
  const Element* in = call.operand(1).as<Element>();
  const int64_t tiles = (inner + kTile - 1) / kTile;
  const int64_t step = reverse ? -inner : inner, first = reverse ? (count - 1) * inner : 0;
  const int64_t grain = std::max<int64_t>(1, kGrain / (count * std::min(inner, kTile)));
  ParallelFor(call.pool, outer * tiles, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t column = unit % tiles * kTile;
      const int64_t at = unit / tiles * count * inner + first + column;
      if (inner == 1) {
        Columns<Kind>(in + at, out + at, count, step, exclusive, std::integral_constant<int64_t, 1>());
      } else if (inner - column >= kTile) {
        Columns<Kind>(in + at, out + at, count, step, exclusive, std::integral_constant<int64_t, kTile>());
      } else {
        Columns<Kind>(in + at, out + at, count, step, exclusive, inner - column);
      }
    }
  });
}

}  // namespace

void RunCumulate(const Call& call) {
  const bool isFloat = call.operand(1).dtype == DType::kFloat32;
  switch (static_cast<CumulateKind>(call.attr(0))) {
    case CumulateKind::kSum:
      return isFloat ? Cumulate<FloatSum>(call) : Cumulate<IntSum>(call);
    case CumulateKind::kProd:
      return isFloat ? Cumulate<FloatProd>(call) : Cumulate<IntProd>(call);
    case CumulateKind::kMax:
      return isFloat ? Cumulate<FloatMax>(call) : Cumulate<IntMax>(call);
    case CumulateKind::kLogSumExp:
      return Cumulate<FloatLogSumExp>(call);
    case CumulateKind::kCount:
      break;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchCumulate(const Instruction&, int) { return 0; }

}  // namespace nabla
#endif  // HWY_ONCE
