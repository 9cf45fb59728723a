// The floating-point dtypes of 16 bits, one number at a time.
#pragma once

#include <cstdint>

#include "cpu/bfloat16.h"
#include "cpu/float16.h"
#include "program/program.h"

namespace nabla {

// Stand for numbers as they are stored.
struct Bfloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

inline float ToFloat(Bfloat16 x) { return FromBfloat16(x.bits); }
inline float ToFloat(Float16 x) { return FromFloat16(x.bits); }
inline void Round(float value, Bfloat16& out) { out.bits = ToBfloat16(value); }
inline void Round(float value, Float16& out) { out.bits = ToFloat16(value); }

inline float FromHalf(DType dtype, uint16_t bits) {
  return dtype == DType::kFloat16 ? FromFloat16(bits) : FromBfloat16(bits);
}
inline uint16_t ToHalf(DType dtype, float value) {
  return dtype == DType::kFloat16 ? ToFloat16(value) : ToBfloat16(value);
}

}  // namespace nabla
