// The parameters of normalize and its gradient.
#pragma once

#include <cstdint>

#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"

namespace nabla::cuda {

constexpr int kNormalizeThreads = 256;
// Rows up to this length are a warp's, longer ones a block's.
constexpr int kNormalizeWarpColumns = 512;
// Columns of a block that sums over rows.
constexpr int kNormalizeAcross = 32;

struct NormalizeParams {
  Head head;
  Floats out, mean, rstd, input, scale, offset;
  int64_t rows;
  int32_t columns, center;
  float epsilon;
  int32_t unused;
};

struct NormalizeGradParams {
  Head head;
  Floats dx, dscale, doffset, dy, input, mean, rstd, scale;
  float *partial;  // [2, splits, columns]
  int64_t rows;
  int32_t columns, splits;
};

}  // namespace nabla::cuda
