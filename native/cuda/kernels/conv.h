// The parameters of convolutions and their gradients.
#pragma once

#include <cstdint>

#include "cuda/kernels/divide.h"
#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// What the three kernels say about a convolution: docs/KERNELS.md. Arrays are depth, height, width.
struct ConvShape {
  int32_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  int32_t batch, inC, outC, groups, inGroup, outGroup;
};

// A pass that lays windows over `source`: the convolution over its input, the input's gradient over dy. A
// source's channel of its group and a tap make one k of the sum.
struct ConvParams {
  Head head;
  Floats target, source, filter, bias;
  ConvShape shape;
  // Rows of the product are places of the target, [batch, rows]; of the gradient only those of one phase,
  // that is every stride-th, which the same taps reach.
  Divider rows[3], phases[3], channels;
  int64_t rowCount;
  int32_t phaseCount, rowBlocks;  // blocks that cover the rows
  Activation activation;
  int32_t unused;
};

// filter's gradient: rows are taps and channels of the input, columns channels of the output, and the sum
// runs over positions of the output in `splits` parts, each [taps, inGroup, outC].
struct ConvFilterParams {
  Head head;
  Floats out;
  float* partial;
  Floats input, dy;
  ConvShape shape;
  Divider places[3], taps[3], channels;
  int64_t positions;
  int64_t size;  // of the filter
  int32_t splits, rowBlocks, rows, unused;
};

// Groups of few channels, as in depthwise convolution: a thread for each number of the target.
struct ConvDirectParams {
  Head head;
  Floats target, source, filter, bias;
  ConvShape shape;
  Divider places[3], channels, targetGroup;
  int64_t size;  // of the target
  Activation activation;
  int32_t unused;
};

constexpr int kConvThreads = 256;
// Columns of the filter's gradient that a block of the direct kernel works on.
constexpr int kConvAcross = 32;

}  // namespace nabla::cuda
