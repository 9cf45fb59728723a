// What the map test is made of: operands in guarded memory, chains of micro-operations, numbers to try, and
// error bounds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "program/micro.h"
#include "program/program.h"

namespace nabla {

using Shape = std::vector<int64_t>;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Memory of one operand, shifted off alignment and with guard bytes behind it.
struct Buffer {
  static constexpr size_t kGuard = 64;
  std::vector<unsigned char> bytes;
  size_t shift = 0, used = 0;
  DType dtype = DType::kFloat32;
  Shape shape;

  Buffer(DType type, Shape dims, size_t misalign = 4) : shift(misalign), dtype(type), shape(std::move(dims)) {
    int64_t size = 1;
    for (const int64_t d : shape) size *= d;
    used = static_cast<size_t>(size * SizeOf(type));
    bytes.assign(used + shift + kGuard, 0xA5);
  }
  size_t size() const { return used / static_cast<size_t>(SizeOf(dtype)); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(bytes.data() + shift);
  }
  Operand operand() {
    Operand o;
    o.data = as<std::byte>();
    o.dtype = dtype;
    o.rank = static_cast<int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), o.dims);
    o.size = static_cast<int64_t>(size());
    o.present = true;
    return o;
  }
  bool GuardIntact() const {
    const auto untouched = [](unsigned char b) { return b == 0xA5; };
    return std::all_of(bytes.end() - kGuard, bytes.end(), untouched);
  }
};

template <class T>
Buffer FromValues(DType dtype, const std::vector<T>& values) {
  Buffer buffer(dtype, {static_cast<int64_t>(values.size())});
  std::memcpy(buffer.as<T>(), values.data(), values.size() * sizeof(T));
  return buffer;
}

// A chain under construction: Add returns the register that the micro-operation defines.
struct Chain {
  int inputs;
  std::vector<int32_t> words;
  int32_t Add(Micro micro, int32_t a = 0, int32_t b = 0, int32_t c = 0) {
    words.insert(words.end(), {static_cast<int32_t>(micro), a, b, c});
    return inputs + static_cast<int32_t>(words.size()) / kMicroWords - 1;
  }
  int32_t Constant(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return Add(Micro::k_constant, bits);
  }
};

// Distance in units of the last place; both NaN: 0.
inline double Ulps(float got, float want) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want) ? 0 : 1e30;
  const auto order = [](float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits >= 0 ? int64_t{bits} : -int64_t{bits & 0x7fffffff};
  };
  return std::abs(static_cast<double>(order(got) - order(want)));
}

inline bool Same(Buffer& got, Buffer& want) {
  for (size_t i = 0; i < got.size(); i++) {
    if (got.dtype == DType::kFloat32 && std::isnan(got.as<float>()[i]) && std::isnan(want.as<float>()[i]))
      continue;
    const size_t bytes = static_cast<size_t>(SizeOf(got.dtype));
    if (std::memcmp(got.as<char>() + i * bytes, want.as<char>() + i * bytes, bytes) != 0) return false;
  }
  return true;
}

inline const float kSpecial[] = {0.0f,           -0.0f,
                                 1.0f,           -1.0f,
                                 0.5f,           -0.5f,
                                 1.5f,           2.5f,
                                 -2.5f,          2.0f,
                                 -2.0f,          3.0f,
                                 -3.0f,          4.0f,
                                 kInf,           -kInf,
                                 kNaN,           1e-45f,
                                 -1e-45f,        1e-40f,
                                 -1e-40f,        1.17549435e-38f,
                                 3.40282347e38f, -3.40282347e38f,
                                 88.0f,          88.7f,
                                 88.73f,         89.0f,
                                 89.4f,          89.5f,
                                 104.0f,         -87.0f,
                                 -87.4f,         -88.0f,
                                 -103.0f,        -104.0f,
                                 100.0f,         -100.0f,
                                 1e30f,          -1e30f,
                                 8192.0f,        8193.0f,
                                 16777216.0f,    8388607.5f,
                                 8388608.0f,     4194303.5f,
                                 2147483648.0f,  2147483520.0f,
                                 -2147483648.0f, 0.99999994f,
                                 -0.99999994f,   1.0000001f,
                                 1e-8f,          -1e-8f,
                                 0.1f,           6.0f};

// Special numbers, all magnitudes, and dense ranges where functions bend.
inline std::vector<float> Values(std::mt19937& random) {
  std::vector<float> values(std::begin(kSpecial), std::end(kSpecial));
  for (int i = 0; i < 60000; i++) {
    const uint32_t bits = random();
    float x;
    std::memcpy(&x, &bits, sizeof x);
    values.push_back(x);
  }
  const auto range = [&](float lo, float hi, int count) {
    std::uniform_real_distribution<float> uniform(lo, hi);
    for (int i = 0; i < count; i++) values.push_back(uniform(random));
  };
  range(-1, 1, 40000);
  range(-0.01f, 0.01f, 10000);
  range(-5, 5, 40000);
  range(-110, 110, 40000);
  range(0.5f, 2, 20000);
  range(-9000, 9000, 20000);
  return values;
}

// Units of the last place that a float32 result may be off; 0 where IEEE 754 fixes the result.
inline double Bound(Micro micro) {
  switch (micro) {
    case Micro::k_exp:
    case Micro::k_log:
    case Micro::k_tanh:
    case Micro::k_sigmoid:
    case Micro::k_rsqrt:
      return 2;
    case Micro::k_erfinv:
    case Micro::k_gelu:
    case Micro::k_geluSlope:
      return 16;  // 1e-6
    case Micro::k_pow:
    case Micro::k_mod:
    case Micro::k_floorDiv:
      return 1;
    default:
      return (micro >= Micro::k_exp && micro <= Micro::k_erf) || micro == Micro::k_atan2 ? 4 : 0;
  }
}

}  // namespace nabla
