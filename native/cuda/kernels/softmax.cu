// softmax, log-softmax and their gradients, and softmax with cross entropy: a warp or a block for each row.
#include "cuda/kernels/softmax.h"

#include "cuda/kernels/block.h"
#include "cuda/kernels/half.h"
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

// The cross entropy's rows are float32.
__device__ __forceinline__ float Get(const float* x, int64_t at) { return x[at]; }

template <int kThreads, class Numbers>
__device__ __forceinline__ float RowMax(const Numbers& x, int32_t columns) {
  float most = -Infinity();
  for (int32_t i = First<kThreads>(); i < columns; i += kThreads) most = JoinMax::Join(Get(x, i), most);
  return JoinBlock<JoinMax, kThreads>(most, -Infinity());
}

// The sum of exp(x - most).
template <int kThreads, class Numbers>
__device__ __forceinline__ float Sum(const Numbers& x, int32_t columns, float most) {
  float sum = 0;
  for (int32_t i = First<kThreads>(); i < columns; i += kThreads) sum += expf(Get(x, i) - most);
  return JoinBlock<JoinSum, kThreads>(sum, 0.0f);
}

template <int kThreads>
__device__ __forceinline__ void Softmax(const SoftmaxParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const Floats x = From(p.input, row * p.columns), out = From(p.out, row * p.columns);
  const float most = RowMax<kThreads>(x, p.columns);
  const float sum = Sum<kThreads>(x, p.columns, most);
  const float rest = logf(sum), scale = 1.0f / sum;
  // Computed again rather than kept: what is stored may be rounded.
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float above = Get(x, i) - most;
    Set(out, i, p.log != 0 ? above - rest : expf(above) * scale);
  }
}

template <int kThreads>
__device__ __forceinline__ void SoftmaxGrad(const SoftmaxParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const Floats y = From(p.input, row * p.columns), dy = From(p.dy, row * p.columns);
  const Floats out = From(p.out, row * p.columns);
  float sum = 0;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads)
    sum += p.log != 0 ? Get(dy, i) : Get(dy, i) * Get(y, i);
  sum = JoinBlock<JoinSum, kThreads>(sum, 0.0f);
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float given = Get(dy, i), at = Get(y, i);
    Set(out, i, p.log != 0 ? given - expf(at) * sum : at * (given - sum));
  }
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
  const float rest = logf(Sum<kThreads>(x, p.columns, most));
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
