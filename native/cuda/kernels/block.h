// Sums, extremes and other joins over the threads of a warp or of a block, always in the same order.
#pragma once

#include <cstdint>

#include "cuda/kernels/entry.h"

namespace nabla::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

struct JoinSum {
  template <class T>
  __device__ static T Join(T a, T b) {
    return a + b;
  }
};

// A NaN wins.
struct JoinMax {
  __device__ static float Join(float a, float b) { return a > b || a != a ? a : b; }
};

// Of all lanes, given to each.
template <class By, class T>
__device__ __forceinline__ T JoinWarp(T value) {
  for (int bits = 16; bits > 0; bits >>= 1) value = By::Join(value, __shfl_xor_sync(kAllLanes, value, bits));
  return value;
}

// Of all threads of a block of kThreads, a multiple of 32, given to each. `neutral` joins to nothing.
template <class By, int kThreads, class T>
__device__ __forceinline__ T JoinBlock(T value, T neutral) {
  static_assert(kThreads % 32 == 0 && kThreads <= 1024);
  value = JoinWarp<By>(value);
  if constexpr (kThreads > 32) {
    __shared__ T warps[kThreads / 32];
    // The former use of the same memory may still be read.
    __syncthreads();
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    const unsigned lane = threadIdx.x % 32;
    value = JoinWarp<By>(lane < kThreads / 32 ? warps[lane] : neutral);
  }
  return value;
}

}  // namespace nabla::cuda
