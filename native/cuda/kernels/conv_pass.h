// What the passes of convolutions over their source share: where rows and taps lie.
#pragma once

#include "cuda/kernels/conv.h"
#include "cuda/kernels/entry.h"

namespace nabla::cuda {

// One dimension of a pass: tap t of row r reads the source at r * move + start + t * reach, and multiplies
// the filter's tap firstTap + t * tapStep; row r is the target's place r * step + phase.
struct Axis {
  int32_t move, start, reach, taps, firstTap, tapStep, step, phase;
};

__device__ __forceinline__ Axis ForwardAxis(const ConvShape& s, int d) {
  return {s.stride[d], -s.pad[d], s.dilation[d], s.kernel[d], 0, 1, 1, 0};
}

// Input i is read by output (i + pad - k * dilation) / stride where that is whole: for places a stride apart
// by the same taps, which are tapStep apart.
__device__ __forceinline__ Axis GradientAxis(const ConvShape& s, int d, int32_t phase) {
  const int32_t stride = s.stride[d], dilation = s.dilation[d], kernel = s.kernel[d];
  const int32_t from = phase + s.pad[d];
  int32_t first = 0, tapStep = 1;
  while (first < kernel && (from - first * dilation) % stride != 0) first++;
  while (tapStep < kernel && tapStep * dilation % stride != 0) tapStep++;
  const int32_t taps = (kernel - first + tapStep - 1) / tapStep;
  return {
      1,    (from - first * dilation) / stride, -(tapStep * dilation / stride), taps, first, tapStep, stride,
      phase};
}

// The three of one phase.
template <bool kGradient>
__device__ __forceinline__ void FindAxes(const ConvParams& p, int32_t phase, Axis (&axes)[3]) {
#pragma unroll
  for (int d = 2; d >= 0; d--) {
    const int32_t quotient = static_cast<int32_t>(p.phases[d].Quotient(static_cast<uint32_t>(phase)));
    axes[d] = kGradient
                  ? GradientAxis(p.shape, d, phase - quotient * static_cast<int32_t>(p.phases[d].divisor))
                  : ForwardAxis(p.shape, d);
    phase = quotient;
  }
}

// The row's sample and places; false where the phase has no such row.
template <bool kGradient>
__device__ __forceinline__ bool Locate(const ConvParams& p, const Axis (&axes)[3], int64_t row,
                                       int64_t& sample, int32_t (&place)[3]) {
  if (row >= p.rowCount) return false;
  uint32_t number = static_cast<uint32_t>(row);
  bool inside = true;
#pragma unroll
  for (int d = 2; d >= 0; d--) {
    const uint32_t quotient = p.rows[d].Quotient(number);
    place[d] = static_cast<int32_t>(number - quotient * p.rows[d].divisor);
    number = quotient;
    const int32_t size = kGradient ? p.shape.in[d] : p.shape.out[d];
    inside = inside && static_cast<uint32_t>(place[d]) * static_cast<uint32_t>(axes[d].step) +
                               static_cast<uint32_t>(axes[d].phase) <
                           static_cast<uint32_t>(size);
  }
  sample = number;
  return inside;
}

// The number of a row's place among those of the target.
template <bool kGradient>
__device__ __forceinline__ int64_t TargetPlace(const ConvParams& p, const Axis (&axes)[3], int64_t sample,
                                               const int32_t (&place)[3]) {
  int64_t at = sample;
#pragma unroll
  for (int d = 0; d < 3; d++)
    at = at * (kGradient ? p.shape.in[d] : p.shape.out[d]) + place[d] * axes[d].step + axes[d].phase;
  return at;
}

}  // namespace nabla::cuda
