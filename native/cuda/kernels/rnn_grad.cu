// rnnGrad: a launch a step, from the last to the first, in which a thread takes one unit of one sample: what
// the step after it left through the product, then the gradients of its own gates.
#include "cuda/kernels/rnn.h"

#include "cuda/kernels/rnn_tile.h"

namespace nabla::cuda {
namespace {

// The gradients of the sums of the step after this one, at time t, times the recurrent weights, turned.
__device__ __forceinline__ float Multiply(const RnnGradParams& p, const RnnPlace& place, int64_t depth,
                                          int64_t t) {
  __shared__ float gradients[kRnnRows][kRnnDepth + 1], weights[kRnnUnits][kRnnDepth + 1];
  const float* const rows = p.dProduct + t * depth;
  float sum = 0;
  for (int64_t k = 0; k < depth; k += kRnnDepth) {
    LoadRnnRows(gradients, rows, p.at.time * depth, p.at.batch, place.firstRow, k, depth);
    LoadRnnRows(weights, p.recurrent, depth, p.at.units, place.firstUnit, k, depth);
    __syncthreads();
#pragma unroll 8
    for (int q = 0; q < kRnnDepth; q++) sum = fmaf(gradients[place.down][q], weights[place.across][q], sum);
    __syncthreads();
  }
  return sum;
}

// The gradient of the state after the step but for y's part; before the first one, that of the initial state.
__device__ __forceinline__ float StateGradient(const RnnGradParams& p, const RnnPlace& place, int64_t depth,
                                               int64_t at) {
  if (p.at.step == p.at.time - 1) return place.inside && p.dhLast != nullptr ? p.dhLast[at] : 0.0f;
  const float sum = Multiply(p, place, depth, p.nextTime);
  return place.inside ? p.carried[at] + sum : 0.0f;
}

template <RnnKind kKind>
__device__ __forceinline__ void Step(const RnnGradParams& p) {
  constexpr int kGates = kKind == RnnKind::kLstm ? 4 : kKind == RnnKind::kGru ? 3 : 1;
  constexpr int kSaved = kKind == RnnKind::kLstm || kKind == RnnKind::kGru ? 4 : 1;
  const RnnPlace place(p.at);
  const int64_t units = p.at.units, unit = place.unit, at = place.row * units + unit;
  const float after = StateGradient(p, place, kGates * units, at);
  if (!place.inside) return;
  const int64_t token = place.row * p.at.time + p.at.t;
  const float d = p.dy != nullptr ? after + p.dy[token * units + unit] : after;
  const auto saved = [&](int i) {
    return p.saved[((p.at.t * p.at.batch + place.row) * kSaved + i) * units + unit];
  };
  const auto cell = [&](int64_t step) { return p.cells[(step * p.at.batch + place.row) * units + unit]; };
  float grads[kGates] = {}, candidate = 0, carried = 0;
  [[maybe_unused]] float dCell = 0;
  if constexpr (kKind == RnnKind::kLstm) {
    // The first launch is the last step's.
    if (p.at.step < p.at.time - 1) {
      dCell = p.dCell[at];
    } else if (p.dcLast != nullptr) {
      dCell = p.dcLast[at];
    }
  }
  if (p.mask != nullptr && p.mask[token] == 0) {
    carried = d;
  } else if constexpr (kKind == RnnKind::kLstm) {
    const float i = saved(0), f = saved(1), g = saved(2), o = saved(3);
    const float squashed = tanhf(cell(p.at.step + 1));
    dCell += d * o * (1 - squashed * squashed);
    grads[0] = dCell * g * i * (1 - i);
    grads[1] = dCell * cell(p.at.step) * f * (1 - f);
    grads[2] = dCell * i * (1 - g * g);
    grads[3] = d * squashed * o * (1 - o);
    dCell *= f;
  } else if constexpr (kKind == RnnKind::kGru) {
    const float z = saved(0), r = saved(1), n = saved(2);
    grads[0] = d * (p.former[token * units + unit] - n) * z * (1 - z);
    grads[2] = d * (1 - z) * (1 - n * n);
    grads[1] = grads[2] * saved(3) * r * (1 - r);
    candidate = grads[2] * r;
    carried = d * z;
  } else {
    const float h = saved(0);
    grads[0] = kKind == RnnKind::kSimpleTanh ? d * (1 - h * h) : h > 0 ? d : 0.0f;
  }
#pragma unroll
  for (int gate = 0; gate < kGates; gate++) {
    const int64_t to = (token * kGates + gate) * units + unit;
    p.dInput[to] = grads[gate];
    if constexpr (kKind == RnnKind::kGru) p.dProduct[to] = gate == 2 ? candidate : grads[gate];
  }
  p.carried[at] = carried;
  if constexpr (kKind == RnnKind::kLstm) {
    p.dCell[at] = dCell;
    if (p.at.step == 0 && p.dc0 != nullptr) p.dc0[at] = dCell;
  }
}

// The initial state's gradient: what the first step left.
template <int kGates>
__device__ __forceinline__ void End(const RnnGradParams& p) {
  const RnnPlace place(p.at);
  const int64_t at = place.row * p.at.units + place.unit;
  const float d = StateGradient(p, place, int64_t{kGates} * p.at.units, at);
  if (!place.inside) return;
  if (p.dh0 != nullptr) p.dh0[at] = d;
  // Without a step the cells pass through.
  if (p.at.time == 0 && p.dc0 != nullptr) p.dc0[at] = p.dcLast != nullptr ? p.dcLast[at] : 0.0f;
}

}  // namespace

NABLA_ENTRY(rnnGradSimpleTanh, RnnGradParams, kRnnThreads) { Step<RnnKind::kSimpleTanh>(p); }
NABLA_ENTRY(rnnGradSimpleRelu, RnnGradParams, kRnnThreads) { Step<RnnKind::kSimpleRelu>(p); }
NABLA_ENTRY(rnnGradLstm, RnnGradParams, kRnnThreads) { Step<RnnKind::kLstm>(p); }
NABLA_ENTRY(rnnGradGru, RnnGradParams, kRnnThreads) { Step<RnnKind::kGru>(p); }
NABLA_ENTRY(rnnGradEndSimple, RnnGradParams, kRnnThreads) { End<1>(p); }
NABLA_ENTRY(rnnGradEndLstm, RnnGradParams, kRnnThreads) { End<4>(p); }
NABLA_ENTRY(rnnGradEndGru, RnnGradParams, kRnnThreads) { End<3>(p); }

// The bias's gradient: sums over stretches of all steps of all samples, which the next kernel joins. The
// second of a GRU's two rows is the product's.
NABLA_ENTRY(rnnGradBias, RnnGradParams, kRnnThreads) {
  constexpr int kDown = kRnnThreads / kRnnAcross;
  __shared__ float sums[kRnnThreads];
  const int across = static_cast<int>(threadIdx.x) % kRnnAcross,
            down = static_cast<int>(threadIdx.x) / kRnnAcross;
  const bool twice = p.at.kind == RnnKind::kGru;
  const int64_t columns = twice ? p.biases / 2 : p.biases;
  const int64_t column = blockIdx.x * int64_t{kRnnAcross} + across;
  const int64_t rows = int64_t{p.at.batch} * p.at.time, split = blockIdx.y;
  float sum = 0;
  if (column < p.biases) {
    const float* const from = column < columns ? p.dInput + column : p.dProduct + column - columns;
    const int64_t end = rows * (split + 1) / p.splits;
    for (int64_t row = rows * split / p.splits + down; row < end; row += kDown) sum += from[row * columns];
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (down != 0 || column >= p.biases) return;
  for (int other = 1; other < kDown; other++) sum += sums[across + other * kRnnAcross];
  p.partial[split * p.biases + column] = sum;
}

NABLA_ENTRY(rnnGradBiasJoin, RnnGradParams, kRnnThreads) {
  const int64_t column = blockIdx.x * int64_t{kRnnThreads} + threadIdx.x;
  if (column >= p.biases) return;
  float sum = 0;
  for (int32_t split = 0; split < p.splits; split++) sum += p.partial[split * p.biases + column];
  p.dBias[column] = sum;
}

}  // namespace nabla::cuda
