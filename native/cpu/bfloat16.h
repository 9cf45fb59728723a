// bfloat16 one number at a time: the upper half of a float32.
#pragma once

#include <cstdint>
#include <cstring>

namespace nabla {

inline float FromBfloat16(uint16_t bits) {
  const uint32_t word = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// To the nearest, halves to even; a NaN stays one, denormal numbers stay what they are.
inline uint16_t ToBfloat16(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  // The upper half alone of a NaN may be an infinity.
  if ((word & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(word >> 16 | 0x40);
  return static_cast<uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

}  // namespace nabla
