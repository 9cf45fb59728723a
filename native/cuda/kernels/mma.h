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

// c[16,8] += a[16,16] b[16,8] of bfloat16, two in a word, the first in the lower half; sums are float32. With
// g = lane / 4 and t = lane % 4 a lane holds
//   a[0..3]: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), and the number behind each in its row
//   b[0..1]: (2t, g), (2t + 8, g), and the number below each in its column
//   c[0..3]: as above
struct Bf16 {
  static constexpr int kRows = 16, kColumns = 8, kDepth = 16;

#if defined(__CUDACC__)
  __device__ static __forceinline__ void Multiply(float (&c)[4], const uint32_t (&a)[4],
                                                  const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  static void Multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    static uint32_t warps[32][32][6];
    const unsigned lane = threadIdx.x % 32;
    uint32_t(*const all)[6] = warps[threadIdx.x / 32];
    for (int i = 0; i < 4; i++) all[lane][i] = a[i];
    for (int i = 0; i < 2; i++) all[lane][4 + i] = b[i];
    __syncwarp();
    const auto part = [](uint32_t word, unsigned k) {
      return __int_as_float(static_cast<int>(k % 2 == 0 ? word << 16 : word & 0xffff0000u));
    };
    for (unsigned i = 0; i < 4; i++) {
      const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      for (unsigned k = 0; k < 16; k++) {
        const unsigned of = k % 8 / 2;
        c[i] +=
            part(all[row % 8 * 4 + of][row / 8 + k / 8 * 2], k) * part(all[column * 4 + of][4 + k / 8], k);
      }
    }
    // The numbers may change only when all have read them.
    __syncwarp();
  }
#endif
};

// Four matrices of 8 x 8 numbers of 16 bits from shared memory, as the operands above hold them: lane l names
// row l % 8 of matrix l / 8, eight numbers next to each other at a multiple of 16 bytes. A lane gets of each
// matrix the numbers (g, 2t) and (g, 2t + 1), or of the turned one, which is (2t, g) and (2t + 1, g).
template <bool kTurned>
__device__ __forceinline__ void LoadMatrices(uint32_t (&to)[4], const uint16_t* row) {
#if defined(__CUDACC__)
  const uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTurned) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(at)
                 : "memory");
  }
#else
  const uint64_t* const rows = ::nabla::emulation::Exchange(0xffffffffu, reinterpret_cast<uint64_t>(row));
  const unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  const auto number = [&](unsigned i, unsigned line, unsigned column) {
    return uint32_t{reinterpret_cast<const uint16_t*>(rows[i * 8 + line])[column]};
  };
  for (unsigned i = 0; i < 4; i++) {
    to[i] = kTurned ? number(i, 2 * t, g) | number(i, 2 * t + 1, g) << 16
                    : number(i, g, 2 * t) | number(i, g, 2 * t + 1) << 16;
  }
  __syncwarp();
#endif
}

}  // namespace nabla::cuda
