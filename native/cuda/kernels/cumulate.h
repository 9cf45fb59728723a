// The parameters of cumulate.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// Lines of [outer, count, inner] along `count`: docs/KERNELS.md.
struct CumulateParams {
  Head head;
  void* out;
  const void* input;
  int64_t lines, count, inner;
  CumulateKind kind;
  int32_t exclusive, reverse, isFloat;
};

constexpr int kCumulateThreads = 256;

}  // namespace nabla::cuda
