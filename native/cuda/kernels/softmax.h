// The parameters of softmax, its gradient, and the cross entropy.
#pragma once

#include <cstdint>

#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

constexpr int kSoftmaxThreads = 256;
// Rows up to this length are a warp's, longer ones a block's.
constexpr int kSoftmaxWarpColumns = 1024;

struct SoftmaxParams {
  Head head;
  Floats out;
  Floats input;  // of the gradient: y
  Floats dy;
  int64_t rows;
  int32_t columns;
  int32_t log;
};

struct CrossEntropyParams {
  Head head;
  float* loss;
  float* grad;  // may be null
  const float* logits;
  const void* labels;
  int64_t rows;
  int32_t columns;
  DType labelType;
};

}  // namespace nabla::cuda
