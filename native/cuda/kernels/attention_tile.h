// What attention and its gradient share: tiles of scores, and products with what they weigh.
#pragma once

#include <cstdint>

#include "cuda/kernels/attention.h"
#include "cuda/kernels/block.h"
#include "cuda/kernels/half.h"
#include "cuda/kernels/tile.h"

namespace nabla::cuda {

using AttentionTile = ProductTile<kAttentionTile, kAttentionTile, 16, 4, 4>;
static_assert(AttentionTile::kThreads == kAttentionThreads);

constexpr float kAttentionInfinity = __builtin_inff();

// Rows of numbers that begin `stride` apart.
struct AttentionRows {
  Floats first;
  int64_t stride;
  int32_t count, width;
};

// A sample's head.
struct AttentionHead {
  int64_t sample;
  int32_t head;

  __device__ __forceinline__ AttentionHead(const AttentionShape& s, int64_t number)
      : sample(number / s.heads), head(static_cast<int32_t>(number % s.heads)) {}
  __device__ __forceinline__ AttentionHead(int64_t ofSample, int32_t ofHead)
      : sample(ofSample), head(ofHead) {}

  __device__ __forceinline__ int64_t QueryAt(const AttentionShape& s) const {
    return s.qOffset + sample * s.queries * s.qRow + int64_t{head} * s.dim;
  }
  __device__ __forceinline__ int64_t KeyAt(const AttentionShape& s) const {
    return s.kOffset + sample * s.keys * s.kRow + int64_t{head / s.group} * s.dim;
  }
  __device__ __forceinline__ int64_t ValueAt(const AttentionShape& s) const {
    return s.vOffset + sample * s.keys * s.vRow + int64_t{head / s.group} * s.valueDim;
  }
  __device__ __forceinline__ int64_t OutRow(const AttentionShape& s) const {
    return int64_t{s.heads} * s.valueDim;
  }
  __device__ __forceinline__ int64_t OutAt(const AttentionShape& s) const {
    return sample * s.queries * OutRow(s) + int64_t{head} * s.valueDim;
  }
  __device__ __forceinline__ int64_t StatisticAt(const AttentionShape& s) const {
    return (sample * s.heads + head) * s.queries;
  }
  __device__ __forceinline__ int64_t MaskAt(const AttentionShape& s) const {
    const int64_t sheet =
        (s.maskBatch != 0 ? sample : 0) * (s.maskHeads != 0 ? s.heads : 1) + (s.maskHeads != 0 ? head : 0);
    return sheet * s.queries * s.keys;
  }
  __device__ __forceinline__ AttentionRows Queries(const AttentionShape& s, const Floats& q) const {
    return {From(q, QueryAt(s)), s.qRow, s.queries, s.dim};
  }
  __device__ __forceinline__ AttentionRows Keys(const AttentionShape& s, const Floats& k) const {
    return {From(k, KeyAt(s)), s.kRow, s.keys, s.dim};
  }
  __device__ __forceinline__ AttentionRows Values(const AttentionShape& s, const Floats& v) const {
    return {From(v, ValueAt(s)), s.vRow, s.keys, s.valueDim};
  }
  __device__ __forceinline__ AttentionRows Outputs(const AttentionShape& s, const Floats& out) const {
    return {From(out, OutAt(s)), OutRow(s), s.queries, s.valueDim};
  }
};

// The shared memory of a block.
struct AttentionShared {
  float left[AttentionTile::kK][AttentionTile::kM + 1], right[AttentionTile::kK][AttentionTile::kN + 1];
  float weights[kAttentionTile][kAttentionTile + 1];
};

// Some columns of a tile of rows to shared memory, turned: [column][row].
__device__ __forceinline__ void LoadTurned(float (*to)[kAttentionTile + 1], const AttentionRows& rows,
                                           int32_t firstRow, int32_t firstColumn) {
  constexpr int kK = AttentionTile::kK;
  const int column = static_cast<int>(threadIdx.x) % kK;
#pragma unroll
  for (int piece = 0; piece < AttentionTile::kLeftPieces; piece++) {
    const int i = static_cast<int>(threadIdx.x) / kK + piece * (kAttentionThreads / kK);
    const bool inside = firstRow + i < rows.count && firstColumn + column < rows.width;
    to[column][i] = inside ? Get(rows.first, (firstRow + i) * rows.stride + firstColumn + column) : 0.0f;
  }
}

// Some rows of a tile of columns to shared memory: [row][column].
__device__ __forceinline__ void LoadStraight(float (*to)[kAttentionTile + 1], const AttentionRows& rows,
                                             int32_t firstRow, int32_t firstColumn) {
  const int column = static_cast<int>(threadIdx.x) % kAttentionTile;
#pragma unroll
  for (int piece = 0; piece < AttentionTile::kRightPieces; piece++) {
    const int i =
        static_cast<int>(threadIdx.x) / kAttentionTile + piece * (kAttentionThreads / kAttentionTile);
    const bool inside = firstRow + i < rows.count && firstColumn + column < rows.width;
    to[i][column] = inside ? Get(rows.first, (firstRow + i) * rows.stride + firstColumn + column) : 0.0f;
  }
}

// Every row of a tile times every row of another.
__device__ __forceinline__ void MultiplyRows(AttentionTile& tile, AttentionShared& shared,
                                             const AttentionRows& a, const AttentionRows& b, int32_t firstA,
                                             int32_t firstB) {
  for (int32_t k = 0; k < a.width; k += AttentionTile::kK) {
    LoadTurned(shared.left, a, firstA, k);
    LoadTurned(shared.right, b, firstB, k);
    __syncthreads();
    tile.Accumulate(shared.left, shared.right);
    __syncthreads();
  }
}

// Adds to the tiles, next to each other, the rows that the weights in shared memory weigh: weights[row].
template <int kChunks>
__device__ __forceinline__ void AddWeighed(AttentionTile (&tiles)[kChunks], AttentionShared& shared,
                                           const AttentionRows& rows, int32_t firstRow, int32_t firstColumn) {
#pragma unroll 1
  for (int k = 0; k < kAttentionTile && firstRow + k < rows.count; k += AttentionTile::kK) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; chunk++) {
      LoadStraight(shared.right, rows, firstRow + k, firstColumn + chunk * kAttentionTile);
      __syncthreads();
      tiles[chunk].Accumulate(shared.weights + k, shared.right);
      __syncthreads();
    }
  }
}

