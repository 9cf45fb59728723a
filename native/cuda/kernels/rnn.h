// The parameters of rnn and its gradient.
#pragma once

#include <cstdint>

#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// Sizes as attributes say them, and the step that a launch takes. Layouts: native/program/rnn.h.
struct RnnStep {
  int64_t time, step, t;  // `t` is the time that the step works on, `step` counts those before it
  int32_t batch, units;
  RnnKind kind;
  int32_t unitBlocks;  // blocks that cover the units; the grid's x is those for the batch times these
};

struct RnnParams {
  Head head;
  float* y;
  float* hLast;
  float* cLast;
  float* former;  // sections of the reserve, or null
  float* saved;
  float* cells;
  const float* input;
  const float* h0;
  const float* c0;
  const float* recurrent;
  const float* bias;
  const uint8_t* mask;
  float* states[2];  // [batch, units] each: a step reads one and writes the other
  float* cell;       // [batch, units]
  RnnStep at;
};

struct RnnGradParams {
  Head head;
  float* dInput;
  float* dProduct;  // dInput but for a GRU
  float* dBias;
  float* dh0;
  float* dc0;
  const float* dy;
  const float* dhLast;
  const float* dcLast;
  const float* former;
  const float* saved;
  const float* cells;
  const float* recurrent;
  const uint8_t* mask;
  float* carried;    // [batch, units]: the gradient of the state that does not come through the product
  float* dCell;      // [batch, units]
  float* partial;    // [splits, biases]
  int64_t nextTime;  // that the step after this one worked on
  int64_t biases;    // numbers of the whole bias
  RnnStep at;
  int32_t splits, unused;
};

constexpr int kRnnThreads = 256;
// A block works on so many rows of the batch and so many units, a thread on one of each.
constexpr int kRnnRows = 16, kRnnUnits = 16;
// Columns of the bias's gradient that a block sums up.
constexpr int kRnnAcross = 32;

}  // namespace nabla::cuda
