// What happens to a number of a product before it is stored: bias, activation, accumulation.
#pragma once

#include <cstdint>

#include "cuda/kernels/gemm.h"
#include "cuda/kernels/half.h"
#include "cuda/kernels/micro.h"

namespace nabla::cuda {

__device__ __forceinline__ float Activate(float x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return x < 0 ? 0.0f : x;
    case Activation::kSigmoid:
      return Sigmoid(x);
    case Activation::kTanh:
      return tanhf(x);
    default:
      return x;
  }
}

// Stores a whole sum of a[row, :] * b[:, column] of a matrix of the batch.
__device__ __forceinline__ void FinishProduct(const GemmParams& p, int64_t matrix, int32_t row,
                                              int32_t column, float sum) {
  const int64_t at = matrix * p.strideOut + int64_t{row} * p.n + column;
  // Nothing summed up is 0, whatever alpha is.
  float value = p.k == 0 ? 0.0f : p.alpha * sum;
  if (p.bias.data != nullptr) value += Get(p.bias, column);
  if (p.accumulate != 0) value += Get(p.out, at);
  Set(p.out, at, Activate(value, p.activation));
}

// Stores what a block has found of it.
__device__ __forceinline__ void StoreProduct(const GemmParams& p, int64_t matrix, int32_t row, int32_t column,
                                             float sum) {
  if (p.splits == 1) return FinishProduct(p, matrix, row, column, sum);
  p.partial[(int64_t{blockIdx.z} * p.m + row) * p.n + column] = sum;
}

}  // namespace nabla::cuda
