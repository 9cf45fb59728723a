// softmax, log-softmax and their gradients, and softmax with cross entropy: a warp or a block for each row.
#include "cuda/kernels/softmax.h"

#include "cuda/kernels/block.h"
#include "cuda/kernels/micro.h"

namespace nabla::cuda {
namespace {

// The row of this thread, and its place among the row's threads.
template <int kThreads>
__device__ __forceinline__ int64_t Row() {
  return blockIdx.x * int64_t{kSoftmaxThreads / kThreads} + threadIdx.x / kThreads;
}
template <int kThreads>
__device__ __forceinline__ int32_t First() {
  return static_cast<int32_t>(threadIdx.x % kThreads);
}

template <int kThreads>
__device__ __forceinline__ float RowMax(const float* x, int32_t columns) {
  float most = -Infinity();
  for (int32_t i = First<kThreads>(); i < columns; i += kThreads) most = JoinMax::Join(x[i], most);
  return JoinBlock<JoinMax, kThreads>(most, -Infinity());
}

// The logarithm of the sum of exp(x - most).
template <int kThreads>
__device__ __forceinline__ float LogSum(const float* x, int32_t columns, float most) {
  float sum = 0;
  for (int32_t i = First<kThreads>(); i < columns; i += kThreads) sum += expf(x[i] - most);
  return logf(JoinBlock<JoinSum, kThreads>(sum, 0.0f));
}

template <int kThreads>
__device__ __forceinline__ void Softmax(const SoftmaxParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const float* const x = p.input + row * p.columns;
  float* const out = p.out + row * p.columns;
  const float most = RowMax<kThreads>(x, p.columns);
  if (p.log != 0) {
    const float rest = LogSum<kThreads>(x, p.columns, most);
    for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) out[i] = x[i] - most - rest;
    return;
  }
  float sum = 0;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float weight = expf(x[i] - most);
    out[i] = weight;
    sum += weight;
  }
  const float scale = 1.0f / JoinBlock<JoinSum, kThreads>(sum, 0.0f);
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) out[i] *= scale;
}

template <int kThreads>
__device__ __forceinline__ void SoftmaxGrad(const SoftmaxParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const float* const y = p.input + row * p.columns;
  const float* const dy = p.dy + row * p.columns;
  float* const out = p.out + row * p.columns;
  float sum = 0;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) sum += p.log != 0 ? dy[i] : dy[i] * y[i];
  sum = JoinBlock<JoinSum, kThreads>(sum, 0.0f);
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads)
    out[i] = p.log != 0 ? dy[i] - expf(y[i]) * sum : y[i] * (dy[i] - sum);
}

template <int kThreads>
__device__ __forceinline__ void CrossEntropy(const CrossEntropyParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const bool classes = p.labelType != DType::kFloat32;
  int32_t label = -1;
  if (classes) {
    label = p.labelType == DType::kInt32 ? static_cast<const int32_t*>(p.labels)[row]
                                         : static_cast<const uint8_t*>(p.labels)[row];
    if (label < 0 || label >= p.columns) {
      if (First<kThreads>() == 0)
        Refuse(p.head, static_cast<int32_t>(FaultCode::kLabelOutOfRange), row, label, p.columns);
      return;
    }
  }
  const float* const x = p.logits + row * p.columns;
  const float* const weights = classes ? nullptr : static_cast<const float*>(p.labels) + row * p.columns;
  const float most = RowMax<kThreads>(x, p.columns);
  const float rest = LogSum<kThreads>(x, p.columns, most);
  float loss = 0, whole = 1;
  if (classes) {
    loss = -(x[label] - most - rest);
  } else {
    whole = 0;
    for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
      whole += weights[i];
      loss -= weights[i] * (x[i] - most - rest);
    }
    whole = JoinBlock<JoinSum, kThreads>(whole, 0.0f);
    loss = JoinBlock<JoinSum, kThreads>(loss, 0.0f);
  }
  if (First<kThreads>() == 0) p.loss[row] = loss;
  if (p.grad == nullptr) return;
  float* const grad = p.grad + row * p.columns;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float weight = classes ? (i == label ? 1.0f : 0.0f) : weights[i];
    grad[i] = expf(x[i] - most - rest) * whole - weight;
  }
}

}  // namespace

NABLA_ENTRY(softmaxWarp, SoftmaxParams, kSoftmaxThreads) { Softmax<32>(p); }
NABLA_ENTRY(softmaxBlock, SoftmaxParams, kSoftmaxThreads) { Softmax<kSoftmaxThreads>(p); }
NABLA_ENTRY(softmaxGradWarp, SoftmaxParams, kSoftmaxThreads) { SoftmaxGrad<32>(p); }
NABLA_ENTRY(softmaxGradBlock, SoftmaxParams, kSoftmaxThreads) { SoftmaxGrad<kSoftmaxThreads>(p); }
NABLA_ENTRY(crossEntropyWarp, CrossEntropyParams, kSoftmaxThreads) { CrossEntropy<32>(p); }
NABLA_ENTRY(crossEntropyBlock, CrossEntropyParams, kSoftmaxThreads) { CrossEntropy<kSoftmaxThreads>(p); }

}  // namespace nabla::cuda
