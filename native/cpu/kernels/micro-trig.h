// Circular functions and their inverses for whole vectors of float32.
//
// Arguments beyond 2^13 are reduced by the C library in double precision, lane by lane: they are rare and
// need many digits of pi.
#if defined(NABLA_MICRO_TRIG_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MICRO_TRIG_H
#undef NABLA_MICRO_TRIG_H
#else
#define NABLA_MICRO_TRIG_H
#endif

#include <cmath>

#include "cpu/kernels/micro-math.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

constexpr float kReducible = 8192.0f;
constexpr float kHalfPi = 1.570796371f;
constexpr float kHalfPiRest = -4.371139e-08f;  // what kHalfPi lacks

// x = n pi / 2 + r with |r| <= pi / 4; the low bits of quadrant hold n. The first three parts of pi / 2 have
// 11 bits, so that their products with n are exact also without a fused multiply-add.
HWY_INLINE VecF ReduceCircular(VecF x, VecI& quadrant) {
  const VecF sum = hn::MulAdd(x, Splat(0.636619747f), Splat(kRounder));
  quadrant = hn::BitCast(TagI(), sum);
  const VecF n = hn::Sub(sum, Splat(kRounder));
  VecF r = hn::NegMulAdd(n, Splat(1.5703125f), x);
  r = hn::NegMulAdd(n, Splat(4.837512969971e-04f), r);
  r = hn::NegMulAdd(n, Splat(7.549533620477e-08f), r);
  return hn::NegMulAdd(n, Splat(2.563344068e-12f), r);
}

HWY_INLINE VecF SinPoly(VecF r) {
  const VecF z = hn::Mul(r, r);
  return hn::MulAdd(hn::Mul(r, z), Poly(z, -1.666665524e-01f, 8.332189173e-03f, -1.951828453e-04f), r);
}

HWY_INLINE VecF CosPoly(VecF r) {
  const VecF z = hn::Mul(r, r);
  const VecF p = Poly(z, 4.166664556e-02f, -1.388731063e-03f, 2.443256199e-05f);
  return hn::MulAdd(hn::Mul(z, z), p, hn::NegMulAdd(z, Splat(0.5f), Splat(1.0f)));
}

// All ones where bit 0 of n is set.
HWY_INLINE hn::Mask<TagF> IsOdd(VecI n) {
  const VecI bit = hn::And(n, hn::Set(TagI(), 1));
  return hn::RebindMask(TagF(), hn::Eq(bit, hn::Set(TagI(), 1)));
}

