// cumulate: a warp for each line whose numbers are neighbours, a thread for each of lines that lie side by
// side.
#include "cuda/kernels/cumulate.h"

#include "cuda/kernels/block.h"

namespace nabla::cuda {
namespace {

// float32 is carried in double; 32-bit integers wrap.
template <CumulateKind kKind>
struct OfFloats {
  using Number = float;
  using State = double;

  __device__ static __forceinline__ double Neutral() {
    if constexpr (kKind == CumulateKind::kSum) return 0;
    if constexpr (kKind == CumulateKind::kProd) return 1;
    return -__builtin_inf();
  }
  // A NaN stays from where it is met.
  __device__ static __forceinline__ double Join(double a, double b) {
    if constexpr (kKind == CumulateKind::kSum) {
      return a + b;
    } else if constexpr (kKind == CumulateKind::kProd) {
      return a * b;
    } else if constexpr (kKind == CumulateKind::kMax) {
      return a != a || a > b ? a : b;
    } else {
      if (a != a || b != b) return a + b;
      const double high = a > b ? a : b, low = a > b ? b : a;
      return high - high != 0 ? high : high + log1p(exp(low - high));
    }
  }
};

template <CumulateKind kKind>
struct OfInts {
  using Number = int32_t;
  using State = int32_t;

  __device__ static __forceinline__ int32_t Neutral() {
    return kKind == CumulateKind::kMax ? -2147483647 - 1 : kKind == CumulateKind::kProd ? 1 : 0;
  }
  __device__ static __forceinline__ int32_t Join(int32_t a, int32_t b) {
    if constexpr (kKind == CumulateKind::kMax) return a > b ? a : b;
    const uint32_t x = static_cast<uint32_t>(a), y = static_cast<uint32_t>(b);
    return static_cast<int32_t>(kKind == CumulateKind::kSum ? x + y : x * y);
  }
};

// A thread that walks along its line, next to its neighbours'.
struct ByThread {
  template <class By>
  __device__ static __forceinline__ void Run(const CumulateParams& p) {
    using Number = typename By::Number;
    const int64_t line = blockIdx.x * int64_t{kCumulateThreads} + threadIdx.x;
    if (line >= p.lines) return;
    const int64_t base = line / p.inner * p.count * p.inner + line % p.inner;
    const Number* const input = static_cast<const Number*>(p.input) + base;
    Number* const out = static_cast<Number*>(p.out) + base;
    typename By::State state = By::Neutral();
    for (int64_t i = 0; i < p.count; i++) {
      const int64_t at = (p.reverse != 0 ? p.count - 1 - i : i) * p.inner;
      const typename By::State next = By::Join(state, static_cast<typename By::State>(input[at]));
      out[at] = static_cast<Number>(p.exclusive != 0 ? state : next);
      state = next;
    }
  }
};

// A warp that takes 32 numbers of a line at a time (Hillis and Steele 1986).
struct ByWarp {
  template <class By>
  __device__ static __forceinline__ void Run(const CumulateParams& p) {
    using Number = typename By::Number;
    const int64_t line = blockIdx.x * int64_t{kCumulateThreads / 32} + threadIdx.x / 32;
    if (line >= p.lines) return;
    const int lane = static_cast<int>(threadIdx.x % 32);
    const Number* const input = static_cast<const Number*>(p.input) + line * p.count;
    Number* const out = static_cast<Number*>(p.out) + line * p.count;
    typename By::State state = By::Neutral();
    for (int64_t first = 0; first < p.count; first += 32) {
      const int64_t i = first + lane;
      const int64_t at = p.reverse != 0 ? p.count - 1 - i : i;
      typename By::State sum = i < p.count ? static_cast<typename By::State>(input[at]) : By::Neutral();
#pragma unroll
      for (int delta = 1; delta < 32; delta *= 2) {
        const typename By::State before = __shfl_up_sync(kAllLanes, sum, delta);
        if (lane >= delta) sum = By::Join(before, sum);
      }
      const typename By::State next = By::Join(state, sum);
      typename By::State former = __shfl_up_sync(kAllLanes, next, 1);
      if (lane == 0) former = state;
      if (i < p.count) out[at] = static_cast<Number>(p.exclusive != 0 ? former : next);
      state = __shfl_sync(kAllLanes, next, 31);
    }
  }
};

template <class How>
__device__ __forceinline__ void Cumulate(const CumulateParams& p) {
  switch (p.kind) {
    case CumulateKind::kSum:
      return p.isFloat != 0 ? How::template Run<OfFloats<CumulateKind::kSum>>(p)
                            : How::template Run<OfInts<CumulateKind::kSum>>(p);
    case CumulateKind::kProd:
      return p.isFloat != 0 ? How::template Run<OfFloats<CumulateKind::kProd>>(p)
                            : How::template Run<OfInts<CumulateKind::kProd>>(p);
    case CumulateKind::kMax:
      return p.isFloat != 0 ? How::template Run<OfFloats<CumulateKind::kMax>>(p)
                            : How::template Run<OfInts<CumulateKind::kMax>>(p);
    default:
      return How::template Run<OfFloats<CumulateKind::kLogSumExp>>(p);
  }
}

}  // namespace

NABLA_ENTRY(cumulateThread, CumulateParams, kCumulateThreads) { Cumulate<ByThread>(p); }
NABLA_ENTRY(cumulateWarp, CumulateParams, kCumulateThreads) { Cumulate<ByWarp>(p); }

}  // namespace nabla::cuda
