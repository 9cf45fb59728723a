// Exponentials, logarithms and what is built on them, for whole vectors of float32: the map kernel's
// mathematics.
//
// Every function takes NaN, infinities, zeros and denormals as the C library does. Polynomials are minimax
// fits made for these intervals; argument reductions are those of Cody and Waite, "Software Manual for the
// Elementary Functions" (1980).
#if defined(NABLA_MICRO_MATH_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MICRO_MATH_H
#undef NABLA_MICRO_MATH_H
#else
#define NABLA_MICRO_MATH_H
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using TagF = hn::ScalableTag<float>;
using TagI = hn::ScalableTag<int32_t>;
using TagU = hn::ScalableTag<uint32_t>;
using VecF = hn::Vec<TagF>;
using VecI = hn::Vec<TagI>;
using VecU = hn::Vec<TagU>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kQuietNaN = std::numeric_limits<float>::quiet_NaN();

HWY_INLINE VecF Splat(float value) { return hn::Set(TagF(), value); }

// c[0] + c[1] x + c[2] x^2 + ... by Horner's rule.
HWY_INLINE VecF Poly(VecF, float c) { return Splat(c); }
template <class... Rest>
HWY_INLINE VecF Poly(VecF x, float c, Rest... rest) {
  return hn::MulAdd(Poly(x, rest...), x, Splat(c));
}

// These keep a NaN in x, which Min and Max do on some machines only.
HWY_INLINE VecF AtMost(VecF x, float limit) {
  return hn::IfThenElse(hn::Gt(x, Splat(limit)), Splat(limit), x);
}
HWY_INLINE VecF AtLeast(VecF x, float limit) {
  return hn::IfThenElse(hn::Lt(x, Splat(limit)), Splat(limit), x);
}

// n / d for d between 0.5 and 8: one refined estimate where that beats the divider.
HWY_INLINE VecF QuickDiv(VecF n, VecF d) {
#if HWY_TARGET == HWY_AVX3
  const VecF estimate = hn::ApproximateReciprocal(d);  // 14 bits
  const VecF quotient = hn::Mul(n, estimate);
  return hn::MulAdd(hn::NegMulAdd(d, quotient, n), estimate, quotient);
#else
  return hn::Div(n, d);
#endif
}

// x rounded to an integer, for |x| < 2^22: adding 1.5 * 2^23 leaves the integer in the low bits of the sum.
constexpr float kRounder = 12582912.0f;
constexpr int32_t kRounderBits = 0x4b400000;
constexpr int kMantissaBits = 23;
constexpr uint32_t kOneBits = 0x3f800000;

// 2^n out of a sum made with kRounder, for n in [-126, 127]; the constant's own bits are shifted out.
HWY_INLINE VecF Pow2FromRounded(VecF sum) {
  const VecU shifted = hn::ShiftLeft<kMantissaBits>(hn::BitCast(TagU(), sum));
  return hn::BitCast(TagF(), hn::Add(shifted, hn::Set(TagU(), kOneBits)));
}

// 2^n for n in [-126, 127].
HWY_INLINE VecF Pow2(VecI n) {
  return hn::BitCast(
      TagF(), hn::Add(hn::ShiftLeft<kMantissaBits>(n), hn::Set(TagI(), static_cast<int32_t>(kOneBits))));
}

// x = n ln 2 + r with |r| <= ln 2 / 2; sum holds n as kRounder leaves it.
HWY_INLINE VecF ReduceExp(VecF x, VecF& sum) {
  sum = hn::MulAdd(x, Splat(1.44269504f), Splat(kRounder));
  const VecF n = hn::Sub(sum, Splat(kRounder));
  const VecF r = hn::NegMulAdd(n, Splat(6.931457520e-01f), x);  // 15 bits of ln 2: n times it is exact
  return hn::NegMulAdd(n, Splat(1.428606820e-06f), r);
}

// e^r - 1 for |r| <= ln 2 / 2.
HWY_INLINE VecF Expm1Poly(VecF r) {
  const VecF p =
      Poly(r, 4.999999404e-01f, 1.666652113e-01f, 4.166825861e-02f, 8.368669078e-03f, 1.382135553e-03f);
  return hn::MulAdd(hn::Mul(r, r), p, r);
}

// e^x for |x| < 87, where results are normal.
HWY_INLINE VecF ExpCentral(VecF x) {
  VecF sum = Splat(0.0f);
  const VecF r = ReduceExp(x, sum);
  const VecF scale = Pow2FromRounded(sum);
  return hn::MulAdd(Expm1Poly(r), scale, scale);
}

