// Powers, and the division with remainder of float32 and int32: the binary micro-operations that need more
// than float32 vectors.
#if defined(NABLA_MICRO_POW_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MICRO_POW_H
#undef NABLA_MICRO_POW_H
#else
#define NABLA_MICRO_POW_H
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "cpu/kernels/micro-lanes.h"

// Vectors of doubles: Highway 1.0 has none for WebAssembly.
#undef NABLA_VECTOR_POW
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_WASM || !HWY_HAVE_FLOAT64
#define NABLA_VECTOR_POW 0
#else
#define NABLA_VECTOR_POW 1
#endif

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if NABLA_VECTOR_POW

using TagD = hn::ScalableTag<double>;
using TagL = hn::RebindToUnsigned<TagD>;
using TagH = hn::Rebind<float, TagD>;  // as many floats as a vector has doubles
using VecD = hn::Vec<TagD>;
using VecH = hn::Vec<TagH>;

HWY_INLINE VecD SplatD(double value) { return hn::Set(TagD(), value); }

HWY_INLINE VecD PolyD(VecD, double c) { return SplatD(c); }
template <class... Rest>
HWY_INLINE VecD PolyD(VecD x, double c, Rest... rest) {
  return hn::MulAdd(PolyD(x, rest...), x, SplatD(c));
}

// log2(a) for a >= 0 that is a float32: a = 2^e m with m between sqrt(1/2) and sqrt(2), log m = 2 atanh((m -
// 1) / (m + 1)).
HWY_INLINE VecD Log2D(VecD a) {
  const TagL words;
  constexpr uint64_t kOne = 0x3ff0000000000000, kRootHalf = 0x3fe6a09e667f3bcd, kTwo52 = 0x4330000000000000;
  const auto bits = hn::BitCast(words, a);
  const auto biased = hn::ShiftRight<52>(hn::Add(bits, hn::Set(words, kOne - kRootHalf)));  // e + 1023
  const auto m = hn::BitCast(TagD(), hn::Add(hn::Sub(bits, hn::ShiftLeft<52>(biased)), hn::Set(words, kOne)));
  const VecD e =
      hn::Sub(hn::BitCast(TagD(), hn::Or(biased, hn::Set(words, kTwo52))), SplatD(0x1p52 + 1023.0));
  const VecD s = hn::Div(hn::Sub(m, SplatD(1.0)), hn::Add(m, SplatD(1.0)));
  const VecD p = PolyD(hn::Mul(s, s), 1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13);
  const VecD value = hn::MulAdd(hn::Mul(s, SplatD(2.885390081777927)), p, e);  // 2 / ln 2
  const VecD infinity = SplatD(std::numeric_limits<double>::infinity());
  const VecD edged = hn::IfThenElse(hn::Eq(a, SplatD(0.0)), hn::Neg(infinity), value);
  return hn::IfThenElse(hn::Lt(a, infinity), edged, a);
}

// 2^t for |t| <= 300: the Taylor series of 2^r, |r| <= 1/2, has coefficients (ln 2)^k / k!.
HWY_INLINE VecD Exp2D(VecD t) {
  constexpr double kRounderD = 0x1.8p52;
  const VecD sum = hn::Add(t, SplatD(kRounderD));
  const VecD r = hn::Mul(hn::Sub(t, hn::Sub(sum, SplatD(kRounderD))), SplatD(0.6931471805599453));
  const VecD p =
      PolyD(r, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320);
  const auto shifted = hn::ShiftLeft<52>(hn::BitCast(TagL(), sum));
  return hn::Mul(p, hn::BitCast(TagD(), hn::Add(shifted, hn::Set(TagL(), 0x3ff0000000000000))));
}

HWY_INLINE VecD ClampD(VecD t, double limit) {
  t = hn::IfThenElse(hn::Gt(t, SplatD(limit)), SplatD(limit), t);
  return hn::IfThenElse(hn::Lt(t, SplatD(-limit)), SplatD(-limit), t);
}

