// sort: a bitonic network (Batcher 1968) over keys that hold their own place, in shared memory where a row
// fits, else a launch for every distance that does not.
#include "cuda/kernels/sort.h"

#include "cuda/kernels/entry.h"

namespace nabla::cuda {
namespace {

constexpr uint64_t kLastKey = ~uint64_t{0};

// Unsigned numbers in the order of the input's; NaN last, either way.
__device__ __forceinline__ uint32_t Order(const SortParams& p, int64_t at) {
  uint32_t order = 0;
  if (p.dtype == DType::kFloat32) {
    const float x = static_cast<const float*>(p.input)[at];
    if (x != x) return ~uint32_t{0};
    // -0 is 0. Negative numbers' bits run downward.
    const uint32_t bits = static_cast<uint32_t>(__float_as_int(x == 0 ? 0.0f : x));
    order = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  } else if (p.dtype == DType::kInt32) {
    order = static_cast<uint32_t>(static_cast<const int32_t*>(p.input)[at]) ^ 0x80000000u;
  } else {
    order = static_cast<const uint8_t*>(p.input)[at];
  }
  return p.descending != 0 ? ~order : order;
}

__device__ __forceinline__ uint64_t Key(const SortParams& p, int64_t row, int64_t column) {
  if (column >= p.columns) return kLastKey;
  return uint64_t{Order(p, row * p.columns + column)} << 32 | static_cast<uint64_t>(column);
}

__device__ __forceinline__ void Write(const SortParams& p, int64_t row, int64_t column, uint64_t key) {
  const int64_t from = static_cast<int64_t>(key & 0xffffffffu), at = row * p.columns + column;
  if (p.indices != nullptr) p.indices[at] = static_cast<int32_t>(from);
  if (p.values == nullptr) return;
  if (p.dtype == DType::kFloat32 || p.dtype == DType::kInt32) {
    static_cast<uint32_t*>(p.values)[at] = static_cast<const uint32_t*>(p.input)[row * p.columns + from];
  } else {
    static_cast<uint8_t*>(p.values)[at] = static_cast<const uint8_t*>(p.input)[row * p.columns + from];
  }
}

// Where the pair of this number begins, `distance` apart.
__device__ __forceinline__ int64_t PairAt(int64_t pair, int64_t distance) {
  return (pair & ~(distance - 1)) * 2 + (pair & (distance - 1));
}

// Runs of `run` keys are upward and downward in turn, until there is one.
__device__ __forceinline__ void Exchange(uint64_t& a, uint64_t& b, bool upward) {
  const uint64_t x = a, y = b;
  if ((x > y) == upward) {
    a = y;
    b = x;
  }
}

// All distances below `size` of runs from `first` up to `last` keys, over a part of a row that begins at
// `base`.
__device__ __forceinline__ void Merge(uint64_t* keys, int64_t base, int size, int64_t first, int64_t last) {
  for (int64_t run = first; run <= last; run *= 2) {
    for (int distance = run / 2 < size ? static_cast<int>(run / 2) : size / 2; distance > 0; distance /= 2) {
      __syncthreads();
      for (int pair = static_cast<int>(threadIdx.x); pair < size / 2; pair += kSortThreads) {
        const int at = static_cast<int>(PairAt(pair, distance));
        Exchange(keys[at], keys[at + distance], ((base + at) & run) == 0);
      }
    }
  }
  __syncthreads();
}

}  // namespace

// A whole row.
NABLA_ENTRY(sortRow, SortParams, kSortThreads) {
  __shared__ uint64_t keys[kSortBlock];
  const int64_t row = blockIdx.x;
  const int size = static_cast<int>(p.padded);
  for (int i = static_cast<int>(threadIdx.x); i < size; i += kSortThreads) keys[i] = Key(p, row, i);
  Merge(keys, 0, size, 2, size);
  for (int i = static_cast<int>(threadIdx.x); i < p.columns; i += kSortThreads) Write(p, row, i, keys[i]);
}

// Parts of rows, to runs of kSortBlock keys.
NABLA_ENTRY(sortPart, SortParams, kSortThreads) {
  __shared__ uint64_t keys[kSortBlock];
  const int64_t parts = p.padded / kSortBlock, row = blockIdx.x / parts,
                base = blockIdx.x % parts * kSortBlock;
  for (int i = static_cast<int>(threadIdx.x); i < kSortBlock; i += kSortThreads)
    keys[i] = Key(p, row, base + i);
  Merge(keys, base, kSortBlock, 2, kSortBlock);
  for (int i = static_cast<int>(threadIdx.x); i < kSortBlock; i += kSortThreads)
    p.keys[row * p.padded + base + i] = keys[i];
}

// One distance of a run that blocks share.
NABLA_ENTRY(sortExchange, SortParams, kSortThreads) {
  const int64_t number = blockIdx.x * int64_t{kSortThreads} + threadIdx.x, pairs = p.padded / 2;
  if (number >= p.rows * pairs) return;
  const int64_t at = PairAt(number % pairs, p.distance);
  uint64_t* const keys = p.keys + number / pairs * p.padded;
  Exchange(keys[at], keys[at + p.distance], (at & p.run) == 0);
}

// The distances within a block of such a run.
NABLA_ENTRY(sortMerge, SortParams, kSortThreads) {
  __shared__ uint64_t keys[kSortBlock];
  const int64_t parts = p.padded / kSortBlock, base = blockIdx.x % parts * kSortBlock;
  uint64_t* const all = p.keys + blockIdx.x / parts * p.padded + base;
  for (int i = static_cast<int>(threadIdx.x); i < kSortBlock; i += kSortThreads) keys[i] = all[i];
  Merge(keys, base, kSortBlock, p.run, p.run);
  for (int i = static_cast<int>(threadIdx.x); i < kSortBlock; i += kSortThreads) all[i] = keys[i];
}

NABLA_ENTRY(sortWrite, SortParams, kSortThreads) {
  const int64_t number = blockIdx.x * int64_t{kSortThreads} + threadIdx.x;
  if (number >= p.rows * p.columns) return;
  const int64_t row = number / p.columns, column = number % p.columns;
  Write(p, row, column, p.keys[row * p.padded + column]);
}

}  // namespace nabla::cuda
