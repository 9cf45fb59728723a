// gather: rows of a table by index, and scatterAdd, its gradient, in the order of the indices.
#include "cuda/kernels/gather.h"

#include "cuda/kernels/block.h"

namespace nabla::cuda {
namespace {

constexpr int32_t kIndexOutOfRange = static_cast<int32_t>(FaultCode::kIndexOutOfRange);
constexpr int32_t kLabelOutOfRange = static_cast<int32_t>(FaultCode::kLabelOutOfRange);

__device__ __forceinline__ float Number(const void* table, DType dtype, int64_t at) {
  if (dtype == DType::kFloat32) return static_cast<const float*>(table)[at];
  if (dtype == DType::kInt32) return static_cast<float>(static_cast<const int32_t*>(table)[at]);
  return static_cast<float>(static_cast<const uint8_t*>(table)[at]);
}

__device__ __forceinline__ int64_t Label(const void* table, DType dtype, int64_t at) {
  if (dtype == DType::kInt32) return static_cast<const int32_t*>(table)[at];
  return static_cast<const uint8_t*>(table)[at];
}

}  // namespace

// A block takes rows in turn; its threads share a row.
NABLA_ENTRY(gather, GatherParams, kGatherThreads) {
  const int64_t start = p.cursor == nullptr ? 0 : int64_t{p.cursor[0]} * p.count;
  if (start < 0 || start + p.count > p.indexCount) {
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0)
      Refuse(p.head, kIndexOutOfRange, -1, start < 0 ? start : start + p.count - 1, p.indexCount);
    return;
  }
  for (int32_t row = static_cast<int32_t>(blockIdx.y); row < p.count;
       row += static_cast<int32_t>(gridDim.y)) {
    const int64_t index = p.indices[start + row];
    if (index < 0 || index >= p.tableRows) {
      if (blockIdx.x == 0 && threadIdx.x == 0) Refuse(p.head, kIndexOutOfRange, row, index, p.tableRows);
      continue;
    }
    const int64_t label = p.mode == GatherMode::kOneHot ? Label(p.table, p.dtype, index) : 0;
    if (p.mode == GatherMode::kOneHot && (label < 0 || label >= p.rowSize)) {
      if (blockIdx.x == 0 && threadIdx.x == 0) Refuse(p.head, kLabelOutOfRange, row, label, p.rowSize);
      continue;
    }
    const int32_t step = static_cast<int32_t>(gridDim.x) * kGatherThreads;
    for (int32_t j = static_cast<int32_t>(blockIdx.x * kGatherThreads + threadIdx.x); j < p.rowSize;
         j += step) {
      const int64_t to = int64_t{row} * p.rowSize + j, from = index * p.rowSize + j;
      if (p.mode == GatherMode::kAffine) {
        static_cast<float*>(p.out)[to] = fmaf(Number(p.table, p.dtype, from), p.scale, p.shift);
      } else if (p.mode == GatherMode::kOneHot) {
        static_cast<float*>(p.out)[to] = j == label ? 1.0f : 0.0f;
      } else if (p.dtype == DType::kFloat32 || p.dtype == DType::kInt32) {
        static_cast<uint32_t*>(p.out)[to] = static_cast<const uint32_t*>(p.table)[from];
      } else if (p.dtype == DType::kBfloat16) {
        static_cast<uint16_t*>(p.out)[to] = static_cast<const uint16_t*>(p.table)[from];
      } else {
        static_cast<uint8_t*>(p.out)[to] = static_cast<const uint8_t*>(p.table)[from];
      }
    }
  }
}

// Looks at all indices before anything is added, and clears the table where that is wanted.
NABLA_ENTRY(scatterPrepare, ScatterParams, kScatterThreads) {
  const int64_t first = blockIdx.x * int64_t{kScatterThreads} + threadIdx.x;
  const int64_t step = int64_t{gridDim.x} * kScatterThreads;
  for (int64_t i = first; i < p.count; i += step) {
    const int64_t index = p.indices[i];
    if (index < 0 || index >= p.tableRows) Refuse(p.head, kIndexOutOfRange, i, index, p.tableRows);
  }
  if (p.clear == 0) return;
  for (int64_t i = first; i < p.tableRows * p.rowSize; i += step) p.out[i] = 0;
}

// The block of the first index that names a row adds all that name it, in their order, so that the sum is the
// same each time: the blocks of the others find that they are not the first, and end.
NABLA_ENTRY(scatterAdd, ScatterParams, kScatterThreads) {
  if (p.head.fault->code != 0) return;
  const int32_t mine = static_cast<int32_t>(blockIdx.x);
  const int32_t row = p.indices[mine];
  __shared__ int before;
  __shared__ unsigned found[kScatterThreads / 32];
  if (threadIdx.x == 0) before = 0;
  __syncthreads();
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < mine; i += kScatterThreads) {
    if (p.indices[i] == row) before = 1;
  }
  __syncthreads();
  if (before != 0) return;
  float* const out = p.out + int64_t{row} * p.rowSize;
  for (int32_t base = mine; base < p.count; base += kScatterThreads) {
    const int32_t i = base + static_cast<int32_t>(threadIdx.x);
    const unsigned votes = __ballot_sync(kAllLanes, i < p.count && p.indices[i] == row);
    if (threadIdx.x % 32 == 0) found[threadIdx.x / 32] = votes;
    __syncthreads();
    for (int32_t j = static_cast<int32_t>(threadIdx.x); j < p.rowSize; j += kScatterThreads) {
      float sum = out[j];
      for (int word = 0; word < kScatterThreads / 32; word++) {
        for (unsigned left = found[word]; left != 0; left &= left - 1) {
          const int64_t from = base + word * 32 + __ffs(static_cast<int>(left)) - 1;
          sum += p.source[from * p.rowSize + j];
        }
      }
      out[j] = sum;
    }
    __syncthreads();
  }
}

}  // namespace nabla::cuda
