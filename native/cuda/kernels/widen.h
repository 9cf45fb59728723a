// The parameters of the kernels that turn bfloat16 into float32 and back.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"

namespace nabla::cuda {

constexpr int kWidenThreads = 256;
// Numbers of a thread.
constexpr int kWidenElements = 4;

struct WidenParams {
  Head head;
  void* to;
  const void* from;
  int64_t size;
};

}  // namespace nabla::cuda
