// The geometry of convolutions and pooling, the same for every instruction set: attributes read, and which part of a
// window lies inside the input. One and two dimensions are three with leading ones.
#pragma once

#include <algorithm>
#include <cstdint>

#include "program/program.h"

namespace nabla {
namespace conv {

// A convolution as the attributes of its three kernels describe it. Arrays are depth, height, width.
struct Shape {
  int64_t batch;
  int64_t in[3], inC;
  int64_t out[3], outC;
  int64_t kernel[3], stride[3], dilation[3], pad[3];  // pad: before the first element
  int64_t groups;

  int64_t inGroup() const { return inC / groups; }
  int64_t outGroup() const { return outC / groups; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t depth() const { return taps() * inGroup(); }  // products in a sum
  int64_t inImage() const { return in[0] * in[1] * in[2] * inC; }
  int64_t outImage() const { return out[0] * out[1] * out[2] * outC; }
  bool depthwise() const { return groups > 1 && inGroup() == 1; }
};

inline Shape ReadShape(const Instruction& instruction) {
  Shape s;
  size_t next = 0;
  const auto take = [&] { return int64_t{instruction.attr(next++)}; };
  const auto takeThree = [&](int64_t* to) {
    for (int i = 0; i < 3; i++) to[i] = take();
  };
  s.batch = take();
  takeThree(s.in);
  s.inC = take();
  takeThree(s.out);
  s.outC = take();
  takeThree(s.kernel);
  takeThree(s.stride);
  takeThree(s.dilation);
  takeThree(s.pad);
  s.groups = take();
  return s;
}

// A pooling: a convolution's geometry with one number of channels and no dilation.
inline Shape ReadPool(const Instruction& instruction) {
  Shape s;
  size_t next = 1;
  const auto take = [&] { return int64_t{instruction.attr(next++)}; };
  const auto takeThree = [&](int64_t* to) {
    for (int i = 0; i < 3; i++) to[i] = take();
  };
  s.batch = take();
  takeThree(s.in);
  s.inC = take();
  takeThree(s.out);
  s.outC = s.inC;
  takeThree(s.kernel);
  takeThree(s.stride);
  takeThree(s.pad);
  for (int64_t& dilation : s.dilation) dilation = 1;
  s.groups = 1;
  return s;
}

struct Span {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// The quotient rounded up, for a divisor above 0.
inline int64_t CeilDiv(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

// The taps k of [0, taps) for which start + k * dilation lies in [0, size).
inline Span TapsInside(int64_t start, int64_t taps, int64_t dilation, int64_t size) {
  const int64_t begin = std::clamp<int64_t>(CeilDiv(-start, dilation), 0, taps);
  return {begin, std::clamp<int64_t>(CeilDiv(size - start, dilation), begin, taps)};
}

}  // namespace conv
}  // namespace nabla
