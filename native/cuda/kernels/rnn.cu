// rnn: a launch a step, in which a thread computes all gates of one unit of one sample.
#include "cuda/kernels/rnn.h"

#include "cuda/kernels/micro.h"
#include "cuda/kernels/rnn_tile.h"

namespace nabla::cuda {
namespace {

// The gates' sums of the former states times the recurrent weights.
template <int kGates>
__device__ __forceinline__ void Multiply(const RnnParams& p, const RnnPlace& place, float (&sums)[kGates]) {
  __shared__ float states[kRnnRows][kRnnDepth + 1], weights[kRnnDepth][kGates * kRnnUnits];
  const float* const former = p.states[p.at.step % 2];
  const int32_t units = p.at.units;
  for (int32_t k = 0; k < units; k += kRnnDepth) {
    LoadRnnRows(states, former, units, p.at.batch, place.firstRow, k, units);
    for (int i = static_cast<int>(threadIdx.x); i < kRnnDepth * kGates * kRnnUnits; i += kRnnThreads) {
      const int q = i / (kGates * kRnnUnits), column = i % (kGates * kRnnUnits);
      const int32_t unit = place.firstUnit + column % kRnnUnits;
      const int64_t from = (int64_t{k} + q) * kGates * units + int64_t{column / kRnnUnits} * units + unit;
      weights[q][column] = k + q < units && unit < units ? p.recurrent[from] : 0.0f;
    }
    __syncthreads();
#pragma unroll 8
    for (int q = 0; q < kRnnDepth; q++) {
#pragma unroll
      for (int gate = 0; gate < kGates; gate++)
        sums[gate] = fmaf(states[place.down][q], weights[q][gate * kRnnUnits + place.across], sums[gate]);
    }
    __syncthreads();
  }
}

template <RnnKind kKind>
__device__ __forceinline__ void Step(const RnnParams& p) {
  constexpr int kGates = kKind == RnnKind::kLstm ? 4 : kKind == RnnKind::kGru ? 3 : 1;
  constexpr int kSaved = kKind == RnnKind::kLstm || kKind == RnnKind::kGru ? 4 : 1;
  const RnnPlace place(p.at);
  float product[kGates] = {};
  Multiply(p, place, product);
  if (!place.inside) return;
  const int64_t units = p.at.units, unit = place.unit, at = place.row * units + unit;
  const int64_t token = place.row * p.at.time + p.at.t;
  const float* const x = p.input + token * kGates * units;
  const auto bias = [&](int gate) { return p.bias != nullptr ? p.bias[gate * units + unit] : 0.0f; };
  const auto sum = [&](int gate) { return x[gate * units + unit] + product[gate] + bias(gate); };
  const float former = p.states[p.at.step % 2][at];
  float saved[kSaved] = {}, h = 0, c = 0;
  if constexpr (kKind == RnnKind::kLstm) {
    saved[0] = Sigmoid(sum(0));
    saved[1] = Sigmoid(sum(1));
    saved[2] = tanhf(sum(2));
    saved[3] = Sigmoid(sum(3));
    c = saved[1] * p.cell[at] + saved[0] * saved[2];
    h = saved[3] * tanhf(c);
  } else if constexpr (kKind == RnnKind::kGru) {
    saved[0] = Sigmoid(sum(0) + bias(3));
    saved[1] = Sigmoid(sum(1) + bias(4));
    saved[3] = product[2] + bias(5);
    saved[2] = tanhf(x[2 * units + unit] + bias(2) + saved[1] * saved[3]);
    h = saved[0] * former + (1 - saved[0]) * saved[2];
  } else {
    h = kKind == RnnKind::kSimpleTanh ? tanhf(sum(0)) : sum(0) < 0 ? 0.0f : sum(0);
    saved[0] = h;
  }
  if (p.saved != nullptr) {
#pragma unroll
    for (int i = 0; i < kSaved; i++)
      p.saved[((p.at.t * p.at.batch + place.row) * kSaved + i) * units + unit] = saved[i];
    p.former[token * units + unit] = former;
  }
  const bool counts = p.mask == nullptr || p.mask[token] != 0;
  if (!counts) h = former;
  p.states[(p.at.step + 1) % 2][at] = h;
  if (p.y != nullptr) p.y[token * units + unit] = h;
  const bool last = p.at.step == p.at.time - 1;
  if (last) p.hLast[at] = h;
  if constexpr (kKind == RnnKind::kLstm) {
    if (counts) {
      p.cell[at] = c;
    } else {
      c = p.cell[at];
    }
    if (p.cells != nullptr) p.cells[((p.at.step + 1) * p.at.batch + place.row) * units + unit] = c;
    if (last && p.cLast != nullptr) p.cLast[at] = c;
  }
}

}  // namespace

// The states before the first step, which are the last ones as well where there is none.
NABLA_ENTRY(rnnBegin, RnnParams, kRnnThreads) {
  const int64_t at = blockIdx.x * int64_t{kRnnThreads} + threadIdx.x;
  if (at >= int64_t{p.at.batch} * p.at.units) return;
  const float h = p.h0 != nullptr ? p.h0[at] : 0.0f, c = p.c0 != nullptr ? p.c0[at] : 0.0f;
  p.states[0][at] = h;
  p.cell[at] = c;
  if (p.cells != nullptr) p.cells[at] = c;
  if (p.at.time > 0) return;
  p.hLast[at] = h;
  if (p.cLast != nullptr) p.cLast[at] = c;
}

NABLA_ENTRY(rnnSimpleTanh, RnnParams, kRnnThreads) { Step<RnnKind::kSimpleTanh>(p); }
NABLA_ENTRY(rnnSimpleRelu, RnnParams, kRnnThreads) { Step<RnnKind::kSimpleRelu>(p); }
NABLA_ENTRY(rnnLstm, RnnParams, kRnnThreads) { Step<RnnKind::kLstm>(p); }
NABLA_ENTRY(rnnGru, RnnParams, kRnnThreads) { Step<RnnKind::kGru>(p); }

}  // namespace nabla::cuda
