// The micro-operations of map for one element.
#pragma once

#include <cstdint>

#include "cuda/kernels/entry.h"
#include "program/kinds.h"

namespace nabla::cuda {

__device__ __forceinline__ float Nan() { return __int_as_float(0x7fc00000); }
__device__ __forceinline__ float Infinity() { return __int_as_float(0x7f800000); }

// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011): Philox4x32-10, one of the four words
// of the counter that the element belongs to.
__device__ __forceinline__ uint32_t PhiloxWord(uint64_t element, const uint32_t* state, uint32_t stream) {
  const uint64_t index = element / 4;
  uint32_t c0 = static_cast<uint32_t>(index), c1 = static_cast<uint32_t>(index >> 32), c2 = state[2],
           c3 = stream;
  uint32_t k0 = state[0], k1 = state[1];
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const uint32_t word = static_cast<uint32_t>(element % 4);
  return word < 2 ? (word == 0 ? c0 : c1) : (word == 2 ? c2 : c3);
}

__device__ __forceinline__ float Mod(float a, float b) {
  const float r = fmodf(a, b);
  if (r == 0) return copysignf(0.0f, b);
  return (r < 0) != (b < 0) ? r + b : r;
}

__device__ __forceinline__ float FloorDiv(float a, float b) {
  if (b == 0) return a / b;
  const float r = fmodf(a, b);
  // In double precision, where a quotient beyond 2^24 is still whole before it is rounded once.
  double quotient = (static_cast<double>(a) - r) / b;
  if (r != 0 && (r < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return copysignf(0.0f, a / b);
  return static_cast<float>(rint(quotient));
}

__device__ __forceinline__ int32_t FloorDivInt(int32_t a, int32_t b) {
  if (b == 0) return 0;
  // The one quotient that does not fit wraps.
  if (b == -1) return static_cast<int32_t>(0u - static_cast<uint32_t>(a));
  const int32_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

__device__ __forceinline__ int32_t ToInt(float x) {
  if (x != x) return 0;
  if (x >= 2147483648.0f) return INT32_MAX;
  if (x <= -2147483648.0f) return INT32_MIN;
  return static_cast<int32_t>(x);
}

__device__ __forceinline__ float Sigmoid(float x) {
  const float z = expf(-fabsf(x));
  return (x < 0 ? z : 1.0f) / (1.0f + z);
}

// The probability that a standard normal number is at most x.
__device__ __forceinline__ float NormalBelow(float x) {
#if defined(__CUDACC__)
  return normcdff(x);
#else
  return static_cast<float>(0.5 * std::erfc(-x / std::sqrt(2.0)));
#endif
}

// M. Giles, "Approximating the erfinv function" (2010), single precision.
__device__ __forceinline__ float Erfinv(float x) {
  if (fabsf(x) == 1) return copysignf(Infinity(), x);
  float w = -logf((1 - x) * (1 + x));
  float p;
  if (w < 5) {
    w -= 2.5f;
    p = 2.81022636e-08f;
    p = fmaf(p, w, 3.43273939e-07f);
    p = fmaf(p, w, -3.5233877e-06f);
    p = fmaf(p, w, -4.39150654e-06f);
    p = fmaf(p, w, 0.00021858087f);
    p = fmaf(p, w, -0.00125372503f);
    p = fmaf(p, w, -0.00417768164f);
    p = fmaf(p, w, 0.246640727f);
    p = fmaf(p, w, 1.50140941f);
  } else {
    w = sqrtf(w) - 3.0f;
    p = -0.000200214257f;
    p = fmaf(p, w, 0.000100950558f);
    p = fmaf(p, w, 0.00134934322f);
    p = fmaf(p, w, -0.00367342844f);
    p = fmaf(p, w, 0.00573950773f);
    p = fmaf(p, w, -0.0076224613f);
    p = fmaf(p, w, 0.00943887047f);
    p = fmaf(p, w, 1.00167406f);
    p = fmaf(p, w, 2.83297682f);
  }
  return p * x;
}

// A register of a thread: float32 or int32 by what was last put into it.
struct Register {
  uint32_t bits;

  __device__ __forceinline__ float f() const { return __int_as_float(static_cast<int>(bits)); }
  __device__ __forceinline__ int32_t i() const { return static_cast<int32_t>(bits); }
};

__device__ __forceinline__ Register OfFloat(float value) {
  return {static_cast<uint32_t>(__float_as_int(value))};
}
__device__ __forceinline__ Register OfInt(uint32_t value) { return {value}; }

// One case of a micro-operation: the expression over the operands a, b and c, which are x and y as floats, i
// and j as integers, for each element; in turn where it is long, so that the code stays small.
#define NABLA_CASE(expression)                           \
  for (int k = 0; k < kElements; k++) {                  \
    const Register a = first[k], b = second[k];          \
    [[maybe_unused]] const Register c = third[k];        \
    [[maybe_unused]] const float x = a.f(), y = b.f();   \
    [[maybe_unused]] const int32_t i = a.i(), j = b.i(); \
    out[k] = expression;                                 \
  }                                                      \
  break;
#define NABLA_SHORT(expression) NABLA_CASE(expression)
#if defined(__CUDACC__)
#define NABLA_LONG(expression) _Pragma("unroll 1") NABLA_CASE(expression)
#else
#define NABLA_LONG(expression) NABLA_CASE(expression)
#endif

// A micro-operation over registers, each of kElements elements; the result may take an operand's place.
template <int kElements>
__device__ __forceinline__ void Apply(Micro micro, Register* out, const Register* first,
                                      const Register* second, const Register* third) {
  // clang-format off
  switch (micro) {
    case Micro::k_toFloat: NABLA_SHORT(OfFloat(static_cast<float>(i)))
    case Micro::k_toInt: NABLA_SHORT(OfInt(ToInt(x)))
    case Micro::k_select: NABLA_SHORT(i != 0 ? b : c)
    case Micro::k_selectInt: NABLA_SHORT(i != 0 ? b : c)

    case Micro::k_neg: NABLA_SHORT(OfInt(a.bits ^ 0x80000000u))
    case Micro::k_abs: NABLA_SHORT(OfInt(a.bits & 0x7fffffffu))
    case Micro::k_sign: NABLA_SHORT(OfFloat(x > 0 ? 1.0f : x < 0 ? -1.0f : x == 0 ? 0.0f : x))
    case Micro::k_floor: NABLA_SHORT(OfFloat(floorf(x)))
    case Micro::k_ceil: NABLA_SHORT(OfFloat(ceilf(x)))
    case Micro::k_round: NABLA_SHORT(OfFloat(rintf(x)))
    case Micro::k_trunc: NABLA_SHORT(OfFloat(truncf(x)))
    case Micro::k_relu: NABLA_SHORT(OfFloat(x < 0 ? 0.0f : x))
    case Micro::k_square: NABLA_SHORT(OfFloat(x * x))
    case Micro::k_sqrt: NABLA_LONG(OfFloat(sqrtf(x)))
    case Micro::k_rsqrt: NABLA_LONG(OfFloat(1.0f / sqrtf(x)))
    case Micro::k_reciprocal: NABLA_LONG(OfFloat(1.0f / x))
    case Micro::k_exp: NABLA_LONG(OfFloat(expf(x)))
    case Micro::k_expm1: NABLA_LONG(OfFloat(expm1f(x)))
    case Micro::k_log: NABLA_LONG(OfFloat(logf(x)))
    case Micro::k_log1p: NABLA_LONG(OfFloat(log1pf(x)))
    case Micro::k_sin: NABLA_LONG(OfFloat(sinf(x)))
    case Micro::k_cos: NABLA_LONG(OfFloat(cosf(x)))
    case Micro::k_tan: NABLA_LONG(OfFloat(tanf(x)))
    case Micro::k_asin: NABLA_LONG(OfFloat(asinf(x)))
    case Micro::k_acos: NABLA_LONG(OfFloat(acosf(x)))
    case Micro::k_atan: NABLA_LONG(OfFloat(atanf(x)))
    case Micro::k_sinh: NABLA_LONG(OfFloat(sinhf(x)))
    case Micro::k_cosh: NABLA_LONG(OfFloat(coshf(x)))
    case Micro::k_tanh: NABLA_LONG(OfFloat(tanhf(x)))
    case Micro::k_asinh: NABLA_LONG(OfFloat(asinhf(x)))
    case Micro::k_acosh: NABLA_LONG(OfFloat(x < 1 ? Nan() : acoshf(x)))
    case Micro::k_atanh: NABLA_LONG(OfFloat(atanhf(x)))
    case Micro::k_sigmoid: NABLA_LONG(OfFloat(Sigmoid(x)))
    case Micro::k_softplus: NABLA_LONG(OfFloat((x < 0 ? 0.0f : x) + log1pf(expf(-fabsf(x)))))
    case Micro::k_erf: NABLA_LONG(OfFloat(erff(x)))
    case Micro::k_erfinv: NABLA_LONG(OfFloat(Erfinv(x)))
    case Micro::k_isNaN: NABLA_SHORT(OfInt(x != x))
    case Micro::k_isFinite: NABLA_SHORT(OfInt((a.bits & 0x7f800000u) != 0x7f800000u))

    case Micro::k_add: NABLA_SHORT(OfFloat(x + y))
    case Micro::k_sub: NABLA_SHORT(OfFloat(x - y))
    case Micro::k_mul: NABLA_SHORT(OfFloat(x * y))
    case Micro::k_div: NABLA_LONG(OfFloat(x / y))
    case Micro::k_minimum: NABLA_SHORT(x != x || x < y ? a : b)
    case Micro::k_maximum: NABLA_SHORT(x != x || x > y ? a : b)
    case Micro::k_pow: NABLA_LONG(OfFloat(powf(x, y)))
    case Micro::k_mod: NABLA_LONG(OfFloat(Mod(x, y)))
    case Micro::k_floorDiv: NABLA_LONG(OfFloat(FloorDiv(x, y)))
    case Micro::k_atan2: NABLA_LONG(OfFloat(atan2f(x, y)))
    case Micro::k_mulAdd: NABLA_SHORT(OfFloat(fmaf(x, y, c.f())))

    case Micro::k_equal: NABLA_SHORT(OfInt(x == y))
    case Micro::k_notEqual: NABLA_SHORT(OfInt(x != y))
    case Micro::k_less: NABLA_SHORT(OfInt(x < y))
    case Micro::k_lessEqual: NABLA_SHORT(OfInt(x <= y))

    case Micro::k_negInt: NABLA_SHORT(OfInt(0u - a.bits))
    case Micro::k_absInt: NABLA_SHORT(OfInt(i < 0 ? 0u - a.bits : a.bits))
    case Micro::k_signInt: NABLA_SHORT(OfInt((i > 0) - (i < 0)))
    case Micro::k_addInt: NABLA_SHORT(OfInt(a.bits + b.bits))
    case Micro::k_subInt: NABLA_SHORT(OfInt(a.bits - b.bits))
    case Micro::k_mulInt: NABLA_SHORT(OfInt(a.bits * b.bits))
    case Micro::k_floorDivInt: NABLA_LONG(OfInt(FloorDivInt(i, j)))
    case Micro::k_modInt: NABLA_LONG(OfInt(j == 0 ? 0u : a.bits - static_cast<uint32_t>(FloorDivInt(i, j)) * b.bits))
    case Micro::k_minimumInt: NABLA_SHORT(i < j ? a : b)
    case Micro::k_maximumInt: NABLA_SHORT(i > j ? a : b)
    case Micro::k_equalInt: NABLA_SHORT(OfInt(i == j))
    case Micro::k_notEqualInt: NABLA_SHORT(OfInt(i != j))
    case Micro::k_lessInt: NABLA_SHORT(OfInt(i < j))
    case Micro::k_lessEqualInt: NABLA_SHORT(OfInt(i <= j))
    case Micro::k_andInt: NABLA_SHORT(OfInt(a.bits & b.bits))
    case Micro::k_orInt: NABLA_SHORT(OfInt(a.bits | b.bits))
    case Micro::k_xorInt: NABLA_SHORT(OfInt(a.bits ^ b.bits))
    case Micro::k_notBool: NABLA_SHORT(OfInt(i == 0))
    case Micro::k_toBool: NABLA_SHORT(OfInt(i != 0))

    case Micro::k_gelu: NABLA_LONG(OfFloat(x * NormalBelow(x)))
    case Micro::k_geluSlope: NABLA_LONG(OfFloat(NormalBelow(x) + x * expf(-0.5f * x * x) * 0.3989422804f))
    case Micro::k_identity: NABLA_SHORT(a)

    // These are no functions of registers: see map.cu.
    case Micro::k_constant:
    case Micro::k_constantInt:
    case Micro::k_index:
    case Micro::k_random:
    case Micro::k_randomBits:
    case Micro::kCount:
      break;
  }
  // clang-format on
}

#undef NABLA_CASE
#undef NABLA_SHORT
#undef NABLA_LONG

}  // namespace nabla::cuda