// e^x * 2^kBias, kBias 0 or -1, over the whole range: the power of two is applied in two halves, so that
// denormal results and those next to overflow come out right.
template <int kBias>
HWY_INLINE VecF ExpBiased(VecF x) {
  VecF sum = Splat(0.0f);
  const VecF r = ReduceExp(AtMost(AtLeast(x, -105.0f), 90.0f), sum);
  const VecI n = hn::Sub(hn::BitCast(TagI(), sum), hn::Set(TagI(), kRounderBits - kBias));
  const VecI half = hn::ShiftRight<1>(n);
  const VecF value = hn::Add(Expm1Poly(r), Splat(1.0f));
  return hn::Mul(hn::Mul(value, Pow2(half)), Pow2(hn::Sub(n, half)));
}

HWY_INLINE VecF Exp(VecF x) {
  if (HWY_LIKELY(hn::AllTrue(TagF(), hn::Lt(hn::Abs(x), Splat(87.0f))))) return ExpCentral(x);
  return ExpBiased<0>(x);
}

// e^x for x <= 0, where results below 2^-126 may be 0.
HWY_INLINE VecF ExpNegative(VecF x) {
  VecF sum = Splat(0.0f);
  const VecF r = ReduceExp(AtLeast(x, -88.0f), sum);
  const VecF scale = Pow2FromRounded(sum);
  const VecF value = hn::MulAdd(Expm1Poly(r), scale, scale);
  return hn::IfThenZeroElse(hn::Lt(x, Splat(-87.3365f)), value);
}

HWY_INLINE VecF Expm1(VecF x) {
  VecF sum = Splat(0.0f);
  const VecF r = ReduceExp(AtMost(AtLeast(x, -25.0f), 88.9f), sum);
  // 2^(n - 1), because 2^n itself overflows for the last results in range.
  const VecF half = Pow2FromRounded(hn::Sub(sum, Splat(1.0f)));
  const VecF value = hn::MulAdd(Expm1Poly(r), half, hn::Sub(half, Splat(0.5f)));
  return hn::CopySign(hn::Add(value, value), x);
}

HWY_INLINE VecF Sigmoid(VecF x) {
  const VecF one = Splat(1.0f);
  const VecF z = ExpNegative(hn::Neg(hn::Abs(x)));
  return QuickDiv(hn::IfThenElse(hn::Lt(x, Splat(0.0f)), z, one), hn::Add(one, z));
}

// tanh(a) = -t / (t + 2) with t = e^(-2a) - 1.
HWY_INLINE VecF Tanh(VecF x) {
  VecF sum = Splat(0.0f);
  const VecF r = ReduceExp(hn::Mul(AtMost(hn::Abs(x), 10.0f), Splat(-2.0f)), sum);
  const VecF scale = Pow2FromRounded(sum);
  const VecF t = hn::MulAdd(Expm1Poly(r), scale, hn::Sub(scale, Splat(1.0f)));
  return hn::CopySign(QuickDiv(t, hn::Add(t, Splat(2.0f))), x);
}

// log(2^e (1 + f)) for 1 + f between sqrt(1/2) and sqrt(2).
HWY_INLINE VecF LogPoly(VecF f, VecF e) {
  const VecF p =
      Poly(f, 3.333331347e-01f, -2.500000894e-01f, 2.000207305e-01f, -1.666799635e-01f, 1.422032565e-01f,
           -1.240602657e-01f, 1.188358217e-01f, -1.167151853e-01f, 6.751017272e-02f);
  const VecF square = hn::Mul(f, f);
  VecF low = hn::Mul(hn::Mul(square, f), p);
  low = hn::MulAdd(e, Splat(1.428606820e-06f), low);
  low = hn::NegMulAdd(square, Splat(0.5f), low);
  return hn::MulAdd(e, Splat(6.931457520e-01f), hn::Add(f, low));
}

// Splits a positive normal x into 2^e * m with m between sqrt(1/2) and sqrt(2).
HWY_INLINE VecF SplitExponent(VecF x, VecI& e) {
  const VecI bits = hn::BitCast(TagI(), x);
  e = hn::ShiftRight<kMantissaBits>(hn::Sub(bits, hn::Set(TagI(), 0x3f3504f3)));  // bits of sqrt(1/2)
  return hn::BitCast(TagF(), hn::Sub(bits, hn::ShiftLeft<kMantissaBits>(e)));
}

// What every logarithm gives where its argument is no positive number.
HWY_INLINE VecF LogEdges(VecF argument, VecF result) {
  result = hn::IfThenElse(hn::Lt(argument, Splat(kInfinity)), result, argument);  // +inf and NaN
  result = hn::IfThenElse(hn::Eq(argument, Splat(0.0f)), Splat(-kInfinity), result);
  return hn::IfThenElse(hn::Lt(argument, Splat(0.0f)), Splat(kQuietNaN), result);
}

