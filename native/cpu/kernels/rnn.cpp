// rnn: whole sequences of simple, LSTM and GRU units. A tile of recurrent sums is computed as the matrix
// product computes it and turned into states while it is in the first cache.
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/rnn.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include <cstring>

#include "cpu/kernel.h"
#include "cpu/kernels/rnn-inl.h"
#include "cpu/kernels/rnn-plan.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace rnn {
namespace {

struct Forward {
  RnnShape shape;
  const float* input = nullptr;
  const float* bias = nullptr;    // null for none
  const uint8_t* mask = nullptr;  // null for none
  float* y = nullptr;             // null where not asked for, as cLast
  float* hLast = nullptr;
  float* cLast = nullptr;
  float* former = nullptr;  // sections of the reserve; null without one
  float* saved = nullptr;
  float* cells = nullptr;  // LSTM: row b of the cells before step s is at cells + s * cellStep + b * units
  int64_t cellStep = 0;
  float* states[2] = {};  // before and after a step, in turn
  int64_t stride = 0;     // of their rows
  const float* packed = nullptr;
};

// The rows of one tile and the units of one vector, at one step.
struct Place {
  int64_t step, time, row, unit;
  int rows, count;       // count: units that there are
  const float* product;  // sums of gate g and row i at (g * kTileRows + i) * kPanel
  const float* former;   // states
  float* next;
};

template <RnnKind kKind, bool kWhole>
HWY_NOINLINE void StepVector(const Forward& f, const Place& at) {
  constexpr int kGates = static_cast<int>(RnnGates(kKind));
  const int64_t units = f.shape.units;
  VecF bias[RnnBiases(kKind)];
  for (int g = 0; g < static_cast<int>(RnnBiases(kKind)); g++) {
    bias[g] = f.bias == nullptr ? Splat(0) : Load<kWhole>(f.bias + g * units + at.unit, at.count);
  }
  for (int i = 0; i < at.rows; i++) {
    const int64_t b = at.row + i, sample = b * f.shape.time + at.time;
    const float* x = f.input + sample * f.shape.sums() + at.unit;
    const auto input = [&](int g)
                           HWY_ATTR { return hn::Add(Load<kWhole>(x + g * units, at.count), bias[g]); };
    const auto product = [&](int g) HWY_ATTR {
      return hn::LoadU(TagF(), at.product + (g * kTileRows + i) * kPanel);
    };
    const VecF former = hn::LoadU(TagF(), at.former + b * f.stride + at.unit);
    const bool counts = f.mask == nullptr || f.mask[sample] != 0;
    VecF saved[RnnSaved(kKind)];
    VecF next = former;
    if constexpr (kKind == RnnKind::kLstm) {
      for (int g = 0; g < kGates; g++) {
        const VecF sum = hn::Add(input(g), product(g));
        saved[g] = g == 2 ? Tanh(sum) : Sigmoid(sum);
      }
      float* cell = f.cells + at.step * f.cellStep + b * units + at.unit;
      const VecF before = Load<kWhole>(cell, at.count);
      const VecF after = counts ? hn::MulAdd(saved[1], before, hn::Mul(saved[0], saved[2])) : before;
      Store<kWhole>(after, cell + f.cellStep, at.count);
      next = hn::Mul(saved[3], Tanh(after));
    } else if constexpr (kKind == RnnKind::kGru) {
      for (int g = 0; g < 2; g++) {
        saved[g] = Sigmoid(hn::Add(input(g), hn::Add(product(g), bias[3 + g])));
      }
      saved[3] = hn::Add(product(2), bias[5]);
      saved[2] = Tanh(hn::MulAdd(saved[1], saved[3], input(2)));
      next = hn::MulAdd(saved[0], hn::Sub(former, saved[2]), saved[2]);
    } else {
      const VecF sum = hn::Add(input(0), product(0));
      next = kKind == RnnKind::kSimpleTanh ? Tanh(sum) : gemm::Relu(sum);
      saved[0] = next;
    }
    if (!counts) next = former;
    hn::StoreU(next, TagF(), at.next + b * f.stride + at.unit);
    if (f.y != nullptr) Store<kWhole>(next, f.y + sample * units + at.unit, at.count);
    if (f.former != nullptr) {
      Store<kWhole>(former, f.former + sample * units + at.unit, at.count);
      float* to = f.saved + (at.time * f.shape.batch + b) * f.shape.saved() + at.unit;
      for (int g = 0; g < static_cast<int>(RnnSaved(kKind)); g++)
        Store<kWhole>(saved[g], to + g * units, at.count);
    }
  }
}

// Asks for the memory of one gate that StepVector is going to read and write: rows that lie far apart, which
// no processor foresees. The matrix product in between gives it time to come.
HWY_INLINE void AskFor(const Forward& f, const Place& at, int gate, int vectors) {
  const int64_t units = f.shape.units;
  for (int i = 0; i < at.rows; i++) {
    const int64_t b = at.row + i, sample = b * f.shape.time + at.time;
    for (int64_t unit = at.unit; unit < at.unit + vectors * kLanes; unit += kLanes) {
      __builtin_prefetch(f.input + sample * f.shape.sums() + gate * units + unit);
      if (f.saved == nullptr) continue;
      __builtin_prefetch(f.saved + (at.time * f.shape.batch + b) * f.shape.saved() + gate * units + unit, 1);
      if (gate > 0) continue;
      __builtin_prefetch(f.former + sample * units + unit, 1);
      if (f.cells != nullptr) __builtin_prefetch(f.cells + (at.step + 1) * f.cellStep + b * units + unit, 1);
    }
  }
}

// All steps of the samples [begin, end).
template <RnnKind kKind>
void RunRows(const Forward& f, int64_t begin, int64_t end, float* product) {
  constexpr int kGates = static_cast<int>(RnnGates(kKind));
  const int64_t units = f.shape.units;
  for (int64_t step = 0; step < f.shape.time; step++) {
    Place at{};
    at.step = step;
    at.time = f.shape.timeOf(step);
    at.former = f.states[step % 2];
    at.next = f.states[1 - step % 2];
    const float* panels = f.packed;
    for (int64_t unit = 0; unit < units; unit += kPanel, panels += kGates * units * kPanel) {
      const int vectors = VectorsAt(unit, units);
      ForTiles(begin, end, [&](int64_t row, int rows) HWY_ATTR {
        gemm::Tile tile{};
        tile.depth = units;
        tile.a = at.former + row * f.stride;
        tile.aRow = f.stride;
        tile.aDepth = 1;
        tile.bDepth = kPanel;
        tile.outRow = kPanel;
        tile.raw = true;
        tile.last = kLanes;
        const gemm::TileFn run = gemm::FindTile(rows, vectors);
        at.row = row;
        at.rows = rows;
        at.unit = unit;
        for (int g = 0; g < kGates; g++) {
          AskFor(f, at, g, vectors);
          tile.b = panels + g * units * kPanel;
          tile.out = product + g * kTileRows * kPanel;
          run(tile);
        }
        for (int v = 0; v < vectors; v++) {
          at.unit = unit + v * kLanes;
          at.count = static_cast<int>(HWY_MIN(units - at.unit, kLanes));
          at.product = product + v * kLanes;
          at.count == kLanes ? StepVector<kKind, true>(f, at) : StepVector<kKind, false>(f, at);
        }
      });
    }
  }
}

// Panel after panel of the recurrent matrix: the columns of kPanel units, gate after gate, zeros after the
// last unit.
void Pack(const RnnShape& shape, const float* recurrent, float* to) {
  const int64_t gates = RnnGates(shape.kind), units = shape.units, sums = shape.sums();
  for (int64_t unit = 0; unit < units; unit += kPanel) {
    const int64_t count = HWY_MIN(units - unit, kPanel);
    for (int64_t g = 0; g < gates; g++) {
      for (int64_t p = 0; p < units; p++, to += kPanel) {
        std::memcpy(to, recurrent + p * sums + g * units + unit, static_cast<size_t>(count) * sizeof(float));
        std::fill(to + count, to + kPanel, 0.0f);
      }
    }
  }
}

// Fills rows of `to` from `from`, or with zeros where that is null.
void Begin(const float* from, float* to, int64_t stride, int64_t units, int64_t begin, int64_t end) {
  for (int64_t b = begin; b < end; b++) {
    std::fill_n(to + b * stride, stride, 0.0f);
    if (from != nullptr) std::copy_n(from + b * units, units, to + b * stride);
  }
}

template <RnnKind kKind>
void RunKind(const Call& call, Forward& f) {
  const RnnShape& shape = f.shape;
  const float* h0 = call.operand(5).present ? call.operand(5).as<float>() : nullptr;
  const float* c0 = call.operand(6).present ? call.operand(6).as<float>() : nullptr;
  float* products = reinterpret_cast<float*>(call.scratch) + nabla::rnn::PackedSize(shape) +
                    nabla::rnn::ForwardStates(shape);
  ParallelFor(call.pool, shape.batch, nabla::rnn::RowGrain(shape), [&](int64_t begin, int64_t end, int part) {
    const int64_t units = shape.units;
    Begin(h0, f.states[0], f.stride, units, begin, end);
    if (kKind == RnnKind::kLstm) Begin(c0, f.cells, units, units, begin, end);
    RunRows<kKind>(f, begin, end, products + part * nabla::rnn::ForwardTile());
    const float* last = f.states[shape.time % 2];
    const float* lastCells = f.cells + shape.time * f.cellStep;
    for (int64_t b = begin; b < end; b++) {
      std::copy_n(last + b * f.stride, units, f.hLast + b * units);
      if (f.cLast != nullptr) std::copy_n(lastCells + b * units, units, f.cLast + b * units);
    }
  });
}

}  // namespace
}  // namespace rnn

