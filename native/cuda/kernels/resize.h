// The parameters of resize and its gradient.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

struct ResizeParams {
  Head head;
  void* out;  // the image, or the gradient of the input
  const void* input;
  int64_t size;  // of what is written
  int32_t inH, inW, outH, outW, channels;
  ResizeMode mode;
  int32_t align, half;
};

constexpr int kResizeThreads = 256;

}  // namespace nabla::cuda
