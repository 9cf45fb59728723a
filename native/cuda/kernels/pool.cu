// pool and poolGrad: a thread for each number that is written, the channels of a warp next to each other.
#include "cuda/kernels/pool.h"

#include "cuda/kernels/entry.h"
#include "cuda/kernels/half.h"

namespace nabla::cuda {
namespace {

// The thread's number of what is written, taken apart.
struct Place {
  int64_t number, sample;
  int32_t at[3], channel;
};

// False behind the end.
__device__ __forceinline__ bool Locate(const PoolParams& p, Place& place) {
  place.number = blockIdx.x * int64_t{kPoolThreads} + threadIdx.x;
  if (place.number >= p.size) return false;
  const uint32_t number = static_cast<uint32_t>(place.number);
  uint32_t rest = p.channels.Quotient(number);
  place.channel = static_cast<int32_t>(number - rest * p.channels.divisor);
#pragma unroll
  for (int d = 2; d >= 0; d--) {
    const uint32_t quotient = p.places[d].Quotient(rest);
    place.at[d] = static_cast<int32_t>(rest - quotient * p.places[d].divisor);
    rest = quotient;
  }
  place.sample = rest;
  return true;
}

// The part of a window that lies inside the input.
struct Window {
  int32_t begin[3], end[3];

  __device__ __forceinline__ Window(const PoolParams& p, const int32_t (&output)[3]) {
#pragma unroll
    for (int d = 0; d < 3; d++) {
      const int64_t first = int64_t{output[d]} * p.stride[d] - p.pad[d];
      begin[d] = static_cast<int32_t>(max(first, int64_t{0}));
      end[d] = static_cast<int32_t>(min(first + p.kernel[d], int64_t{p.in[d]}));
    }
  }

  __device__ __forceinline__ float count() const {
    return static_cast<float>(end[0] - begin[0]) * static_cast<float>(end[1] - begin[1]) *
           static_cast<float>(end[2] - begin[2]);
  }
};

// A number of the input's channel; `image` is the place of the channel's first one of the sample.
__device__ __forceinline__ float Read(const PoolParams& p, int64_t image, int32_t d, int32_t h, int32_t w) {
  return Get(p.input, image + ((int64_t{d} * p.in[1] + h) * p.in[2] + w) * p.channels.divisor);
}

__device__ __forceinline__ int64_t Image(const PoolParams& p, const Place& place) {
  return place.sample * p.in[0] * p.in[1] * p.in[2] * p.channels.divisor + place.channel;
}

__device__ __forceinline__ bool Same(float a, float b) { return a == b || (a != a && b != b); }

// Whether none of the window before the place holds `most`.
__device__ __forceinline__ bool IsFirst(const PoolParams& p, int64_t image, const int32_t (&at)[3],
                                        const Window& window, float most) {
  int32_t d = window.begin[0], h = window.begin[1], w = window.begin[2];
  bool met = false;
  // One loop over the three dimensions: nested ones spill.
  while (!met && (d != at[0] || h != at[1] || w != at[2])) {
    met = Same(Read(p, image, d, h, w), most);
    if (++w == window.end[2]) {
      w = window.begin[2];
      if (++h == window.end[1]) {
        h = window.begin[1];
        d++;
      }
    }
  }
  return !met;
}

// Every input asks the outputs whose windows hold it, in their order.
template <PoolKind kKind>
__device__ __forceinline__ void Gradient(const PoolParams& p) {
  Place place;
  if (!Locate(p, place)) return;
  int32_t first[3], end[3];
#pragma unroll
  for (int d = 0; d < 3; d++) {
    const uint32_t at = static_cast<uint32_t>(place.at[d]) + static_cast<uint32_t>(p.pad[d]);
    const uint32_t kernel = static_cast<uint32_t>(p.kernel[d]), stride = static_cast<uint32_t>(p.stride[d]);
    first[d] = static_cast<int32_t>(at < kernel ? 0 : (at - kernel) / stride + 1);
    end[d] = static_cast<int32_t>(min(at / stride + 1, static_cast<uint32_t>(p.outSize[d])));
  }
  const int64_t image = Image(p, place);
  const float mine = kKind == PoolKind::kMax ? Get(p.input, place.number) : 0.0f;
  float sum = 0;
  for (int32_t d = first[0]; d < end[0]; d++) {
    for (int32_t h = first[1]; h < end[1]; h++) {
      for (int32_t w = first[2]; w < end[2]; w++) {
        const int32_t output[3] = {d, h, w};
        const Window window(p, output);
        const int64_t at =
            (((place.sample * p.outSize[0] + d) * p.outSize[1] + h) * p.outSize[2] + w) * p.channels.divisor +
            place.channel;
        if constexpr (kKind == PoolKind::kAverage) {
          sum += Get(p.dy, at) / window.count();
        } else {
          const float most = Get(p.y, at);
          if (Same(mine, most) && IsFirst(p, image, place.at, window, most)) sum += Get(p.dy, at);
        }
      }
    }
  }
  Set(p.out, place.number, sum);
}

}  // namespace

NABLA_ENTRY(pool, PoolParams, kPoolThreads) {
  Place place;
  if (!Locate(p, place)) return;
  const Window window(p, place.at);
  const bool average = p.kind == PoolKind::kAverage;
  const int64_t image = Image(p, place);
  float value = average ? 0.0f : Read(p, image, window.begin[0], window.begin[1], window.begin[2]);
  for (int32_t d = window.begin[0]; d < window.end[0]; d++) {
    for (int32_t h = window.begin[1]; h < window.end[1]; h++) {
      for (int32_t w = window.begin[2]; w < window.end[2]; w++) {
        const float x = Read(p, image, d, h, w);
        // A NaN, once met, stays.
        value = average ? value + x : x > value || x != x ? x : value;
      }
    }
  }
  Set(p.out, place.number, average ? value / window.count() : value);
}

NABLA_ENTRY(poolMaxGrad, PoolParams, kPoolThreads) { Gradient<PoolKind::kMax>(p); }
NABLA_ENTRY(poolAverageGrad, PoolParams, kPoolThreads) { Gradient<PoolKind::kAverage>(p); }

}  // namespace nabla::cuda