// The rules of C's pow: x^0 and 1^y are 1 even for NaN; a negative x takes whole powers only.
HWY_INLINE VecH PowLanes(VecH x, VecH y) {
  const TagH d;
  const VecH zero = hn::Zero(d);
  const VecD log = Log2D(hn::PromoteTo(TagD(), hn::Abs(x)));
  const VecD wideY = hn::PromoteTo(TagD(), y);
  const VecD wideX = hn::PromoteTo(TagD(), x);
  VecD t = hn::Mul(wideY, log);
  t = hn::IfThenZeroElse(hn::Or(hn::Eq(wideY, SplatD(0.0)), hn::Eq(wideX, SplatD(1.0))), t);
  // (-1)^inf is 1, but (-1)^NaN is NaN.
  t = hn::IfThenZeroElse(hn::And(hn::Eq(log, SplatD(0.0)), hn::Eq(wideY, wideY)), t);
  VecH value = hn::DemoteTo(d, Exp2D(ClampD(t, 300.0)));
  const auto whole = hn::Eq(hn::Trunc(y), y);
  const VecH half = hn::Mul(y, hn::Set(d, 0.5f));
  const auto odd = hn::AndNot(hn::Eq(hn::Trunc(half), half), whole);
  value = hn::IfThenElse(odd, hn::CopySign(value, x), value);
  const auto negative =
      hn::And(hn::Lt(x, zero), hn::Gt(x, hn::Set(d, -std::numeric_limits<float>::infinity())));
  return hn::IfThenElse(hn::AndNot(whole, negative), hn::Set(d, std::numeric_limits<float>::quiet_NaN()),
                        value);
}

inline void Op_pow(const MicroArgs& args) { EachLane<PowLanes>(args, PowLanes); }

#else

HWY_INLINE float Op_pow(float x, float y) {
  return static_cast<float>(std::pow(static_cast<double>(x), static_cast<double>(y)));
}

#endif

// C's fmod, exact. Below 2^29 the quotient of two float32 numbers times the divisor is exact in double
// precision, and rounding can only have raised the quotient to the next integer; beyond that the C library
// takes over.
inline double Remainder(double a, double b) {
  const double quotient = std::trunc(a / b);
  if (!(std::abs(quotient) < 0x1p29) || std::isinf(b)) return std::fmod(a, b);
  const double r = a - quotient * b;
  return r != 0 && (r < 0) != (a < 0) ? r + std::copysign(b, a) : r;
}

// NumPy's: the remainder takes the sign of the divisor.
HWY_INLINE float Op_mod(float a, float b) {
  const double wideB = static_cast<double>(b);
  const double r = Remainder(static_cast<double>(a), wideB);
  if (r == 0) return std::copysign(0.0f, b);
  return static_cast<float>((r < 0) != (wideB < 0) ? r + wideB : r);
}

// NumPy's: the remainder is taken out first, so that a quotient just below an integer is not rounded up to
// it.
HWY_INLINE float Op_floorDiv(float a, float b) {
  const double wideA = static_cast<double>(a), wideB = static_cast<double>(b);
  if (wideB == 0) return a / b;
  const double r = Remainder(wideA, wideB);
  const double quotient = (wideA - r) / wideB - (r != 0 && (r < 0) != (wideB < 0) ? 1 : 0);
  if (quotient == 0) return static_cast<float>(std::copysign(0.0, wideA / wideB));
  return static_cast<float>(std::nearbyint(quotient));
}

// Division in 64 bits, where the lowest int32 over -1 has a result; narrowing wraps it.
HWY_INLINE int32_t Op_floorDivInt(int32_t a, int32_t b) {
  if (b == 0) return 0;
  const int64_t quotient = int64_t{a} / b;
  return static_cast<int32_t>(quotient - ((a % int64_t{b}) != 0 && (a < 0) != (b < 0)));
}

HWY_INLINE int32_t Op_modInt(int32_t a, int32_t b) {
  if (b == 0) return 0;
  const int64_t r = int64_t{a} % b;
  return static_cast<int32_t>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MICRO_POW_H
