// The map kernel's plain twin: one element at a time, every micro-operation in double precision with the C
// library's mathematics.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "cpu/halves.h"
#include "cpu/kernel.h"
#include "program/micro.h"

namespace nabla::ref {
namespace {

// A register: its bits, as the kernel's lanes hold them.
struct Lane {
  uint32_t bits = 0;

  float f() const {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  int32_t i() const { return static_cast<int32_t>(bits); }
};

Lane FromFloat(double value) {
  const float rounded = static_cast<float>(value);
  Lane lane;
  std::memcpy(&lane.bits, &rounded, sizeof rounded);
  return lane;
}

Lane FromInt(int64_t value) { return Lane{static_cast<uint32_t>(value)}; }

// Salmon et al. (2011), word by word.
uint32_t PhiloxWord(uint64_t element, const uint32_t* state, uint32_t stream) {
  const uint64_t index = element / 4;
  uint32_t c[4] = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), state[2], stream};
  uint32_t k[2] = {state[0], state[1]};
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(p1),
                              static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(p0)};
    std::memcpy(c, next, sizeof c);
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c[element % 4];
}

double Mod(double a, double b) {
  const double r = std::fmod(a, b);
  if (r == 0) return std::copysign(0.0, b);
  return (r < 0) != (b < 0) ? r + b : r;
}

