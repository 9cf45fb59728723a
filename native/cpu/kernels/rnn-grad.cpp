// rnnGrad: the gradient of whole sequences, backward through time. The gates' gradients of a tile of rows are
// made in the first cache and multiplied with the transposed recurrent matrix from there.
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/rnn-grad.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include "cpu/kernel.h"
#include "cpu/kernels/rnn-inl.h"
#include "cpu/kernels/rnn-plan.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace rnn {
namespace {

// Gradients that fade along a sequence end as denormal numbers, with which every product takes a hundred
// times as long: below this they count as 0.
constexpr float kFaded = 1e-32f;

HWY_INLINE VecF DropFaded(VecF x) { return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), Splat(kFaded)), x); }

struct Backward {
  RnnShape shape;
  float* dInput = nullptr;
  float* dProduct = nullptr;      // GRU only
  const float* dy = nullptr;      // null for none
  const float* former = nullptr;  // sections of the reserve
  const float* saved = nullptr;
  const float* cells = nullptr;
  const uint8_t* mask = nullptr;  // null for none
  float* dh = nullptr;            // gradients of state and cell, rows of `stride`
  float* dc = nullptr;
  int64_t stride = 0;
  const float* packed = nullptr;
  int64_t gradStride = 0;
};

// The rows of one tile and the units of one vector, at one step.
struct Place {
  int64_t step, time, row, unit;
  int rows, count;
  float* grads;  // of the product: row i at i * gradStride
  float* dBias;
};

template <RnnKind kKind, bool kWhole>
HWY_NOINLINE void StepVector(const Backward& f, const Place& at) {
  constexpr int kGates = static_cast<int>(RnnGates(kKind));
  const int64_t units = f.shape.units, sums = f.shape.sums();
  const VecF one = Splat(1);
  VecF bias[RnnBiases(kKind)];
  for (VecF& sum : bias) sum = Splat(0);
  for (int i = 0; i < at.rows; i++) {
    const int64_t b = at.row + i, sample = b * f.shape.time + at.time;
    float* dh = f.dh + b * f.stride + at.unit;
    VecF d = DropFaded(hn::LoadU(TagF(), dh));
    if (f.dy != nullptr) d = hn::Add(d, Load<kWhole>(f.dy + sample * units + at.unit, at.count));
    VecF grads[kGates];
    for (VecF& grad : grads) grad = Splat(0);
    VecF candidate = Splat(0);  // GRU: the gradient of the candidate's recurrent sum
    VecF carried = d;           // what reaches the former state other than through the sums
    if (f.mask == nullptr || f.mask[sample] != 0) {
      const float* from = f.saved + (at.time * f.shape.batch + b) * f.shape.saved() + at.unit;
      const auto saved = [&](int g) HWY_ATTR { return Load<kWhole>(from + g * units, at.count); };
      carried = Splat(0);
      if constexpr (kKind == RnnKind::kLstm) {
        const VecF in = saved(0), forget = saved(1), cell = saved(2), out = saved(3);
        const float* before = f.cells + (at.step * f.shape.batch + b) * units + at.unit;
        const VecF squashed = Tanh(Load<kWhole>(before + f.shape.batch * units, at.count));
        float* dc = f.dc + b * f.stride + at.unit;
        const VecF toCell = hn::Mul(hn::Mul(d, out), hn::NegMulAdd(squashed, squashed, one));
        const VecF dCell = hn::Add(hn::LoadU(TagF(), dc), toCell);
        const VecF toForget = hn::Mul(dCell, Load<kWhole>(before, at.count));
        grads[0] = hn::Mul(hn::Mul(dCell, cell), hn::NegMulAdd(in, in, in));
        grads[1] = hn::Mul(toForget, hn::NegMulAdd(forget, forget, forget));
        grads[2] = hn::Mul(hn::Mul(dCell, in), hn::NegMulAdd(cell, cell, one));
        grads[3] = hn::Mul(hn::Mul(d, squashed), hn::NegMulAdd(out, out, out));
        hn::StoreU(DropFaded(hn::Mul(dCell, forget)), TagF(), dc);
      } else if constexpr (kKind == RnnKind::kGru) {
        const VecF update = saved(0), reset = saved(1), state = saved(2), product = saved(3);
        const VecF former = Load<kWhole>(f.former + sample * units + at.unit, at.count);
        grads[0] = hn::Mul(hn::Mul(d, hn::Sub(former, state)), hn::NegMulAdd(update, update, update));
        grads[2] = hn::Mul(hn::NegMulAdd(d, update, d), hn::NegMulAdd(state, state, one));
        grads[1] = hn::Mul(hn::Mul(grads[2], product), hn::NegMulAdd(reset, reset, reset));
        candidate = hn::Mul(grads[2], reset);
        carried = hn::Mul(d, update);
      } else if constexpr (kKind == RnnKind::kSimpleTanh) {
        const VecF state = saved(0);
        grads[0] = hn::Mul(d, hn::NegMulAdd(state, state, one));
      } else {
        grads[0] = hn::IfThenElseZero(hn::Gt(saved(0), Splat(0)), d);
      }
    }
    hn::StoreU(carried, TagF(), dh);
    float* dInput = f.dInput + sample * sums + at.unit;
    float* dTile = at.grads + i * f.gradStride + at.unit;
    for (int g = 0; g < kGates; g++) {
      const VecF ofProduct = kKind == RnnKind::kGru && g == 2 ? candidate : grads[g];
      Store<kWhole>(grads[g], dInput + g * units, at.count);
      Store<kWhole>(ofProduct, dTile + g * units, at.count);
      bias[g] = hn::Add(bias[g], grads[g]);
      if constexpr (kKind == RnnKind::kGru) {
        Store<kWhole>(ofProduct, f.dProduct + sample * sums + g * units + at.unit, at.count);
        bias[3 + g] = hn::Add(bias[3 + g], ofProduct);
      }
    }
  }
  for (int g = 0; g < static_cast<int>(RnnBiases(kKind)); g++) {
    float* sum = at.dBias + g * units + at.unit;
    Store<kWhole>(hn::Add(Load<kWhole>(sum, at.count), bias[g]), sum, at.count);
  }
}

