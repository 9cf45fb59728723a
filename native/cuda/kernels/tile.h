// The inner loop of products: two tiles in shared memory, a small tile of the product in each thread's
// registers.
#pragma once

#include "cuda/kernels/entry.h"
#include "cuda/kernels/mma.h"

namespace nabla::cuda {

// A block of kThreads computes kM x kN sums, kK products of each at a time; a thread kRows x kColumns of
// them. Rows and columns of a thread lie kDown and kAcross apart, so that neighbours read neighbours.
template <int kTileM, int kTileN, int kTileK, int kTileRows, int kTileColumns>
struct ProductTile {
  static constexpr int kM = kTileM, kN = kTileN, kK = kTileK, kRows = kTileRows, kColumns = kTileColumns;
  // Behind every line in shared memory, so that lines begin in different banks.
  static constexpr int kPadding = 1;
  static constexpr int kAcross = kN / kColumns, kDown = kM / kRows, kThreads = kAcross * kDown;
  // Numbers of each tile that one thread loads.
  static constexpr int kLeftPieces = kM * kK / kThreads, kRightPieces = kN * kK / kThreads;
  static_assert(kM * kK % kThreads == 0 && kN * kK % kThreads == 0);
  static_assert(kThreads % kK == 0 && kThreads % kM == 0 && kThreads % kN == 0);

  float sum[kRows][kColumns] = {};

  // A number as it lies in shared memory.
  __device__ static __forceinline__ float Prepare(float x) { return x; }

  __device__ static __forceinline__ int Row(int i) {
    return static_cast<int>(threadIdx.x) / kAcross + i * kDown;
  }
  __device__ static __forceinline__ int Column(int j) {
    return static_cast<int>(threadIdx.x) % kAcross + j * kAcross;
  }

  // Each sum takes its products one by one in the order of k, so that it does not depend on the tile's shape.
  __device__ __forceinline__ void Accumulate(const float (*left)[kM + kPadding],
                                             const float (*right)[kN + kPadding]) {
#pragma unroll 8
    for (int q = 0; q < kK; q++) {
      float x[kRows], y[kColumns];
#pragma unroll
      for (int i = 0; i < kRows; i++) x[i] = left[q][Row(i)];
#pragma unroll
      for (int j = 0; j < kColumns; j++) y[j] = right[q][Column(j)];
#pragma unroll
      for (int i = 0; i < kRows; i++) {
#pragma unroll
        for (int j = 0; j < kColumns; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
      }
    }
  }
};

// The same on tensor cores, in TF32: kDown x kAcross warps share the tile.
template <int kTileM, int kTileN, int kTileDown, int kTileAcross>
struct TensorProductTile {
  static constexpr int kM = kTileM, kN = kTileN, kK = 16, kDown = kTileDown, kAcross = kTileAcross;
  static constexpr int kPadding = 8;
  static constexpr int kThreads = 32 * kDown * kAcross;
  static constexpr int kRowTiles = kM / kDown / Tf32::kRows, kColumnTiles = kN / kAcross / Tf32::kColumns;
  static constexpr int kRows = 2 * kRowTiles, kColumns = 2 * kColumnTiles;
  static constexpr int kLeftPieces = kM * kK / kThreads, kRightPieces = kN * kK / kThreads;
  static_assert(kM == kRowTiles * Tf32::kRows * kDown && kN == kColumnTiles * Tf32::kColumns * kAcross);
  static_assert(kThreads % kK == 0 && kThreads % kM == 0 && kThreads % kN == 0);

  float sum[kRows][kColumns] = {};

  __device__ static __forceinline__ float Prepare(float x) {
    return __int_as_float(static_cast<int>(Tf32::Convert(x)));
  }
  __device__ static __forceinline__ int Warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static __forceinline__ int Lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static __forceinline__ int Row(int i) {
    return Warp() / kAcross * (kM / kDown) + i / 2 * Tf32::kRows + i % 2 * 8 + Lane() / 4;
  }
  __device__ static __forceinline__ int Column(int j) {
    return Warp() % kAcross * (kN / kAcross) + j / 2 * Tf32::kColumns + Lane() % 4 * 2 + j % 2;
  }

  __device__ __forceinline__ void Accumulate(const float (*left)[kM + kPadding],
                                             const float (*right)[kN + kPadding]) {
    const int t = Lane() % 4, firstColumn = Warp() % kAcross * (kN / kAcross) + Lane() / 4;
#pragma unroll
    for (int q = 0; q < kK; q += Tf32::kDepth) {
      uint32_t y[kColumnTiles][2];
#pragma unroll
      for (int j = 0; j < kColumnTiles; j++) {
        y[j][0] = Bits(right[q + t][firstColumn + j * Tf32::kColumns]);
        y[j][1] = Bits(right[q + t + 4][firstColumn + j * Tf32::kColumns]);
      }
#pragma unroll
      for (int i = 0; i < kRowTiles; i++) {
        const int row = Row(2 * i);
        const uint32_t x[4] = {Bits(left[q + t][row]), Bits(left[q + t][row + 8]), Bits(left[q + t + 4][row]),
                               Bits(left[q + t + 4][row + 8])};
#pragma unroll
        for (int j = 0; j < kColumnTiles; j++) {
          float(&upper)[kColumns] = sum[2 * i], (&lower)[kColumns] = sum[2 * i + 1];
          float c[4] = {upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1]};
          Tf32::Multiply(c, x, y[j]);
          upper[2 * j] = c[0];
          upper[2 * j + 1] = c[1];
          lower[2 * j] = c[2];
          lower[2 * j + 1] = c[3];
        }
      }
    }
  }

 private:
  __device__ static __forceinline__ uint32_t Bits(float x) {
    return static_cast<uint32_t>(__float_as_int(x));
  }
};

}  // namespace nabla::cuda
