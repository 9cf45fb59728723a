// Products of small matrices by a warp's tensor cores; in the emulation by plain arithmetic, over the same
// distribution of numbers to lanes.
#pragma once

#include <cstdint>

#include "cuda/kernels/entry.h"

namespace nabla::cuda {

// c[16,8] += a[16,8] b[8,8] of TF32 numbers: float32's range with 10 bits of mantissa, summed up in float32.
// With g = lane / 4 and t = lane % 4 a lane holds
//   a[0..3]: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
//   b[0..1]: (t, g), (t + 4, g)
//   c[0..3]: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
struct Tf32 {
  static constexpr int kRows = 16, kColumns = 8, kDepth = 8;

#if defined(__CUDACC__)
  __device__ static __forceinline__ uint32_t Convert(float x) {
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
  }

  __device__ static __forceinline__ void Multiply(float (&c)[4], const uint32_t (&a)[4],
                                                  const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  static uint32_t Convert(float x) {
    const uint32_t bits = static_cast<uint32_t>(__float_as_int(x));
    // Halves away from zero; infinities and NaN stay what they are.
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
  }

  static void Multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    static uint32_t warps[32][32][6];
    const unsigned lane = threadIdx.x % 32;
    uint32_t(*const all)[6] = warps[threadIdx.x / 32];
    for (int i = 0; i < 4; i++) all[lane][i] = a[i];
    for (int i = 0; i < 2; i++) all[lane][4 + i] = b[i];
    __syncwarp();
    const auto left = [&](unsigned row, unsigned k) {
      return __int_as_float(static_cast<int>(all[row % 8 * 4 + k % 4][row / 8 + k / 4 * 2]));
    };
    const auto right = [&](unsigned k, unsigned column) {
      return __int_as_float(static_cast<int>(all[column * 4 + k % 4][4 + k / 4]));
    };
    for (unsigned i = 0; i < 4; i++) {
      const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      for (unsigned k = 0; k < 8; k++) c[i] += left(row, k) * right(k, column);
    }
    // The numbers may change only when all have read them.
    __syncwarp();
  }
#endif
};

}  // namespace nabla::cuda