// Takes the lanes of x that are too large from the C library.
template <double (*kExact)(double)>
HWY_INLINE VecF FixLarge(VecF x, VecF value) {
  const auto large = hn::Gt(hn::Abs(x), Splat(kReducible));
  if (HWY_LIKELY(hn::AllFalse(TagF(), large))) return value;
  HWY_ALIGN float in[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float out[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(x, TagF(), in);
  for (size_t i = 0; i < hn::Lanes(TagF()); i++)
    out[i] = static_cast<float>(kExact(static_cast<double>(in[i])));
  return hn::IfThenElse(large, hn::Load(TagF(), out), value);
}

inline double ExactSin(double x) { return std::sin(x); }
inline double ExactCos(double x) { return std::cos(x); }
inline double ExactTan(double x) { return std::tan(x); }

// The sine of r moved by so many quadrants.
HWY_INLINE VecF SinOfQuadrant(VecF r, VecI quadrant) {
  const VecF magnitude = hn::IfThenElse(IsOdd(quadrant), CosPoly(r), SinPoly(r));
  const VecI sign = hn::ShiftLeft<30>(hn::And(quadrant, hn::Set(TagI(), 2)));
  return hn::Xor(magnitude, hn::BitCast(TagF(), sign));
}

HWY_INLINE VecF Sin(VecF x) {
  VecI quadrant = hn::Zero(TagI());
  const VecF r = ReduceCircular(x, quadrant);
  const VecF value = hn::IfThenElse(hn::Eq(x, Splat(0.0f)), x, SinOfQuadrant(r, quadrant));
  return FixLarge<ExactSin>(x, value);
}

HWY_INLINE VecF Cos(VecF x) {
  VecI quadrant = hn::Zero(TagI());
  const VecF r = ReduceCircular(x, quadrant);
  return FixLarge<ExactCos>(x, SinOfQuadrant(r, hn::Add(quadrant, hn::Set(TagI(), 1))));
}

HWY_INLINE VecF Tan(VecF x) {
  VecI quadrant = hn::Zero(TagI());
  const VecF r = ReduceCircular(x, quadrant);
  const VecF s = SinPoly(r);
  const VecF c = CosPoly(r);
  const auto odd = IsOdd(quadrant);
  const VecF value = hn::Div(hn::IfThenElse(odd, hn::Neg(c), s), hn::IfThenElse(odd, s, c));
  return FixLarge<ExactTan>(x, hn::IfThenElse(hn::Eq(x, Splat(0.0f)), x, value));
}

// asin(s) - s for s = sqrt(z), 0 <= z <= 1/4.
HWY_INLINE VecF AsinRest(VecF s, VecF z) {
  const VecF p =
      Poly(z, 1.666675210e-01f, 7.495309412e-02f, 4.546914995e-02f, 2.418477833e-02f, 4.215830564e-02f);
  return hn::Mul(hn::Mul(s, z), p);
}

// Beyond 1/2: asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2)).
HWY_INLINE VecF Asin(VecF x) {
  const VecF a = hn::Abs(x);
  const auto large = hn::Gt(a, Splat(0.5f));
  const VecF z = hn::IfThenElse(large, hn::NegMulAdd(a, Splat(0.5f), Splat(0.5f)), hn::Mul(a, a));
  const VecF s = hn::IfThenElse(large, hn::Sqrt(z), a);
  const VecF value = hn::Add(s, AsinRest(s, z));
  const VecF turned = hn::Add(hn::NegMulAdd(Splat(2.0f), value, Splat(kHalfPi)), Splat(kHalfPiRest));
  return hn::CopySign(hn::IfThenElse(large, turned, value), x);
}

HWY_INLINE VecF Acos(VecF x) {
  const VecF a = hn::Abs(x);
  const auto large = hn::Gt(a, Splat(0.5f));
  const VecF z = hn::IfThenElse(large, hn::NegMulAdd(a, Splat(0.5f), Splat(0.5f)), hn::Mul(a, a));
  const VecF s = hn::IfThenElse(large, hn::Sqrt(z), x);
  const VecF rest = AsinRest(s, z);
  const VecF central = hn::Sub(Splat(kHalfPi), hn::Sub(s, hn::Sub(Splat(kHalfPiRest), rest)));
  const VecF half = hn::Add(s, rest);
  const VecF turned = hn::Sub(Splat(kHalfPi), hn::Sub(half, Splat(kHalfPiRest)));
  const VecF outer = hn::IfThenElse(hn::Lt(x, Splat(0.0f)), turned, half);
  return hn::IfThenElse(large, hn::Add(outer, outer), central);
}

// atan(t) for 0 <= t <= 1.
HWY_INLINE VecF AtanPoly(VecF t) {
  const VecF z = hn::Mul(t, t);
  const VecF p =
      Poly(z, -3.333329856e-01f, 1.999853402e-01f, -1.426410228e-01f, 1.095150635e-01f, -8.401581645e-02f,
           5.792722851e-02f, -3.114893660e-02f, 1.089969650e-02f, -1.790405833e-03f);
  return hn::MulAdd(hn::Mul(t, z), p, t);
}

HWY_INLINE VecF Atan(VecF x) {
  const VecF a = hn::Abs(x);
  const auto large = hn::Gt(a, Splat(1.0f));
  const VecF value = AtanPoly(hn::IfThenElse(large, hn::Div(Splat(1.0f), a), a));
  const VecF turned = hn::Sub(Splat(kHalfPi), hn::Sub(value, Splat(kHalfPiRest)));
  return hn::CopySign(hn::IfThenElse(large, turned, value), x);
}

HWY_INLINE VecF Atan2(VecF y, VecF x) {
  const VecF ay = hn::Abs(y);
  const VecF ax = hn::Abs(x);
  const auto steep = hn::Gt(ay, ax);
  const VecF larger = hn::IfThenElse(steep, ay, ax);
  const VecF smaller = hn::IfThenElse(steep, ax, ay);
  VecF ratio = hn::Div(smaller, larger);
  ratio = hn::IfThenElse(hn::Eq(smaller, larger), Splat(1.0f), ratio);  // also inf / inf
  ratio = hn::IfThenZeroElse(hn::Eq(larger, Splat(0.0f)), ratio);
  VecF angle = AtanPoly(ratio);
  angle = hn::IfThenElse(steep, hn::Sub(Splat(kHalfPi), hn::Sub(angle, Splat(kHalfPiRest))), angle);
  const VecF left = hn::Sub(Splat(2.0f * kHalfPi), hn::Sub(angle, Splat(2.0f * kHalfPiRest)));
  const auto negative = hn::Lt(hn::CopySign(Splat(1.0f), x), Splat(0.0f));  // -0 counts
  angle = hn::CopySign(hn::IfThenElse(negative, left, angle), y);
  const VecF sum = hn::Add(x, y);
  return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::IsNaN(y)), sum, angle);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MICRO_TRIG_H
