// The parameters of the copy kernel.
#pragma once

#include <cstdint>

#include "cuda/kernels/divide.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

constexpr int kCopyThreads = 256;

struct CopyParams {
  Head head;
  void* out;  // the first element's place
  const void* input;
  int64_t size;
  DType outType, inType;
  Places<kMaxRank> places;
  int32_t strides[2][kMaxRank];  // out, input
};

}  // namespace nabla::cuda
