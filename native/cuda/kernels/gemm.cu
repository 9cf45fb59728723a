// gemm in full float32: tiles of both matrices in shared memory, a small tile of the product in each thread's
// registers.
#include "cuda/kernels/gemm.h"

#include "cuda/kernels/activate.h"
#include "cuda/kernels/entry.h"

namespace nabla::cuda {
namespace {

// A block of kThreads computes kM x kN numbers of the product, kK of the sum at a time; a thread kRows x
// kColumns of them. Rows and columns of a thread lie kM / kRows and kN / kColumns apart, so that neighbours
// read neighbours.
template <int kM, int kN, int kK, int kRows, int kColumns>
struct Tile {
  static constexpr int kAcross = kN / kColumns, kDown = kM / kRows, kThreads = kAcross * kDown;

  // A kAlong x kK piece of a matrix, that is stored [along, k] or, transposed, [k, along], to shared memory
  // as [k][along].
  template <int kAlong, bool kTransposed>
  __device__ static __forceinline__ void Load(float (*to)[kAlong + 1], const float* from, int32_t along,
                                              int32_t k, int32_t endK, int32_t firstAlong, int32_t firstK) {
    constexpr int kPieces = kAlong * kK / kThreads;
    static_assert(kAlong * kK % kThreads == 0);
#pragma unroll
    for (int piece = 0; piece < kPieces; piece++) {
      const int at = piece * kThreads + static_cast<int>(threadIdx.x);
      const int i = kTransposed ? at % kAlong : at / kK, q = kTransposed ? at / kAlong : at % kK;
      const int32_t row = firstAlong + i, column = firstK + q;
      float value = 0;
      if (row < along && column < endK)
        value = from[kTransposed ? int64_t{column} * along + row : int64_t{row} * k + column];
      to[q][i] = value;
    }
  }

  __device__ static __forceinline__ void Multiply(const GemmParams& p, int32_t matrix) {
    __shared__ float left[kK][kM + 1], right[kK][kN + 1];
    const int32_t firstRow = static_cast<int32_t>(blockIdx.x) % p.rowBlocks * kM;
    const int32_t firstColumn = static_cast<int32_t>(blockIdx.x) / p.rowBlocks * kN;
    const float* const a = static_cast<const float*>(p.a) + matrix * p.strideA;
    const float* const b = static_cast<const float*>(p.b) + matrix * p.strideB;
    const int across = static_cast<int>(threadIdx.x) % kAcross,
              down = static_cast<int>(threadIdx.x) / kAcross;
    float sum[kRows][kColumns] = {};
    const int32_t beginK = static_cast<int32_t>(blockIdx.z) * p.splitK;
    const int32_t endK = min(p.k, beginK + p.splitK);
    for (int32_t k = beginK; k < endK; k += kK) {
      // The same way for all threads, and all steps.
      if (p.transA != 0) {
        Load<kM, true>(left, a, p.m, p.k, endK, firstRow, k);
      } else {
        Load<kM, false>(left, a, p.m, p.k, endK, firstRow, k);
      }
      if (p.transB != 0) {
        Load<kN, false>(right, b, p.n, p.k, endK, firstColumn, k);
      } else {
        Load<kN, true>(right, b, p.n, p.k, endK, firstColumn, k);
      }
      __syncthreads();
#pragma unroll 8
      for (int q = 0; q < kK; q++) {
        float x[kRows], y[kColumns];
#pragma unroll
        for (int i = 0; i < kRows; i++) x[i] = left[q][down + i * kDown];
#pragma unroll
        for (int j = 0; j < kColumns; j++) y[j] = right[q][across + j * kAcross];
#pragma unroll
        for (int i = 0; i < kRows; i++) {
#pragma unroll
          for (int j = 0; j < kColumns; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kRows; i++) {
#pragma unroll
      for (int j = 0; j < kColumns; j++) {
        const int32_t row = firstRow + down + i * kDown, column = firstColumn + across + j * kAcross;
        if (row < p.m && column < p.n) StoreProduct(p, matrix, row, column, sum[i][j]);
      }
    }
  }
};

template <class Shape>
__device__ __forceinline__ void Gemm(const GemmParams& p) {
  for (int32_t matrix = static_cast<int32_t>(blockIdx.y); matrix < p.batch;
       matrix += static_cast<int32_t>(gridDim.y))
    Shape::Multiply(p, matrix);
}

using Large = Tile<128, 128, 8, 8, 8>;
using Small = Tile<32, 32, 32, 2, 2>;

}  // namespace

// Adds up the parts of each sum, in their order.
NABLA_ENTRY(gemmFinish, GemmParams, 256) {
  const int64_t size = int64_t{p.m} * p.n, step = int64_t{gridDim.x} * 256;
  for (int64_t at = blockIdx.x * int64_t{256} + threadIdx.x; at < size; at += step) {
    float sum = 0;
    for (int32_t split = 0; split < p.splits; split++) sum += p.partial[split * size + at];
    FinishProduct(p, 0, static_cast<int32_t>(at / p.n), static_cast<int32_t>(at % p.n), sum);
  }
}

NABLA_ENTRY(gemmLarge, GemmParams, Large::kThreads) { Gemm<Large>(p); }
NABLA_ENTRY(gemmSmall, GemmParams, Small::kThreads) { Gemm<Small>(p); }

}  // namespace nabla::cuda