double FloorDiv(double a, double b) {
  if (b == 0) return a / b;
  const double r = std::fmod(a, b);
  double quotient = (a - r) / b;
  if (r != 0 && (r < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  return std::nearbyint(quotient);
}

int64_t FloorDivInt(int64_t a, int64_t b) {
  if (b == 0) return 0;
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t ModInt(int64_t a, int64_t b) { return b == 0 ? 0 : a - FloorDivInt(a, b) * b; }

int64_t ToInt(double x) {
  if (std::isnan(x)) return 0;
  if (x >= 2147483647.0) return std::numeric_limits<int32_t>::max();
  if (x <= -2147483648.0) return std::numeric_limits<int32_t>::min();
  return static_cast<int64_t>(x);
}

// The share of a standard normal distribution that lies below x.
double NormalBelow(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }

// Newton's method on erf from a rational start (Winitzki 2008).
double Erfinv(double x) {
  if (std::isnan(x) || std::abs(x) > 1) return std::numeric_limits<double>::quiet_NaN();
  if (std::abs(x) == 1) return std::copysign(std::numeric_limits<double>::infinity(), x);
  if (x == 0) return x;
  const double log = std::log1p(-x * x);
  const double term = 2 / (M_PI * 0.147) + log / 2;
  double y = std::copysign(std::sqrt(std::sqrt(term * term - log / 0.147) - term), x);
  if (std::abs(x) < 1e-6) y = x * std::sqrt(M_PI) / 2;
  for (int i = 0; i < 6; i++) {
    // Through erfc, which keeps its digits next to 1.
    const double error = x > 0.5    ? (1 - x) - std::erfc(y)
                         : x < -0.5 ? std::erfc(-y) - (1 + x)
                                    : std::erf(y) - x;
    y -= error * std::sqrt(M_PI) / 2 * std::exp(y * y);
  }
  return y;
}

Lane Evaluate(Micro micro, const Lane* v, int64_t element, const uint32_t* state) {
  const double x = static_cast<double>(v[0].f()), y = static_cast<double>(v[1].f());
  const int64_t i = v[0].i(), j = v[1].i();
  // clang-format off
  switch (micro) {
    case Micro::k_constant: return v[0];
    case Micro::k_constantInt: return v[0];
    case Micro::k_index: return FromInt(element);
    case Micro::k_random: return FromFloat((PhiloxWord(static_cast<uint64_t>(element), state, v[1].bits) >> 8) * 0x1p-24);
    case Micro::k_randomBits: return Lane{PhiloxWord(static_cast<uint64_t>(element), state, v[1].bits)};
    case Micro::k_toFloat: return FromFloat(static_cast<double>(i));
    case Micro::k_toInt: return FromInt(ToInt(x));
    case Micro::k_select: return i != 0 ? v[1] : v[2];
    case Micro::k_selectInt: return i != 0 ? v[1] : v[2];

    case Micro::k_neg: return FromFloat(-x);
    case Micro::k_abs: return FromFloat(std::abs(x));
    case Micro::k_sign: return FromFloat(x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x);
    case Micro::k_floor: return FromFloat(std::floor(x));
    case Micro::k_ceil: return FromFloat(std::ceil(x));
    case Micro::k_round: return FromFloat(std::nearbyint(x));
    case Micro::k_trunc: return FromFloat(std::trunc(x));
    case Micro::k_relu: return FromFloat(x < 0 ? 0 : x);
    case Micro::k_square: return FromFloat(x * x);
    case Micro::k_sqrt: return FromFloat(std::sqrt(x));
    case Micro::k_rsqrt: return FromFloat(1 / std::sqrt(x));
    case Micro::k_reciprocal: return FromFloat(1 / x);
    case Micro::k_exp: return FromFloat(std::exp(x));
    case Micro::k_expm1: return FromFloat(std::expm1(x));
    case Micro::k_log: return FromFloat(std::log(x));
    case Micro::k_log1p: return FromFloat(std::log1p(x));
    case Micro::k_sin: return FromFloat(std::sin(x));
    case Micro::k_cos: return FromFloat(std::cos(x));
    case Micro::k_tan: return FromFloat(std::tan(x));
    case Micro::k_asin: return FromFloat(std::asin(x));
    case Micro::k_acos: return FromFloat(std::acos(x));
    case Micro::k_atan: return FromFloat(std::atan(x));
    case Micro::k_sinh: return FromFloat(std::sinh(x));
    case Micro::k_cosh: return FromFloat(std::cosh(x));
    case Micro::k_tanh: return FromFloat(std::tanh(x));
    case Micro::k_asinh: return FromFloat(std::asinh(x));
    case Micro::k_acosh: return FromFloat(x < 1 ? std::numeric_limits<double>::quiet_NaN() : std::acosh(x));
    case Micro::k_atanh: return FromFloat(std::atanh(x));
    case Micro::k_sigmoid: return FromFloat(x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)));
    case Micro::k_softplus: return FromFloat(x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)));
    case Micro::k_erf: return FromFloat(std::erf(x));
    case Micro::k_erfinv: return FromFloat(Erfinv(x));
    case Micro::k_isNaN: return FromInt(std::isnan(x));
    case Micro::k_isFinite: return FromInt(std::isfinite(x));

    case Micro::k_add: return FromFloat(x + y);
    case Micro::k_sub: return FromFloat(x - y);
    case Micro::k_mul: return FromFloat(x * y);
    case Micro::k_div: return FromFloat(x / y);
    case Micro::k_minimum: return std::isnan(x) || (!std::isnan(y) && x < y) ? v[0] : v[1];
    case Micro::k_maximum: return std::isnan(x) || (!std::isnan(y) && x > y) ? v[0] : v[1];
    case Micro::k_pow: return FromFloat(std::pow(x, y));
    case Micro::k_mod: return FromFloat(Mod(x, y));
    case Micro::k_floorDiv: return FromFloat(FloorDiv(x, y));
    case Micro::k_atan2: return FromFloat(std::atan2(x, y));
    case Micro::k_mulAdd: return FromFloat(std::fma(v[0].f(), v[1].f(), v[2].f()));

    case Micro::k_equal: return FromInt(x == y);
    case Micro::k_notEqual: return FromInt(x != y);
    case Micro::k_less: return FromInt(x < y);
    case Micro::k_lessEqual: return FromInt(x <= y);

    case Micro::k_negInt: return FromInt(-i);
    case Micro::k_absInt: return FromInt(std::abs(i));
    case Micro::k_signInt: return FromInt((i > 0) - (i < 0));
    case Micro::k_addInt: return FromInt(i + j);
    case Micro::k_subInt: return FromInt(i - j);
    case Micro::k_mulInt: return FromInt(i * j);
    case Micro::k_floorDivInt: return FromInt(FloorDivInt(i, j));
    case Micro::k_modInt: return FromInt(ModInt(i, j));
    case Micro::k_minimumInt: return FromInt(std::min(i, j));
    case Micro::k_maximumInt: return FromInt(std::max(i, j));
    case Micro::k_equalInt: return FromInt(i == j);
    case Micro::k_notEqualInt: return FromInt(i != j);
    case Micro::k_lessInt: return FromInt(i < j);
    case Micro::k_lessEqualInt: return FromInt(i <= j);
    case Micro::k_andInt: return FromInt(i & j);
    case Micro::k_orInt: return FromInt(i | j);
    case Micro::k_xorInt: return FromInt(i ^ j);
    case Micro::k_notBool: return FromInt(i == 0);
    case Micro::k_toBool: return FromInt(i != 0);
    case Micro::k_gelu: return FromFloat(x * NormalBelow(x));
    case Micro::k_geluSlope: return FromFloat(NormalBelow(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI));
    case Micro::k_identity: return v[0];
    case Micro::kCount: break;
  }
  // clang-format on
  return Lane{};
}

