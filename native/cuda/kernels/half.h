// bfloat16 as kernels read and write it: the upper half of a float32.
#pragma once

#include <cstdint>

#include "cuda/kernels/entry.h"
#include "cuda/kernels/floats.h"

namespace nabla::cuda {

__device__ __forceinline__ float OfHalf(uint32_t bits) {
  return __int_as_float(static_cast<int>(bits << 16));
}

// To the nearest, halves to even; a NaN stays one, denormal numbers stay what they are.
__device__ __forceinline__ uint16_t ToHalf(float x) {
#if defined(__CUDACC__)
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
#else
  const uint32_t word = static_cast<uint32_t>(__float_as_int(x));
  // The upper half alone of a NaN may be an infinity.
  if ((word & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(word >> 16 | 0x40u);
  return static_cast<uint16_t>((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
#endif
}

// All threads of a kernel take the same way here, so that the question costs next to nothing beside the
// memory.
__device__ __forceinline__ float Get(const Floats& x, int64_t at) {
  return x.half != 0 ? OfHalf(static_cast<const uint16_t*>(x.data)[at])
                     : static_cast<const float*>(x.data)[at];
}
__device__ __forceinline__ void Set(const Floats& x, int64_t at, float value) {
  if (x.half != 0) {
    static_cast<uint16_t*>(x.data)[at] = ToHalf(value);
  } else {
    static_cast<float*>(x.data)[at] = value;
  }
}
// From an element on.
__device__ __forceinline__ Floats From(const Floats& x, int64_t at) {
  return {static_cast<uint8_t*>(x.data) + at * (x.half != 0 ? 2 : 4), x.half, 0};
}

}  // namespace nabla::cuda
