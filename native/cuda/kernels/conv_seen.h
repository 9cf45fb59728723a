// What the kernels of the filter's gradient share: which numbers of the input a tap sees.
#pragma once

#include "cuda/kernels/conv.h"
#include "cuda/kernels/entry.h"

namespace nabla::cuda {

// The number of a place or a tap, taken apart: depth, height, width, and what is left.
__device__ __forceinline__ uint32_t Apart(const Divider (&sizes)[3], uint32_t number, int32_t (&to)[3]) {
#pragma unroll
  for (int d = 2; d >= 0; d--) {
    const uint32_t quotient = sizes[d].Quotient(number);
    to[d] = static_cast<int32_t>(number - quotient * sizes[d].divisor);
    number = quotient;
  }
  return number;
}

// The place of the input's number that a tap sees from a position of the output, or -1 outside.
__device__ __forceinline__ int64_t Seen(const ConvFilterParams& p, int64_t position,
                                        const int32_t (&offset)[3], int32_t channel) {
  const ConvShape& s = p.shape;
  int32_t at[3];
  const int64_t sample = Apart(p.places, static_cast<uint32_t>(position), at);
#pragma unroll
  for (int d = 0; d < 3; d++) {
    at[d] = at[d] * s.stride[d] + offset[d];
    if (static_cast<uint32_t>(at[d]) >= static_cast<uint32_t>(s.in[d])) return -1;
  }
  return (((sample * s.in[0] + at[0]) * s.in[1] + at[1]) * s.in[2] + at[2]) * s.inC + channel;
}

// Where a row of the filter, a tap and a channel, reads: from the window's first element, and in the group.
__device__ __forceinline__ int32_t Offset(const ConvFilterParams& p, int32_t row, int32_t (&offset)[3]) {
  const uint32_t tap = p.channels.Quotient(static_cast<uint32_t>(row));
  (void)Apart(p.taps, tap, offset);
#pragma unroll
  for (int d = 0; d < 3; d++) offset[d] = offset[d] * p.shape.dilation[d] - p.shape.pad[d];
  return row - static_cast<int32_t>(tap * p.channels.divisor);
}

}  // namespace nabla::cuda
