// Whole operands from bfloat16 to float32 and back, around kernels that know float32 only.
#include "cuda/kernels/widen.h"

#include "cuda/kernels/entry.h"
#include "cuda/kernels/half.h"

namespace nabla::cuda {
namespace {

// The loads of a thread are under way together; neighbours in a warp work on neighbours in memory.
template <class To, class From, class Convert>
__device__ __forceinline__ void Each(const WidenParams& p, Convert convert) {
  const From* const from = static_cast<const From*>(p.from);
  To* const to = static_cast<To*>(p.to);
  const int64_t first = blockIdx.x * int64_t{kWidenThreads * kWidenElements} + threadIdx.x;
  From values[kWidenElements];
#pragma unroll
  for (int k = 0; k < kWidenElements; k++) {
    const int64_t at = first + k * kWidenThreads;
    values[k] = at < p.size ? from[at] : From{};
  }
#pragma unroll
  for (int k = 0; k < kWidenElements; k++) {
    const int64_t at = first + k * kWidenThreads;
    if (at < p.size) to[at] = convert(values[k]);
  }
}

}  // namespace

NABLA_ENTRY(widen, WidenParams, kWidenThreads) {
  Each<float, uint16_t>(p, [](uint16_t x) { return OfHalf(x); });
}
NABLA_ENTRY(narrow, WidenParams, kWidenThreads) {
  Each<uint16_t, float>(p, [](float x) { return ToHalf(x); });
}

}  // namespace nabla::cuda
