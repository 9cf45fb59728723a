// Division by a number that is known before the kernel starts, as a multiplication: GPUs divide integers
// slowly.
#pragma once

#include <cstdint>

#if !defined(__CUDACC__)
#define NABLA_HOST_DEVICE
#else
#define NABLA_HOST_DEVICE __host__ __device__
#endif

namespace nabla::cuda {

// Granlund and Montgomery, "Division by Invariant Integers using Multiplication" (1994): n / d for all 32-bit
// n is (n * multiplier / 2^32 + n) / 2^shift, in 64 bits where that sum overflows.
struct Divider {
  uint32_t divisor = 1;
  uint32_t multiplier = 0;
  uint32_t shift = 0;

  Divider() = default;
  NABLA_HOST_DEVICE explicit Divider(int64_t by) : divisor(static_cast<uint32_t>(by)) {
    while (shift < 32 && (uint64_t{1} << shift) < divisor) shift++;
    multiplier =
        static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - divisor)) / divisor + 1);
  }

  NABLA_HOST_DEVICE uint32_t Quotient(uint32_t n) const {
    return static_cast<uint32_t>(((uint64_t{n} * multiplier >> 32) + n) >> shift);
  }
};

// A place in an array of up to kRank dimensions, found from a flat number.
template <int kRank>
struct Places {
  int32_t rank = 0;
  Divider dims[kRank];

  // Adds to `at[i]` the steps of stride[i] from the first element to the one with this number.
  template <int kArrays, class Strides>
  NABLA_HOST_DEVICE void Walk(uint32_t number, const Strides& strides, int64_t (&at)[kArrays]) const {
    for (int d = rank - 1; d >= 0; d--) {
      const uint32_t quotient = dims[d].Quotient(number);
      const uint32_t place = number - quotient * dims[d].divisor;
      number = quotient;
      for (int i = 0; i < kArrays; i++) at[i] += static_cast<int64_t>(place) * strides[i][d];
    }
  }
};

}  // namespace nabla::cuda