// Stores the tiles over rows like those that are read.
template <int kChunks>
__device__ __forceinline__ void StoreTiles(const AttentionTile (&tiles)[kChunks], const Floats& first,
                                           int64_t stride, int32_t count, int32_t width, int32_t firstRow,
                                           int32_t firstColumn) {
#pragma unroll
  for (int chunk = 0; chunk < kChunks; chunk++) {
#pragma unroll
    for (int i = 0; i < AttentionTile::kRows; i++) {
#pragma unroll
      for (int j = 0; j < AttentionTile::kColumns; j++) {
        const int32_t row = firstRow + AttentionTile::Row(i);
        const int32_t column = firstColumn + chunk * kAttentionTile + AttentionTile::Column(j);
        if (row < count && column < width) Set(first, row * stride + column, tiles[chunk].sum[i][j]);
      }
    }
  }
}

// A product of query and key as a score: -infinity where the query does not see the key.
__device__ __forceinline__ float Score(const AttentionShape& s, const Floats& mask, const uint8_t* sight,
                                       int64_t maskAt, int32_t query, int32_t key, float product) {
  if (query >= s.queries || key >= s.keys || (s.causal != 0 && key > query)) return -kAttentionInfinity;
  const int64_t at = maskAt + int64_t{query} * s.keys + key;
  if (sight != nullptr && sight[at] == 0) return -kAttentionInfinity;
  return mask.data != nullptr ? product * s.scale + Get(mask, at) : product * s.scale;
}

}  // namespace nabla::cuda
