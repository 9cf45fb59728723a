// Every micro-operation of micro.def as a function of vectors, and the table that the map kernel picks from.
#if defined(NABLA_MICRO_OPS_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MICRO_OPS_H
#undef NABLA_MICRO_OPS_H
#else
#define NABLA_MICRO_OPS_H
#endif

#include <hwy/highway.h>

#include "cpu/kernels/micro-lanes.h"
#include "cpu/kernels/micro-math.h"
#include "cpu/kernels/micro-pow.h"
#include "cpu/kernels/micro-random.h"
#include "cpu/kernels/micro-trig.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE VecI SplatI(int32_t value) { return hn::Set(TagI(), value); }
HWY_INLINE VecF ZeroF() { return hn::Zero(TagF()); }

// Comparisons give 1 or 0.
template <class M>
HWY_INLINE VecI OneWhere(M mask) {
  return hn::IfThenElseZero(hn::RebindMask(TagI(), mask), SplatI(1));
}

// Arithmetic that wraps is done on unsigned lanes.
HWY_INLINE VecU Bits(VecI x) { return hn::BitCast(TagU(), x); }
HWY_INLINE VecI Ints(VecU x) { return hn::BitCast(TagI(), x); }

inline void Op_constant(const MicroArgs& args) {
  const VecI value = SplatI(*static_cast<const int32_t*>(args.a));
  size_t i = 0;
  for (; i + hn::Lanes(TagI()) <= args.count; i += hn::Lanes(TagI())) StoreLanes(value, TagI(), args.out, i);
  if (i < args.count) StoreTail(value, TagI(), args, i, args.count - i);
}
inline void Op_constantInt(const MicroArgs& args) { Op_constant(args); }

inline void Op_index(const MicroArgs& args) {
  VecU value = hn::Iota(TagU(), static_cast<uint32_t>(args.first));
  const VecU step = hn::Set(TagU(), static_cast<uint32_t>(hn::Lanes(TagU())));
  size_t i = 0;
  for (; i + hn::Lanes(TagU()) <= args.count; i += hn::Lanes(TagU())) {
    StoreLanes(value, TagU(), args.out, i);
    value = hn::Add(value, step);
  }
  if (i < args.count) StoreTail(value, TagU(), args, i, args.count - i);
}

inline void Op_random(const MicroArgs& args) { RandomWords<true>(args); }
inline void Op_randomBits(const MicroArgs& args) { RandomWords<false>(args); }

HWY_INLINE VecF Op_toFloat(VecI x) { return hn::ConvertTo(TagF(), x); }
HWY_INLINE VecI Op_toInt(VecF x) {
  return hn::ConvertTo(TagI(), hn::IfThenZeroElse(hn::IsNaN(x), x));  // saturates on every machine
}
HWY_INLINE VecF Op_select(VecI c, VecF a, VecF b) {
  return hn::IfThenElse(hn::RebindMask(TagF(), hn::Eq(c, SplatI(0))), b, a);
}
HWY_INLINE VecI Op_selectInt(VecI c, VecI a, VecI b) { return hn::IfThenElse(hn::Eq(c, SplatI(0)), b, a); }

HWY_INLINE VecF Op_identity(VecF x) { return x; }
HWY_INLINE VecF Op_neg(VecF x) { return hn::Neg(x); }
HWY_INLINE VecF Op_abs(VecF x) { return hn::Abs(x); }
HWY_INLINE VecF Op_sign(VecF x) {
  const VecF below = hn::IfThenElse(hn::Lt(x, ZeroF()), Splat(-1.0f), hn::Add(x, ZeroF()));
  return hn::IfThenElse(hn::Gt(x, ZeroF()), Splat(1.0f), below);
}
// Highway's scalar target loses the sign of zero.
HWY_INLINE VecF Op_floor(VecF x) { return hn::CopySign(hn::Floor(x), x); }
HWY_INLINE VecF Op_ceil(VecF x) { return hn::CopySign(hn::Ceil(x), x); }
HWY_INLINE VecF Op_round(VecF x) { return hn::CopySign(hn::Round(x), x); }
HWY_INLINE VecF Op_trunc(VecF x) { return hn::CopySign(hn::Trunc(x), x); }
HWY_INLINE VecF Op_relu(VecF x) { return hn::IfThenZeroElse(hn::Lt(x, ZeroF()), x); }
HWY_INLINE VecF Op_square(VecF x) { return hn::Mul(x, x); }
HWY_INLINE VecF Op_sqrt(VecF x) { return hn::Sqrt(x); }
HWY_INLINE VecF Op_rsqrt(VecF x) { return hn::Div(Splat(1.0f), hn::Sqrt(x)); }
HWY_INLINE VecF Op_reciprocal(VecF x) { return hn::Div(Splat(1.0f), x); }
HWY_INLINE VecF Op_exp(VecF x) { return Exp(x); }
HWY_INLINE VecF Op_expm1(VecF x) { return Expm1(x); }
HWY_INLINE VecF Op_log(VecF x) { return Log(x); }
HWY_INLINE VecF Op_log1p(VecF x) { return Log1p(x); }
HWY_INLINE VecF Op_sin(VecF x) { return Sin(x); }
HWY_INLINE VecF Op_cos(VecF x) { return Cos(x); }
HWY_INLINE VecF Op_tan(VecF x) { return Tan(x); }
HWY_INLINE VecF Op_asin(VecF x) { return Asin(x); }
HWY_INLINE VecF Op_acos(VecF x) { return Acos(x); }
HWY_INLINE VecF Op_atan(VecF x) { return Atan(x); }
HWY_INLINE VecF Op_sinh(VecF x) { return Sinh(x); }
HWY_INLINE VecF Op_cosh(VecF x) { return Cosh(x); }
HWY_INLINE VecF Op_tanh(VecF x) { return Tanh(x); }
HWY_INLINE VecF Op_asinh(VecF x) { return Asinh(x); }
HWY_INLINE VecF Op_acosh(VecF x) { return Acosh(x); }
HWY_INLINE VecF Op_atanh(VecF x) { return Atanh(x); }
HWY_INLINE VecF Op_sigmoid(VecF x) { return Sigmoid(x); }
HWY_INLINE VecF Op_softplus(VecF x) { return Softplus(x); }
HWY_INLINE VecF Op_erf(VecF x) { return Erf(x); }
HWY_INLINE VecF Op_erfinv(VecF x) { return Erfinv(x); }
HWY_INLINE VecF Op_gelu(VecF x) { return Gelu(x); }
HWY_INLINE VecF Op_geluSlope(VecF x) { return GeluSlope(x); }
HWY_INLINE VecI Op_isNaN(VecF x) { return OneWhere(hn::IsNaN(x)); }
HWY_INLINE VecI Op_isFinite(VecF x) { return OneWhere(hn::IsFinite(x)); }