// Asks for the memory that the step before this one reads and writes in the same rows, for the units of one
// panel: rows that lie far apart, which no processor foresees.
template <RnnKind kKind>
HWY_INLINE void AskFor(const Backward& f, const Place& at, int64_t unit, int vectors) {
  const int64_t units = f.shape.units, step = at.step - 1, time = f.shape.timeOf(step);
  for (int i = 0; i < at.rows; i++) {
    const int64_t b = at.row + i, sample = b * f.shape.time + time;
    for (int v = 0; v < vectors; v++) {
      const int64_t from = unit + v * kLanes;
      for (int64_t g = 0; g < RnnSaved(kKind); g++) {
        __builtin_prefetch(f.saved + (time * f.shape.batch + b) * f.shape.saved() + g * units + from, 0, 2);
      }
      for (int64_t g = 0; g < RnnGates(kKind); g++) {
        __builtin_prefetch(f.dInput + sample * f.shape.sums() + g * units + from, 1, 2);
        if (kKind == RnnKind::kGru)
          __builtin_prefetch(f.dProduct + sample * f.shape.sums() + g * units + from, 1, 2);
      }
      if (kKind == RnnKind::kGru) __builtin_prefetch(f.former + sample * units + from, 0, 2);
      if (kKind == RnnKind::kLstm)
        __builtin_prefetch(f.cells + (step * f.shape.batch + b) * units + from, 0, 2);
      if (f.dy != nullptr) __builtin_prefetch(f.dy + sample * units + from, 0, 2);
    }
  }
}

// All steps of the samples [begin, end), the last first.
template <RnnKind kKind>
void RunRows(const Backward& f, int64_t begin, int64_t end, float* grads, float* dBias) {
  const int64_t units = f.shape.units, sums = f.shape.sums();
  for (int64_t step = f.shape.time - 1; step >= 0; step--) {
    ForTiles(begin, end, [&](int64_t row, int rows) HWY_ATTR {
      Place at{step, f.shape.timeOf(step), row, 0, rows, 0, grads, dBias};
      for (at.unit = 0; at.unit < units; at.unit += kLanes) {
        at.count = static_cast<int>(HWY_MIN(units - at.unit, kLanes));
        at.count == kLanes ? StepVector<kKind, true>(f, at) : StepVector<kKind, false>(f, at);
      }
      gemm::Tile tile{};
      tile.depth = sums;
      tile.a = grads;
      tile.aRow = f.gradStride;
      tile.aDepth = 1;
      tile.bDepth = kPanel;
      tile.outRow = f.stride;
      tile.alpha = 1;
      tile.add = true;
      tile.last = kLanes;
      const float* panel = f.packed;
      for (int64_t unit = 0; unit < units; unit += kPanel, panel += sums * kPanel) {
        const int vectors = VectorsAt(unit, units);
        if (step > 0) AskFor<kKind>(f, at, unit, vectors);
        tile.b = panel;
        tile.out = f.dh + row * f.stride + unit;
        gemm::FindTile(rows, vectors)(tile);
      }
    });
  }
}

