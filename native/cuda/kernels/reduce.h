// The parameters of the reductions.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

constexpr int kReduceThreads = 256;
// Outputs of a block where neighbouring threads work on neighbouring outputs.
constexpr int kReduceAcross = 32;

struct ReduceParams {
  Head head;
  void* out;
  const void* input;
  void* partial;  // 8 bytes for each split of each output; null where there is one split
  int64_t outputs;
  int64_t count, inner;
  int32_t splits;  // blocks that share an output
  ReduceKind kind;
  DType dtype;  // of the input
  int32_t isBool;
  float scale;
  int32_t outHalf;  // the output is bfloat16
};

}  // namespace nabla::cuda