HWY_INLINE VecF Op_add(VecF a, VecF b) { return hn::Add(a, b); }
HWY_INLINE VecF Op_sub(VecF a, VecF b) { return hn::Sub(a, b); }
HWY_INLINE VecF Op_mul(VecF a, VecF b) { return hn::Mul(a, b); }
HWY_INLINE VecF Op_div(VecF a, VecF b) { return hn::Div(a, b); }
// Comparisons with NaN are false, which leaves b; a NaN in a is put back.
HWY_INLINE VecF Op_minimum(VecF a, VecF b) {
  return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::Lt(a, b), a, b));
}
HWY_INLINE VecF Op_maximum(VecF a, VecF b) {
  return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::Gt(a, b), a, b));
}
HWY_INLINE VecF Op_atan2(VecF a, VecF b) { return Atan2(a, b); }
HWY_INLINE VecF Op_mulAdd(VecF a, VecF b, VecF c) { return hn::MulAdd(a, b, c); }

HWY_INLINE VecI Op_equal(VecF a, VecF b) { return OneWhere(hn::Eq(a, b)); }
// Highway's Ne is false for NaN on some machines.
HWY_INLINE VecI Op_notEqual(VecF a, VecF b) { return OneWhere(hn::Not(hn::Eq(a, b))); }
HWY_INLINE VecI Op_less(VecF a, VecF b) { return OneWhere(hn::Lt(a, b)); }
HWY_INLINE VecI Op_lessEqual(VecF a, VecF b) { return OneWhere(hn::Le(a, b)); }

HWY_INLINE VecI Op_negInt(VecI x) { return Ints(hn::Sub(hn::Zero(TagU()), Bits(x))); }
HWY_INLINE VecI Op_absInt(VecI x) { return hn::IfThenElse(hn::Lt(x, SplatI(0)), Op_negInt(x), x); }
HWY_INLINE VecI Op_signInt(VecI x) { return hn::Min(hn::Max(x, SplatI(-1)), SplatI(1)); }
HWY_INLINE VecI Op_addInt(VecI a, VecI b) { return Ints(hn::Add(Bits(a), Bits(b))); }
HWY_INLINE VecI Op_subInt(VecI a, VecI b) { return Ints(hn::Sub(Bits(a), Bits(b))); }
HWY_INLINE VecI Op_mulInt(VecI a, VecI b) { return Ints(hn::Mul(Bits(a), Bits(b))); }
HWY_INLINE VecI Op_minimumInt(VecI a, VecI b) { return hn::Min(a, b); }
HWY_INLINE VecI Op_maximumInt(VecI a, VecI b) { return hn::Max(a, b); }
HWY_INLINE VecI Op_equalInt(VecI a, VecI b) { return OneWhere(hn::Eq(a, b)); }
HWY_INLINE VecI Op_notEqualInt(VecI a, VecI b) { return OneWhere(hn::Ne(a, b)); }
HWY_INLINE VecI Op_lessInt(VecI a, VecI b) { return OneWhere(hn::Lt(a, b)); }
HWY_INLINE VecI Op_lessEqualInt(VecI a, VecI b) { return OneWhere(hn::Not(hn::Lt(b, a))); }
HWY_INLINE VecI Op_andInt(VecI a, VecI b) { return hn::And(a, b); }
HWY_INLINE VecI Op_orInt(VecI a, VecI b) { return hn::Or(a, b); }
HWY_INLINE VecI Op_xorInt(VecI a, VecI b) { return hn::Xor(a, b); }
HWY_INLINE VecI Op_notBool(VecI x) { return OneWhere(hn::Eq(x, SplatI(0))); }
HWY_INLINE VecI Op_toBool(VecI x) { return OneWhere(hn::Ne(x, SplatI(0))); }

constexpr MicroFn kMicroFns[] = {
#define NABLA_MICRO(name, arity, signature) RunMicro<Op_##name>,
#include "program/micro.def"
#undef NABLA_MICRO
};

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MICRO_OPS_H
