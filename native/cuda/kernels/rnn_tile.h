// What the steps of rnn and its gradient share: a thread's place, and tiles of rows in shared memory.
#pragma once

#include <cstdint>

#include "cuda/kernels/entry.h"
#include "cuda/kernels/rnn.h"

namespace nabla::cuda {

// Products of a sum that lie in shared memory at a time.
constexpr int kRnnDepth = 32;

// The sample and the unit that a thread works on.
struct RnnPlace {
  int32_t firstRow, firstUnit;
  int down, across;
  int64_t row;
  int32_t unit;
  bool inside;

  __device__ __forceinline__ explicit RnnPlace(const RnnStep& at)
      : firstRow(static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(at.unitBlocks)) * kRnnRows),
        firstUnit(static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(at.unitBlocks)) * kRnnUnits),
        down(static_cast<int>(threadIdx.x) / kRnnUnits),
        across(static_cast<int>(threadIdx.x) % kRnnUnits),
        row(int64_t{firstRow} + down),
        unit(firstUnit + across),
        inside(row < at.batch && unit < at.units) {}
};

// Columns from `k` on of 16 rows that begin `stride` apart: `count` rows of `depth` numbers.
__device__ __forceinline__ void LoadRnnRows(float (*to)[kRnnDepth + 1], const float* from, int64_t stride,
                                            int32_t count, int32_t firstRow, int64_t k, int64_t depth) {
  static_assert(kRnnRows == kRnnUnits);
  const int column = static_cast<int>(threadIdx.x) % kRnnDepth;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x) / kRnnDepth; i < kRnnRows; i += kRnnThreads / kRnnDepth) {
    const bool inside = firstRow + i < count && k + column < depth;
    to[i][column] = inside ? from[(firstRow + i) * stride + k + column] : 0.0f;
  }
}

}  // namespace nabla::cuda