// The logarithm of positive normal numbers.
HWY_INLINE VecF LogCentral(VecF x) {
  VecI e = hn::Zero(TagI());
  const VecF m = SplitExponent(x, e);
  return LogPoly(hn::Sub(m, Splat(1.0f)), hn::ConvertTo(TagF(), e));
}

HWY_INLINE VecF Log(VecF x) {
  const auto normal =
      hn::And(hn::Ge(x, Splat(std::numeric_limits<float>::min())), hn::Lt(x, Splat(kInfinity)));
  if (HWY_LIKELY(hn::AllTrue(TagF(), normal))) return LogCentral(x);
  const auto denormal = hn::Lt(x, Splat(std::numeric_limits<float>::min()));
  VecI e = hn::Zero(TagI());
  const VecF m = SplitExponent(hn::IfThenElse(denormal, hn::Mul(x, Splat(0x1p25f)), x), e);
  const VecF exponent = hn::Sub(hn::ConvertTo(TagF(), e), hn::IfThenElseZero(denormal, Splat(25.0f)));
  return LogEdges(x, LogPoly(hn::Sub(m, Splat(1.0f)), exponent));
}

// What 1 + x loses in rounding is given back to the polynomial's argument.
HWY_INLINE VecF Log1p(VecF x) {
  const VecF one = Splat(1.0f);
  const VecF u = hn::Add(one, x);
  const VecF lost = hn::Sub(x, hn::Sub(u, one));
  VecI e = hn::Zero(TagI());
  const VecF m = SplitExponent(u, e);
  // Nothing is lost that matters where 2^-e would be denormal.
  const VecF scale = Pow2(hn::Neg(hn::Min(e, hn::Set(TagI(), 126))));
  const VecF f = hn::MulAdd(lost, scale, hn::Sub(m, one));
  const VecF value = LogEdges(u, LogPoly(f, hn::ConvertTo(TagF(), e)));
  return hn::IfThenElse(hn::Eq(x, Splat(0.0f)), x, value);
}

HWY_INLINE VecF Softplus(VecF x) {
  const VecF tail = Log1p(ExpNegative(hn::Neg(hn::Abs(x))));
  return hn::Add(hn::IfThenZeroElse(hn::Lt(x, Splat(0.0f)), x), tail);
}

HWY_INLINE VecF Sinh(VecF x) {
  const VecF a = hn::Abs(x);
  const VecF z = hn::Mul(x, x);
  const VecF p = Poly(z, 1.666666716e-01f, 8.333310485e-03f, 1.984289556e-04f, 2.782213187e-06f);
  const VecF small = hn::MulAdd(hn::Mul(a, z), p, a);
  const VecF half = ExpBiased<-1>(a);
  const VecF large = hn::Sub(half, hn::Div(Splat(0.25f), half));
  return hn::CopySign(hn::IfThenElse(hn::Lt(a, Splat(1.0f)), small, large), x);
}

HWY_INLINE VecF Cosh(VecF x) {
  const VecF half = ExpBiased<-1>(hn::Abs(x));
  return hn::Add(half, hn::Div(Splat(0.25f), half));
}

constexpr float kLn2 = 0.693147182f;
constexpr float kSquareFits = 1e9f;  // beyond this x^2 + 1 is x^2, and log(2x) is what is left

HWY_INLINE VecF Asinh(VecF x) {
  const VecF a = hn::Abs(x);
  const VecF z = hn::Mul(a, a);
  const VecF root = hn::Sqrt(hn::Add(z, Splat(1.0f)));
  const VecF value = Log1p(hn::Add(a, hn::Div(z, hn::Add(root, Splat(1.0f)))));
  const VecF large = hn::Add(Log(a), Splat(kLn2));
  return hn::CopySign(hn::IfThenElse(hn::Gt(a, Splat(kSquareFits)), large, value), x);
}

HWY_INLINE VecF Acosh(VecF x) {
  const VecF t = hn::Sub(x, Splat(1.0f));
  const VecF value = Log1p(hn::Add(t, hn::Sqrt(hn::MulAdd(t, t, hn::Add(t, t)))));
  const VecF large = hn::Add(Log(x), Splat(kLn2));
  const VecF valid = hn::IfThenElse(hn::Gt(x, Splat(kSquareFits)), large, value);
  return hn::IfThenElse(hn::Lt(x, Splat(1.0f)), Splat(kQuietNaN), valid);
}

HWY_INLINE VecF Atanh(VecF x) {
  const VecF a = hn::Abs(x);
  const VecF value = hn::Mul(Splat(0.5f), Log1p(hn::Div(hn::Add(a, a), hn::Sub(Splat(1.0f), a))));
  return hn::CopySign(value, x);
}

constexpr float kErfSplit = 0.96f;

