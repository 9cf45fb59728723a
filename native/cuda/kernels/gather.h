// The parameters of gather and scatterAdd.
#pragma once

#include <cstdint>

#include "cuda/kernels/divide.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

constexpr int kGatherThreads = 256, kScatterThreads = 128;

struct GatherParams {
  Head head;
  void* out;
  const void* table;
  const int32_t* indices;
  const int32_t* cursor;  // null: from the first index on
  int64_t indexCount, tableRows;
  int32_t count, rowSize;
  GatherMode mode;
  DType dtype;  // of the table
  float scale, shift;
};

struct ScatterParams {
  Head head;
  float* out;
  const float* source;
  const int32_t* indices;
  int64_t tableRows;
  int32_t count, rowSize;
  int32_t clear, unused;
};

}  // namespace nabla::cuda
