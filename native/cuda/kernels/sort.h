// The parameters of sort.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// Keys are a number's order in the upper half and its place in the lower one: no two are equal, so that
// sorting them is stable.
struct SortParams {
  Head head;
  void* values;
  int32_t* indices;
  const void* input;
  uint64_t* keys;  // [rows, padded]; null where a row fits a block
  int64_t rows;
  int64_t columns;
  int64_t padded;  // columns, up to a power of 2
  int64_t run;     // the runs that a merge makes, and how far apart it compares
  int64_t distance;
  DType dtype;
  int32_t descending;
};

constexpr int kSortThreads = 256;
// Keys that a block sorts in shared memory.
constexpr int kSortBlock = 2048;

}  // namespace nabla::cuda
