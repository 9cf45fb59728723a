// gemm on tensor cores: tiles in shared memory, rounded to TF32 as they come; the next ones are under way
// while a warp multiplies.
#include "cuda/kernels/activate.h"
#include "cuda/kernels/gemm.h"
#include "cuda/kernels/mma.h"

namespace nabla::cuda {
namespace {

// A block computes kM x kN numbers, shared by kDown x kAcross warps, kK of the sum at a time.
template <int kM, int kN, int kDown, int kAcross>
struct TensorTile {
  static constexpr int kK = 16, kThreads = 32 * kDown * kAcross;
  static constexpr int kWarpRows = kM / kDown, kWarpColumns = kN / kAcross;
  static constexpr int kRowTiles = kWarpRows / Tf32::kRows, kColumnTiles = kWarpColumns / Tf32::kColumns;
  // The lanes of a warp, which read 8 neighbours in 4 rows at once, find them in 32 different banks.
  static constexpr int kPadding = 8;

  // A piece of a matrix on its way: what a thread carries of it.
  template <int kAlong>
  struct Piece {
    static constexpr int kCount = kAlong * kK / kThreads;
    float value[kCount];

    // Where in the piece the thread's i-th number lies; neighbours in memory go to neighbouring threads.
    __device__ static __forceinline__ void Place(int i, bool alongFirst, int& along, int& k) {
      const int at = i * kThreads + static_cast<int>(threadIdx.x);
      along = alongFirst ? at % kAlong : at / kK;
      k = alongFirst ? at / kAlong : at % kK;
    }

    // alongFirst: the matrix is stored [k, along], else [along, k]. Beyond its edges there is 0.
    __device__ __forceinline__ void Fetch(const float* from, bool alongFirst, int32_t alongs, int32_t endK,
                                          int32_t depth, int32_t firstAlong, int32_t firstK) {
#pragma unroll
      for (int i = 0; i < kCount; i++) {
        int along, k;
        Place(i, alongFirst, along, k);
        along += firstAlong;
        k += firstK;
        value[i] = 0;
        if (along < alongs && k < endK)
          value[i] = from[alongFirst ? int64_t{k} * alongs + along : int64_t{along} * depth + k];
      }
    }

    __device__ __forceinline__ void Put(uint32_t (*to)[kAlong + kPadding], bool alongFirst) const {
#pragma unroll
      for (int i = 0; i < kCount; i++) {
        int along, k;
        Place(i, alongFirst, along, k);
        to[k][along] = Tf32::Convert(value[i]);
      }
    }
  };

  __device__ static __forceinline__ void Multiply(const GemmParams& p, int32_t matrix) {
    __shared__ uint32_t left[kK][kM + kPadding], right[kK][kN + kPadding];
    const int32_t firstRow = static_cast<int32_t>(blockIdx.x) % p.rowBlocks * kM;
    const int32_t firstColumn = static_cast<int32_t>(blockIdx.x) / p.rowBlocks * kN;
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int g = lane / 4, t = lane % 4;
    const int warpRow = warp / kAcross * kWarpRows, warpColumn = warp % kAcross * kWarpColumns;
    const float* const a = static_cast<const float*>(p.a) + matrix * p.strideA;
    const float* const b = static_cast<const float*>(p.b) + matrix * p.strideB;
    const bool aFirst = p.transA != 0, bFirst = p.transB == 0;
    const int32_t beginK = static_cast<int32_t>(blockIdx.z) * p.splitK;
    const int32_t endK = min(p.k, beginK + p.splitK);
    float sum[kRowTiles][kColumnTiles][4] = {};
    Piece<kM> nextLeft;
    Piece<kN> nextRight;
    nextLeft.Fetch(a, aFirst, p.m, endK, p.k, firstRow, beginK);
    nextRight.Fetch(b, bFirst, p.n, endK, p.k, firstColumn, beginK);
    for (int32_t k = beginK; k < endK; k += kK) {
      // The former piece has been read by all.
      __syncthreads();
      nextLeft.Put(left, aFirst);
      nextRight.Put(right, bFirst);
      __syncthreads();
      if (k + kK < endK) {
        nextLeft.Fetch(a, aFirst, p.m, endK, p.k, firstRow, k + kK);
        nextRight.Fetch(b, bFirst, p.n, endK, p.k, firstColumn, k + kK);
      }
#pragma unroll
      for (int q = 0; q < kK; q += Tf32::kDepth) {
        uint32_t x[kRowTiles][4], y[kColumnTiles][2];
#pragma unroll
        for (int i = 0; i < kRowTiles; i++) {
          const int row = warpRow + i * Tf32::kRows + g;
          x[i][0] = left[q + t][row];
          x[i][1] = left[q + t][row + 8];
          x[i][2] = left[q + t + 4][row];
          x[i][3] = left[q + t + 4][row + 8];
        }
#pragma unroll
        for (int j = 0; j < kColumnTiles; j++) {
          const int column = warpColumn + j * Tf32::kColumns + g;
          y[j][0] = right[q + t][column];
          y[j][1] = right[q + t + 4][column];
        }
#pragma unroll
        for (int i = 0; i < kRowTiles; i++) {
#pragma unroll
          for (int j = 0; j < kColumnTiles; j++) Tf32::Multiply(sum[i][j], x[i], y[j]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRowTiles; i++) {
#pragma unroll
      for (int j = 0; j < kColumnTiles; j++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
          const int32_t row = firstRow + warpRow + i * Tf32::kRows + g + c / 2 * 8;
          const int32_t column = firstColumn + warpColumn + j * Tf32::kColumns + 2 * t + c % 2;
          if (row < p.m && column < p.n) StoreProduct(p, matrix, row, column, sum[i][j][c]);
        }
      }
    }
    // The next matrix of the batch takes the same memory.
    __syncthreads();
  }
};

template <class Shape>
__device__ __forceinline__ void Gemm(const GemmParams& p) {
  for (int32_t matrix = static_cast<int32_t>(blockIdx.y); matrix < p.batch;
       matrix += static_cast<int32_t>(gridDim.y))
    Shape::Multiply(p, matrix);
}

using Large = TensorTile<128, 128, 2, 4>;
using Small = TensorTile<64, 64, 2, 2>;

}  // namespace

NABLA_ENTRY(tensorLarge, GemmParams, Large::kThreads) { Gemm<Large>(p); }
NABLA_ENTRY(tensorSmall, GemmParams, Small::kThreads) { Gemm<Small>(p); }

}  // namespace nabla::cuda