HWY_INLINE VecF Erf(VecF x) {
  const VecF a = hn::Abs(x);
  const VecF p = Poly(hn::Mul(x, x), 1.283791661e-01f, -3.761262894e-01f, 1.128362566e-01f, -2.685574070e-02f,
                      5.192460958e-03f, -8.050817996e-04f, 8.002877439e-05f);
  const VecF small = hn::MulAdd(a, p, a);
  // -log(erfc(a)), so that the rest is one exponential.
  const VecF q =
      Poly(AtMost(a, 4.0f), -1.849377586e-04f, 1.129563689e+00f, 6.332493424e-01f, 1.083865017e-01f,
           -2.518771216e-02f, 4.196829628e-03f, -4.397541052e-04f, 2.155113179e-05f);
  const VecF large = hn::Sub(Splat(1.0f), ExpNegative(hn::Neg(q)));
  return hn::CopySign(hn::IfThenElse(hn::Lt(a, Splat(kErfSplit)), small, large), x);
}

// P(X <= -a) for a standard normal X and a >= 0, out of e^(-a^2 / 2): times a polynomial of 1 / (1 + 0.26 a),
// in the manner of Abramowitz and Stegun (26.2.17), fitted to a relative error of 3e-8 up to where the result
// is 0.
HWY_INLINE VecF NormalTail(VecF a, VecF bell) {
  const VecF one = Splat(1.0f);
  const VecF t = QuickDiv(one, hn::MulAdd(AtMost(a, 14.0f), Splat(0.26f), one));
  const VecF p = Poly(t, 0.103759058f, 0.103016749f, 0.103030249f, 0.0510276966f, 0.160947859f, -0.150949001f,
                      0.251491338f, -0.152828857f, 0.0305048954f);
  return hn::Mul(bell, hn::Mul(p, t));
}

// x^2 - square, the rounded square: what it lost, exactly.
HWY_INLINE VecF LostBySquare(VecF x, VecF square) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
  return hn::MulSub(x, x, square);
#else
  // Products of halves of 12 bits are exact (Dekker, "A floating-point technique for extending the available
  // precision", 1971).
  const VecF high = hn::BitCast(TagF(), hn::And(hn::BitCast(TagU(), x), hn::Set(TagU(), 0xfffff000u)));
  const VecF low = hn::Sub(x, high);
  const VecF rest = hn::Sub(hn::Mul(high, high), square);
  return hn::Add(hn::Add(rest, hn::Mul(hn::Add(high, high), low)), hn::Mul(low, low));
#endif
}

// e^(-x^2 / 2), where results below 2^-126 are 0.
HWY_INLINE VecF Bell(VecF x) {
  const VecF square = hn::Mul(x, x);
  const VecF power = hn::Mul(square, Splat(-0.5f));
  VecF sum = Splat(0.0f);
  const VecF whole = ReduceExp(AtLeast(power, -88.0f), sum);
  const VecF r = hn::NegMulAdd(LostBySquare(x, square), Splat(0.5f), whole);
  const VecF scale = Pow2FromRounded(sum);
  const VecF value = hn::MulAdd(Expm1Poly(r), scale, scale);
  return hn::IfThenZeroElse(hn::Lt(power, Splat(-87.3365f)), value);
}

HWY_INLINE VecF NormalBelow(VecF x, VecF bell) {
  const VecF tail = NormalTail(hn::Abs(x), bell);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(TagF())), tail, hn::Sub(Splat(1.0f), tail));
}

HWY_INLINE VecF Gelu(VecF x) { return hn::Mul(x, NormalBelow(x, Bell(x))); }

HWY_INLINE VecF GeluSlope(VecF x) {
  const VecF bell = Bell(x);
  return hn::MulAdd(hn::Mul(x, bell), Splat(0.398942280f), NormalBelow(x, bell));
}

// M. Giles, "Approximating the erfinv function" (2010), single precision.
HWY_INLINE VecF Erfinv(VecF x) {
  const VecF one = Splat(1.0f);
  const VecF w = hn::Neg(Log(hn::Mul(hn::Sub(one, x), hn::Add(one, x))));
  const VecF central =
      Poly(hn::Sub(w, Splat(2.5f)), 1.50140941f, 0.246640727f, -0.00417768164f, -0.00125372503f,
           0.00021858087f, -4.39150654e-06f, -3.5233877e-06f, 3.43273939e-07f, 2.81022636e-08f);
  const VecF tail =
      Poly(hn::Sub(hn::Sqrt(w), Splat(3.0f)), 2.83297682f, 1.00167406f, 0.00943887047f, -0.0076224613f,
           0.00573950773f, -0.00367342844f, 0.00134934322f, 0.000100950558f, -0.000200214257f);
  const VecF value = hn::Mul(hn::IfThenElse(hn::Lt(w, Splat(5.0f)), central, tail), x);
  return hn::IfThenElse(hn::Eq(hn::Abs(x), one), hn::CopySign(Splat(kInfinity), x), value);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MICRO_MATH_H
