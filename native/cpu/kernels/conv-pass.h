// How a convolution is computed as correlations of windows with a packed filter, the same for every instruction set:
// one pass for a convolution, one for each residue of the stride for the gradient of its input.
#pragma once

#include <algorithm>
#include <numeric>

#include "cpu/kernels/conv-plan.h"

namespace nabla {
namespace conv {

// out[position] = activation(bias + sum over taps and channels of input[window] * filter), group by group. Arrays are
// depth, height, width; steps and pitches count floats.
struct Pass {
  const float* input;
  int64_t batch, groups;
  int64_t in[3], inC;
  int64_t channels;  // of a group
  float* out;
  int64_t outImage, outStep[3], outOffset;
  int64_t count[3];  // positions
  int64_t columns;   // output channels of a group
  int64_t taps[3], stride[3], dilation[3], pad[3];
  // Where the taps lie in the filter as it is stored: tap i is firstTap + i * tapStep.
  int64_t firstTap[3], tapStep[3];
  const float* bias;
  Activation activation;

  // Filled in by Plan: windows are read from a padded copy of a band of rows, or straight from the input.
  bool padded;
  int64_t segments, segment;  // long rows are cut into pieces
  int64_t bandRows;           // output rows that are computed together
  int64_t width;              // columns of a padded row
  int64_t rowPitch, slabPitch, slabStep;
  int64_t bandFloats;

  int64_t depth() const { return taps[0] * taps[1] * taps[2] * channels; }
  int64_t rows() const { return batch * count[0] * count[1] * segments; }
};

// Positions of one piece of a row; a band of input this large stays in the second cache beside the filter.
constexpr int64_t kSegment = 448;
constexpr int64_t kBandFloats = 65536;

inline void Plan(Pass& p) {
  p.segments = std::max<int64_t>(1, (p.count[2] + kSegment - 1) / kSegment);
  p.segment = (p.count[2] + p.segments - 1) / p.segments;
  const int64_t reach = std::max<int64_t>(0, p.taps[2] - 1) * p.dilation[2];
  p.padded = p.pad[2] > 0 || (p.count[2] - 1) * p.stride[2] + reach - p.pad[2] >= p.in[2];
  p.width = std::max<int64_t>(0, p.segment - 1) * p.stride[2] + reach + 1;
  p.rowPitch = (p.padded ? p.width : p.in[2]) * p.inC;
  p.bandRows = 1;
  if (p.segments == 1) {
    const int64_t each = std::max<int64_t>(1, p.rowPitch * p.stride[1] * std::max<int64_t>(1, p.taps[0]));
    p.bandRows = std::clamp<int64_t>(kBandFloats / each, 1, std::max<int64_t>(1, p.count[1]));
  }
  const int64_t reachH = std::max<int64_t>(0, p.taps[1] - 1) * p.dilation[1];
  const int64_t inputRows = std::min((p.bandRows - 1) * p.stride[1] + reachH + 1, p.in[1]);
  p.slabPitch = (p.padded ? inputRows : p.in[1]) * p.rowPitch;
  p.slabStep = p.padded ? p.slabPitch : p.dilation[0] * p.slabPitch;
  p.bandFloats = p.padded ? p.taps[0] * p.slabPitch : 0;
}

inline Pass ForwardPass(const Shape& s) {
  Pass p{};
  p.batch = s.batch, p.groups = s.groups;
  p.inC = s.inC, p.channels = s.inGroup(), p.columns = s.outGroup();
  p.outImage = s.outImage();
  for (int i = 2; i >= 0; i--) {
    p.in[i] = s.in[i], p.count[i] = s.out[i], p.taps[i] = s.kernel[i];
    p.stride[i] = s.stride[i], p.dilation[i] = s.dilation[i], p.pad[i] = s.pad[i];
    p.outStep[i] = i == 2 ? s.outC : p.outStep[i + 1] * s.out[i + 1];
    p.firstTap[i] = 0, p.tapStep[i] = 1;
  }
  Plan(p);
  return p;
}

inline int64_t Phases(const Shape& s) {
  int64_t phases = 1;
  for (int i = 0; i < 3; i++) phases *= std::min(s.stride[i], s.in[i]);
  return phases;
}

// The gradient at the input positions with one residue modulo the stride: of the taps, those that meet them, in reverse.
// Input position f + o * stride meets tap k at output position (f + pad - k * dilation) / stride + o.
inline Pass GradientPass(const Shape& s, int64_t phase) {
  Pass p{};
  p.batch = s.batch, p.groups = s.groups;
  p.inC = s.outC, p.channels = s.outGroup(), p.columns = s.inGroup();
  p.outImage = s.inImage();
  int64_t offset = 0, step = s.inC;
  for (int i = 2; i >= 0; i--) {
    const int64_t phases = std::min(s.stride[i], s.in[i]);
    const int64_t f = phase % phases;
    phase /= phases;
    p.in[i] = s.out[i], p.stride[i] = 1;
    p.count[i] = (s.in[i] - f + s.stride[i] - 1) / s.stride[i];
    p.outStep[i] = step * s.stride[i];
    offset += f * step;
    step *= s.in[i];
    // The first tap k with k * dilation = f + pad modulo the stride; the others follow at equal distances.
    const int64_t apart = s.stride[i] / std::gcd(s.stride[i], s.dilation[i]);
    const int64_t most = std::min(apart, s.kernel[i]);
    int64_t first = 0;
    while (first < most && (f + s.pad[i] - first * s.dilation[i]) % s.stride[i] != 0) first++;
    p.taps[i] = first < most ? (s.kernel[i] - 1 - first) / apart + 1 : 0;
    p.dilation[i] = apart * s.dilation[i] / s.stride[i];
    const int64_t last = std::max<int64_t>(0, p.taps[i] - 1);
    p.firstTap[i] = first + last * apart, p.tapStep[i] = -apart;
    const int64_t start = p.taps[i] > 0 ? (f + s.pad[i] - first * s.dilation[i]) / s.stride[i] : 0;
    p.pad[i] = last * p.dilation[i] - start;
  }
  p.outOffset = offset;
  Plan(p);
  return p;
}

// Floats of scratch: the steps (two floats each), the packed filter, a band for each thread; all on cache lines.
constexpr int64_t kWidestPanel = 32;
inline int64_t RoundUp(int64_t floats) { return (floats + 15) / 16 * 16; }
inline int64_t StepFloats(const Pass& p) { return RoundUp(2 * p.depth()); }
inline int64_t FilterFloats(const Pass& p) {
  return RoundUp(p.groups * (p.columns + kWidestPanel) * p.depth() + kWidestPanel);
}
inline int64_t PassFloats(const Pass& p, int threads) {
  return StepFloats(p) + FilterFloats(p) + threads * RoundUp(p.bandFloats);
}

}  // namespace conv
}  // namespace nabla