void RunRnn(const Call& call) {
  const auto pointer = [&](size_t i) {
    return call.operand(i).present ? call.operand(i).as<float>() : nullptr;
  };
  rnn::Forward f{.shape = RnnShape(call.instruction)};
  f.y = pointer(0);
  f.hLast = pointer(1);
  f.cLast = pointer(2);
  f.input = pointer(4);
  f.bias = pointer(8);
  f.mask = call.operand(9).present ? call.operand(9).as<uint8_t>() : nullptr;
  f.stride = nabla::rnn::StateStride(f.shape);
  float* scratch = reinterpret_cast<float*>(call.scratch);
  rnn::Pack(f.shape, pointer(7), scratch);
  f.packed = scratch;
  scratch += nabla::rnn::PackedSize(f.shape);
  for (float*& state : f.states) {
    state = scratch;
    scratch += f.shape.batch * f.stride;
  }
  f.cells = scratch;
  if (float* reserve = pointer(3)) {
    f.former = reserve;
    f.saved = reserve + f.shape.savedAt();
    f.cells = reserve + f.shape.cellsAt();
    f.cellStep = f.shape.batch * f.shape.units;
  }
  switch (f.shape.kind) {
    case RnnKind::kSimpleTanh:
      return rnn::RunKind<RnnKind::kSimpleTanh>(call, f);
    case RnnKind::kSimpleRelu:
      return rnn::RunKind<RnnKind::kSimpleRelu>(call, f);
    case RnnKind::kLstm:
      return rnn::RunKind<RnnKind::kLstm>(call, f);
    case RnnKind::kGru:
      return rnn::RunKind<RnnKind::kGru>(call, f);
    case RnnKind::kCount:
      return;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchRnn(const Instruction& instruction, int threads) {
  const RnnShape shape(instruction);
  return sizeof(float) * static_cast<size_t>(rnn::PackedSize(shape) + rnn::ForwardStates(shape) +
                                             threads * rnn::ForwardTile());
}

}  // namespace nabla
#endif  // HWY_ONCE
