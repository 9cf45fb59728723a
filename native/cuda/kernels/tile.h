// The inner loop of products: two tiles in shared memory, a small tile of the product in each thread's
// registers.
#pragma once

#include "cuda/kernels/entry.h"

namespace nabla::cuda {

// A block of kThreads computes kM x kN sums, kK products of each at a time; a thread kRows x kColumns of
// them. Rows and columns of a thread lie kDown and kAcross apart, so that neighbours read neighbours.
template <int kTileM, int kTileN, int kTileK, int kTileRows, int kTileColumns>
struct ProductTile {
  static constexpr int kM = kTileM, kN = kTileN, kK = kTileK, kRows = kTileRows, kColumns = kTileColumns;
  static constexpr int kAcross = kN / kColumns, kDown = kM / kRows, kThreads = kAcross * kDown;
  // Numbers of each tile that one thread loads.
  static constexpr int kLeftPieces = kM * kK / kThreads, kRightPieces = kN * kK / kThreads;
  static_assert(kM * kK % kThreads == 0 && kN * kK % kThreads == 0);
  static_assert(kThreads % kK == 0 && kThreads % kM == 0 && kThreads % kN == 0);

  float sum[kRows][kColumns] = {};

  __device__ static __forceinline__ int Row(int i) {
    return static_cast<int>(threadIdx.x) / kAcross + i * kDown;
  }
  __device__ static __forceinline__ int Column(int j) {
    return static_cast<int>(threadIdx.x) % kAcross + j * kAcross;
  }

  // Each sum takes its products one by one in the order of k, so that it does not depend on the tile's shape.
  __device__ __forceinline__ void Accumulate(const float (*left)[kM + 1], const float (*right)[kN + 1]) {
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

}  // namespace nabla::cuda
