// float16 one number at a time: IEEE 754's binary16, by integers alone.
#pragma once

#include <cstdint>
#include <cstring>

namespace nabla {

// Every float16 is a float32; a NaN becomes a quiet one.
inline float FromFloat16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7fffu;
  uint32_t word;
  if (magnitude >= 0x7c00) {
    word = 0x7f800000 | (magnitude & 0x3ff) << 13 | (magnitude > 0x7c00 ? 0x400000 : 0);
  } else if (magnitude >= 0x400) {
    word = (magnitude << 13) + (112u << 23);
  } else {
    // A denormal number is so many times 2^-24.
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    std::memcpy(&word, &value, sizeof word);
  }
  word |= sign;
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// To the nearest, halves to even: from 65520 on infinite, below 2^-14 a multiple of 2^-24. A NaN stays one.
inline uint16_t ToFloat16(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  const uint32_t sign = word >> 16 & 0x8000, magnitude = word & 0x7fffffff;
  uint32_t bits;
  if (magnitude > 0x7f800000) {
    bits = 0x7e00 | (magnitude >> 13 & 0x3ff);
  } else if (magnitude >= 143u << 23) {
    bits = 0x7c00;
  } else if (magnitude >= 113u << 23) {
    bits = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  } else {
    // The sum's last place is 2^-24.
    float sum;
    std::memcpy(&sum, &magnitude, sizeof sum);
    sum += 0.5f;
    std::memcpy(&bits, &sum, sizeof bits);
    bits -= 126u << 23;
  }
  return static_cast<uint16_t>(bits | sign);
}

}  // namespace nabla
