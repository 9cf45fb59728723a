// The parameters of the optimizers' kernel.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

constexpr int kUpdateThreads = 256;

struct UpdateParams {
  Head head;
  float* params;
  const float* grads;
  float *state1, *state2, *state3;
  const float* scalars;  // [0]: the learning rate
  const int32_t* step;   // [0]: steps before this one
  const float* clip;     // null: 1
  int64_t size;
  UpdateKind kind;
  int32_t flags;
  float beta1, beta2, epsilon, weightDecay;
};

}  // namespace nabla::cuda