// Element of the input that an element of the output takes.
int64_t BroadcastIndex(const Operand& out, const Operand& input, int64_t element) {
  int64_t index = 0, stride = 1;
  for (int32_t d = 1; d <= out.rank; d++) {
    const int64_t at = element % out.dims[out.rank - d];
    element /= out.dims[out.rank - d];
    if (d > input.rank) continue;
    const int64_t dim = input.dims[input.rank - d];
    if (dim != 1) index += at * stride;
    stride *= dim;
  }
  return index;
}

Lane Load(const Operand& input, int64_t at) {
  if (SizeOf(input.dtype) == 1) return Lane{input.as<uint8_t>()[at]};
  if (IsHalf(input.dtype)) return FromFloat(FromHalf(input.dtype, input.as<uint16_t>()[at]));
  return Lane{input.as<uint32_t>()[at]};
}

}  // namespace

void RunMap(const Call& call) {
  const Operand& out = call.operand(0);
  const int inputs = static_cast<int>(call.instruction.operands.size()) - 1;
  const int micros = static_cast<int>(call.instruction.attributes.size() / kMicroWords);
  bool byElement[kMaxMapInputs] = {};
  for (int m = 0; m < micros; m++) {
    const int32_t* words = &call.instruction.attributes[static_cast<size_t>(m) * kMicroWords];
    const MicroInfo& info = kMicros[words[0]];
    for (int k = 0; k < info.arity; k++) {
      const bool isRegister = info.operands[k] == 'f' || info.operands[k] == 'i';
      if (isRegister && words[1 + k] < inputs) byElement[words[1 + k]] = true;
    }
  }
  for (int64_t e = 0; e < out.size; e++) {
    Lane registers[kMaxMapInputs + kMaxMicro];
    for (int i = 0; i < inputs; i++) {
      const Operand& input = call.operand(static_cast<size_t>(i) + 1);
      if (byElement[i]) registers[i] = Load(input, BroadcastIndex(out, input, e));
    }
    for (int m = 0; m < micros; m++) {
      const int32_t* words = &call.instruction.attributes[static_cast<size_t>(m) * kMicroWords];
      const MicroInfo& info = kMicros[words[0]];
      Lane values[3];
      const uint32_t* state = nullptr;
      for (int k = 0; k < info.arity; k++) {
        const int32_t word = words[1 + k];
        if (info.operands[k] == '#') {
          values[k] = FromInt(word);
        } else if (info.operands[k] == '@') {
          state = call.operand(static_cast<size_t>(word) + 1).as<uint32_t>();
        } else {
          values[k] = registers[word];
        }
      }
      registers[inputs + m] = Evaluate(static_cast<Micro>(words[0]), values, e, state);
    }
    const Lane result = registers[inputs + micros - 1];
    if (SizeOf(out.dtype) == 1) {
      out.as<uint8_t>()[e] = static_cast<uint8_t>(result.bits);
    } else if (IsHalf(out.dtype)) {
      out.as<uint16_t>()[e] = ToHalf(out.dtype, result.f());
    } else {
      out.as<uint32_t>()[e] = result.bits;
    }
  }
}

}  // namespace nabla::ref