// Panel after panel of the transposed recurrent matrix: kPanel units wide, zeros after the last unit.
void PackTransposed(const RnnShape& shape, const float* recurrent, float* to) {
  const int64_t units = shape.units, sums = shape.sums();
  for (int64_t unit = 0; unit < units; unit += kPanel, to += sums * kPanel) {
    for (int64_t q = 0; q < kPanel; q++) {
      const float* from = recurrent + (unit + q) * sums;
      const bool there = unit + q < units;
      for (int64_t j = 0; j < sums; j++) to[j * kPanel + q] = there ? from[j] : 0.0f;
    }
  }
}

// Rows of `to` from `from` (zeros where that is null), and zeros up to the end of each row, where tiles add
// to them.
void Begin(const float* from, float* to, int64_t stride, int64_t units, int64_t begin, int64_t end) {
  for (int64_t b = begin; b < end; b++) {
    std::fill_n(to + b * stride, stride, 0.0f);
    if (from != nullptr) std::copy_n(from + b * units, units, to + b * stride);
  }
}

void End(const float* from, float* to, int64_t stride, int64_t units, int64_t begin, int64_t end) {
  if (to == nullptr) return;
  for (int64_t b = begin; b < end; b++) std::copy_n(from + b * stride, units, to + b * units);
}

template <RnnKind kKind>
void RunKind(const Call& call, const Backward& f, float* scratch) {
  const auto pointer = [&](size_t i) {
    return call.operand(i).present ? call.operand(i).as<float>() : nullptr;
  };
  const RnnShape& shape = f.shape;
  const int64_t tileSize = nabla::rnn::BackwardTile(shape), biasSize = nabla::rnn::BackwardBias(shape);
  float* biases = scratch + call.pool.threads() * tileSize;
  std::fill_n(biases, call.pool.threads() * biasSize, 0.0f);
  ParallelFor(call.pool, shape.batch, nabla::rnn::RowGrain(shape), [&](int64_t begin, int64_t end, int part) {
    Begin(pointer(6), f.dh, f.stride, shape.units, begin, end);
    Begin(pointer(7), f.dc, f.stride, shape.units, begin, end);
    RunRows<kKind>(f, begin, end, scratch + part * tileSize, biases + part * biasSize);
    End(f.dh, pointer(3), f.stride, shape.units, begin, end);
    End(f.dc, pointer(4), f.stride, shape.units, begin, end);
  });
  if (float* dBias = pointer(2)) {
    const int64_t size = RnnBiases(kKind) * shape.units;
    std::copy_n(biases, size, dBias);
    for (int part = 1; part < call.pool.threads(); part++) {
      for (int64_t i = 0; i < size; i++) dBias[i] += biases[part * biasSize + i];
    }
  }
}

}  // namespace
}  // namespace rnn

void RunRnnGrad(const Call& call) {
  rnn::Backward f{.shape = RnnShape(call.instruction)};
  f.dInput = call.operand(0).as<float>();
  f.dProduct = call.operand(1).present ? call.operand(1).as<float>() : nullptr;
  f.dy = call.operand(5).present ? call.operand(5).as<float>() : nullptr;
  f.former = call.operand(8).as<float>();
  f.saved = f.former + f.shape.savedAt();
  f.cells = f.former + f.shape.cellsAt();
  f.mask = call.operand(10).present ? call.operand(10).as<uint8_t>() : nullptr;
  f.stride = nabla::rnn::StateStride(f.shape);
  f.gradStride = nabla::rnn::GradStride(f.shape);
  float* scratch = reinterpret_cast<float*>(call.scratch);
  rnn::PackTransposed(f.shape, call.operand(9).as<float>(), scratch);
  f.packed = scratch;
  scratch += nabla::rnn::PackedSize(f.shape);
  f.dh = scratch;
  f.dc = scratch + f.shape.batch * f.stride;
  scratch += nabla::rnn::BackwardStates(f.shape);
  switch (f.shape.kind) {
    case RnnKind::kSimpleTanh:
      return rnn::RunKind<RnnKind::kSimpleTanh>(call, f, scratch);
    case RnnKind::kSimpleRelu:
      return rnn::RunKind<RnnKind::kSimpleRelu>(call, f, scratch);
    case RnnKind::kLstm:
      return rnn::RunKind<RnnKind::kLstm>(call, f, scratch);
    case RnnKind::kGru:
      return rnn::RunKind<RnnKind::kGru>(call, f, scratch);
    case RnnKind::kCount:
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchRnnGrad(const Instruction& instruction, int threads) {
  const RnnShape shape(instruction);
  const int64_t each = rnn::BackwardTile(shape) + rnn::BackwardBias(shape);
  return sizeof(float) *
         static_cast<size_t>(rnn::PackedSize(shape) + rnn::BackwardStates(shape) + threads * each);
}

}  // namespace nabla
#endif  // HWY_ONCE
