// The parameters of pool and its gradient.
#pragma once

#include <cstdint>

#include "cuda/kernels/divide.h"
#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// Arrays are depth, height, width: docs/KERNELS.md.
struct PoolParams {
  Head head;
  Floats out;  // y, or the gradient of the input
  Floats input, y, dy;
  Divider places[3], channels;  // of the numbers that threads write
  int64_t size;
  int32_t in[3], outSize[3], kernel[3], stride[3], pad[3];
  PoolKind kind;
};

constexpr int kPoolThreads = 256;

}  // namespace nabla::cuda
