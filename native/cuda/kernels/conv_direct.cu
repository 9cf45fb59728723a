// conv and convInputGrad with groups of few channels, such as depthwise ones: a thread for each number, the
// channels of a warp next to each other.
#include "cuda/kernels/conv.h"

#include "cuda/kernels/activate.h"
#include "cuda/kernels/entry.h"
#include "cuda/kernels/half.h"

namespace nabla::cuda {
namespace {

// The thread's number of the target taken apart: channel, places and sample. False behind the end.
__device__ __forceinline__ bool Locate(const ConvDirectParams& p, int32_t& channel, int32_t (&place)[3],
                                       int64_t& sample, int64_t& number) {
  number = blockIdx.x * int64_t{kConvThreads} + threadIdx.x;
  if (number >= p.size) return false;
  uint32_t rest = p.channels.Quotient(static_cast<uint32_t>(number));
  channel = static_cast<int32_t>(static_cast<uint32_t>(number) - rest * p.channels.divisor);
#pragma unroll
  for (int d = 2; d >= 0; d--) {
    const uint32_t quotient = p.places[d].Quotient(rest);
    place[d] = static_cast<int32_t>(rest - quotient * p.places[d].divisor);
    rest = quotient;
  }
  sample = rest;
  return true;
}

// The output that reads the place by this tap, or -1.
__device__ __forceinline__ int32_t Reader(const ConvShape& s, int d, int32_t place, int32_t tap) {
  const int32_t from = place + s.pad[d] - tap * s.dilation[d];
  if (from < 0 || from % s.stride[d] != 0) return -1;
  const int32_t output = from / s.stride[d];
  return output < s.out[d] ? output : -1;
}

}  // namespace

NABLA_ENTRY(convDirect, ConvDirectParams, kConvThreads) {
  const ConvShape& s = p.shape;
  int32_t channel, place[3];
  int64_t sample, number;
  if (!Locate(p, channel, place, sample, number)) return;
  const int32_t group = static_cast<int32_t>(p.targetGroup.Quotient(static_cast<uint32_t>(channel)));
  float sum = 0;
  int64_t tap = 0;
  for (int32_t kd = 0; kd < s.kernel[0]; kd++) {
    const int32_t d = place[0] * s.stride[0] - s.pad[0] + kd * s.dilation[0];
    for (int32_t kh = 0; kh < s.kernel[1]; kh++) {
      const int32_t h = place[1] * s.stride[1] - s.pad[1] + kh * s.dilation[1];
      for (int32_t kw = 0; kw < s.kernel[2]; kw++, tap++) {
        const int32_t w = place[2] * s.stride[2] - s.pad[2] + kw * s.dilation[2];
        if (d < 0 || d >= s.in[0] || h < 0 || h >= s.in[1] || w < 0 || w >= s.in[2]) continue;
        const int64_t input =
            (((sample * s.in[0] + d) * s.in[1] + h) * s.in[2] + w) * s.inC + group * s.inGroup;
        const int64_t filter = tap * s.inGroup * s.outC + channel;
        for (int32_t i = 0; i < s.inGroup; i++)
          sum = fmaf(Get(p.source, input + i), Get(p.filter, filter + int64_t{i} * s.outC), sum);
      }
    }
  }
  if (p.bias.data != nullptr) sum += Get(p.bias, channel);
  Set(p.target, number, Activate(sum, p.activation));
}

NABLA_ENTRY(convInputGradDirect, ConvDirectParams, kConvThreads) {
  const ConvShape& s = p.shape;
  int32_t channel, place[3];
  int64_t sample, number;
  if (!Locate(p, channel, place, sample, number)) return;
  const int32_t group = static_cast<int32_t>(p.targetGroup.Quotient(static_cast<uint32_t>(channel)));
  const int32_t within = channel - group * s.inGroup;
  float sum = 0;
  int64_t tap = 0;
  for (int32_t kd = 0; kd < s.kernel[0]; kd++) {
    const int32_t d = Reader(s, 0, place[0], kd);
    for (int32_t kh = 0; kh < s.kernel[1]; kh++) {
      const int32_t h = Reader(s, 1, place[1], kh);
      for (int32_t kw = 0; kw < s.kernel[2]; kw++, tap++) {
        const int32_t w = Reader(s, 2, place[2], kw);
        if (d < 0 || h < 0 || w < 0) continue;
        const int64_t dy =
            (((sample * s.out[0] + d) * s.out[1] + h) * s.out[2] + w) * s.outC + group * s.outGroup;
        const int64_t filter = (tap * s.inGroup + within) * s.outC + group * s.outGroup;
        for (int32_t o = 0; o < s.outGroup; o++)
          sum = fmaf(Get(p.source, dy + o), Get(p.filter, filter + o), sum);
      }
    }
  }
  Set(p.target, number, sum);
}

}  // namespace nabla::cuda
