// The parameters of the matrix products.
#pragma once

#include <cstdint>

#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// out[m,n] = activation(alpha * op(a) op(b) + bias), or out += alpha * op(a) op(b): docs/KERNELS.md.
struct GemmParams {
  Head head;
  Floats out;
  const void* a;  // float32, or both bfloat16
  const void* b;
  Floats bias;
  int64_t strideA, strideB, strideOut;  // from one matrix of the batch to the next
  int32_t m, n, k;
  int32_t rowBlocks;  // blocks that cover m; the grid's x is those for n times these
  int32_t transA, transB;
  Activation activation;
  int32_t accumulate;
  float alpha;
  int32_t batch;
  // Where there are few numbers in the product, each is summed up in parts: the grid's z is the part's
  // number.
  int32_t splits, splitK;  // parts, and how much of k is in each
  float* partial;          // [splits, m, n] of the one matrix; used where splits is above 1
};

}  // namespace nabla::cuda
