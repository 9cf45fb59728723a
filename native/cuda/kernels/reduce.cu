// reduce: sums, products, extremes and their places along one dimension, joined in a fixed order.
#include "cuda/kernels/reduce.h"

#include "cuda/kernels/block.h"
#include "cuda/kernels/half.h"
#include "cuda/kernels/micro.h"

namespace nabla::cuda {
namespace {

// Each operation: a state, which joins those of other threads, from the left to the right.
template <class T>
struct Sum {
  using In = T;
  using State = T;
  using Out = T;
  __device__ static State Neutral() { return 0; }
  __device__ static State Of(In x, int64_t) { return x; }
  __device__ static State Join(State a, State b) { return a + b; }
  __device__ static Out Result(State s, const ReduceParams& p) { return s * static_cast<T>(p.scale); }
};
struct SumInt : Sum<uint32_t> {
  __device__ static Out Result(State s, const ReduceParams&) { return s; }
};
struct SumSquares : Sum<float> {
  __device__ static State Of(float x, int64_t) { return x * x; }
};

template <class T>
struct Prod {
  using In = T;
  using State = T;
  using Out = T;
  __device__ static State Neutral() { return 1; }
  __device__ static State Of(In x, int64_t) { return x; }
  __device__ static State Join(State a, State b) { return a * b; }
  __device__ static Out Result(State s, const ReduceParams&) { return s; }
};

template <class T>
__device__ __forceinline__ T Lowest();
template <>
__device__ __forceinline__ float Lowest<float>() {
  return -Infinity();
}
template <>
__device__ __forceinline__ int32_t Lowest<int32_t>() {
  return INT32_MIN;
}
template <>
__device__ __forceinline__ uint8_t Lowest<uint8_t>() {
  return 0;
}
template <class T>
__device__ __forceinline__ T Highest();
template <>
__device__ __forceinline__ float Highest<float>() {
  return Infinity();
}
template <>
__device__ __forceinline__ int32_t Highest<int32_t>() {
  return INT32_MAX;
}
template <>
__device__ __forceinline__ uint8_t Highest<uint8_t>() {
  return 255;
}

// A NaN wins, and of equals the first. any and all are the extremes of bools.
template <class T, bool kMax>
struct Extreme {
  using In = T;
  using State = T;
  using Out = T;
  __device__ static State Neutral() { return kMax ? Lowest<T>() : Highest<T>(); }
  __device__ static State Of(In x, int64_t) { return x; }
  __device__ static bool Beats(T x, T old) { return old == old && (x != x || (kMax ? x > old : x < old)); }
  __device__ static State Join(State a, State b) { return Beats(b, a) ? b : a; }
  __device__ static Out Result(State s, const ReduceParams& p) {
    return p.isBool != 0 ? static_cast<T>(s != 0) : s;
  }
};

template <class T, bool kMax>
struct Position {
  struct Found {
    T value;
    int32_t at;  // below 0: nothing yet
  };
  using In = T;
  using State = Found;
  using Out = int32_t;
  __device__ static State Neutral() { return {0, -1}; }
  __device__ static State Of(In x, int64_t at) { return {x, static_cast<int32_t>(at)}; }
  __device__ static State Join(State a, State b) {
    if (a.at < 0) return b;
    if (b.at < 0) return a;
    if (Extreme<T, kMax>::Beats(b.value, a.value)) return b;
    if (Extreme<T, kMax>::Beats(a.value, b.value)) return a;
    return a.at < b.at ? a : b;
  }
  __device__ static Out Result(State s, const ReduceParams&) { return s.at; }
};

template <class T>
__device__ __forceinline__ T Element(const ReduceParams& p, int64_t at) {
  return static_cast<const T*>(p.input)[at];
}
template <>
__device__ __forceinline__ float Element<float>(const ReduceParams& p, int64_t at) {
  return p.dtype == DType::kBfloat16 ? OfHalf(static_cast<const uint16_t*>(p.input)[at])
                                     : static_cast<const float*>(p.input)[at];
}

template <class T>
__device__ __forceinline__ void Put(const ReduceParams& p, int64_t at, T value) {
  static_cast<T*>(p.out)[at] = value;
}
__device__ __forceinline__ void Put(const ReduceParams& p, int64_t at, float value) {
  if (p.outHalf != 0) {
    static_cast<uint16_t*>(p.out)[at] = ToHalf(value);
  } else {
    static_cast<float*>(p.out)[at] = value;
  }
}

template <class Op>
__device__ __forceinline__ void Store(const ReduceParams& p, int64_t output, typename Op::State state) {
  Put(p, output, static_cast<typename Op::Out>(Op::Result(state, p)));
}

// kAcross neighbouring threads work on as many outputs; the others share each output's line.
template <class Op, int kAcross>
__device__ __forceinline__ void Reduce(const ReduceParams& p, void* shared) {
  using State = typename Op::State;
  static_assert(sizeof(State) <= 8);
  constexpr int kDown = kReduceThreads / kAcross;
  const int across = static_cast<int>(threadIdx.x) % kAcross, down = static_cast<int>(threadIdx.x) / kAcross;
  const int64_t output = blockIdx.x * int64_t{kAcross} + across;
  const int32_t split = static_cast<int32_t>(blockIdx.y);
  State state = Op::Neutral();
  if (output < p.outputs) {
    const int64_t first = output / p.inner * p.count * p.inner + output % p.inner;
    const int64_t begin = p.count * split / p.splits, end = p.count * (split + 1) / p.splits;
    for (int64_t i = begin + down; i < end; i += kDown)
      state = Op::Join(state, Op::Of(Element<typename Op::In>(p, first + i * p.inner), i));
  }
  // Memory that all operations share: only one of them runs.
  State* const states = static_cast<State*>(shared);
  states[threadIdx.x] = state;
  __syncthreads();
  for (int half = kDown / 2; half > 0; half /= 2) {
    if (down < half)
      states[threadIdx.x] =
          Op::Join(states[threadIdx.x], states[threadIdx.x + static_cast<unsigned>(half) * kAcross]);
    __syncthreads();
  }
  if (down != 0 || output >= p.outputs) return;
  if (p.splits == 1) {
    Store<Op>(p, output, states[threadIdx.x]);
  } else {
    static_cast<State*>(p.partial)[split * p.outputs + output] = states[threadIdx.x];
  }
}

// A thread for each output joins what the blocks that shared it found.
template <class Op>
__device__ __forceinline__ void Finish(const ReduceParams& p) {
  const int64_t output = blockIdx.x * int64_t{kReduceThreads} + threadIdx.x;
  if (output >= p.outputs) return;
  const auto* const partial = static_cast<const typename Op::State*>(p.partial);
  typename Op::State state = partial[output];
  for (int32_t split = 1; split < p.splits; split++)
    state = Op::Join(state, partial[split * p.outputs + output]);
  Store<Op>(p, output, state);
}

struct ByFew {
  template <class Op>
  __device__ static void Run(const ReduceParams& p, void* shared) {
    Reduce<Op, 1>(p, shared);
  }
};
struct ByMany {
  template <class Op>
  __device__ static void Run(const ReduceParams& p, void* shared) {
    Reduce<Op, kReduceAcross>(p, shared);
  }
};
struct ByFinish {
  template <class Op>
  __device__ static void Run(const ReduceParams& p, void*) {
    Finish<Op>(p);
  }
};

template <class By, class T>
__device__ __forceinline__ void RunExtreme(const ReduceParams& p, void* shared) {
  switch (p.kind) {
    case ReduceKind::kMax:
    case ReduceKind::kAny:
      return By::template Run<Extreme<T, true>>(p, shared);
    case ReduceKind::kMin:
    case ReduceKind::kAll:
      return By::template Run<Extreme<T, false>>(p, shared);
    case ReduceKind::kArgMax:
      return By::template Run<Position<T, true>>(p, shared);
    default:
      return By::template Run<Position<T, false>>(p, shared);
  }
}

template <class By>
__device__ __forceinline__ void Dispatch(const ReduceParams& p, void* shared) {
  const bool isFloat = p.dtype == DType::kFloat32 || p.dtype == DType::kBfloat16;
  switch (p.kind) {
    case ReduceKind::kSum:
      if (isFloat) return By::template Run<Sum<float>>(p, shared);
      return By::template Run<SumInt>(p, shared);
    case ReduceKind::kSumSquares:
      return By::template Run<SumSquares>(p, shared);
    case ReduceKind::kProd:
      if (isFloat) return By::template Run<Prod<float>>(p, shared);
      return By::template Run<Prod<uint32_t>>(p, shared);
    default:
      if (isFloat) return RunExtreme<By, float>(p, shared);
      if (p.dtype == DType::kInt32) return RunExtreme<By, int32_t>(p, shared);
      return RunExtreme<By, uint8_t>(p, shared);
  }
}

}  // namespace

NABLA_ENTRY(reduceFew, ReduceParams, kReduceThreads) {
  __shared__ uint64_t shared[kReduceThreads];
  Dispatch<ByFew>(p, shared);
}
NABLA_ENTRY(reduceMany, ReduceParams, kReduceThreads) {
  __shared__ uint64_t shared[kReduceThreads];
  Dispatch<ByMany>(p, shared);
}
NABLA_ENTRY(reduceFinish, ReduceParams, kReduceThreads) { Dispatch<ByFinish>(p, nullptr); }

}  // namespace nabla::cuda
