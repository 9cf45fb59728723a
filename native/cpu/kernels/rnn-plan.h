// How rnn and rnnGrad lay out their scratch memory, the same for every instruction set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "program/rnn.h"

namespace nabla {
namespace rnn {

// At least any instruction set's tile: its rows, and the columns of its panels.
constexpr int64_t kMostRows = 14, kMostColumns = 32;
// Floats between rows: half a line more than whole panels, so that rows of 2^n units do not share one set of
// the cache.
constexpr int64_t kSkew = 16;

constexpr int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Rows of states are whole panels wide: tiles store whole vectors there.
inline int64_t StateStride(const RnnShape& shape) { return RoundUp(shape.units, kMostColumns) + kSkew; }
inline int64_t GradStride(const RnnShape& shape) { return RoundUp(shape.sums(), kMostColumns) + kSkew; }

// The recurrent matrix in panels, either way round.
inline int64_t PackedSize(const RnnShape& shape) {
  return RoundUp(shape.units, kMostColumns) * RoundUp(shape.sums(), 16);
}

// Two states (before and after a step), and the cells where no reserve holds them.
inline int64_t ForwardStates(const RnnShape& shape) { return shape.batch * StateStride(shape) * 3; }
// The sums of one tile of rows and one panel of units.
inline int64_t ForwardTile() { return 4 * kMostRows * kMostColumns; }

// The gradients of state and cell.
inline int64_t BackwardStates(const RnnShape& shape) { return shape.batch * StateStride(shape) * 2; }
// The gradients of one tile of rows, and one thread's share of the bias's gradient.
inline int64_t BackwardTile(const RnnShape& shape) { return kMostRows * GradStride(shape); }
inline int64_t BackwardBias(const RnnShape& shape) {
  return RoundUp(RnnBiases(shape.kind) * shape.units, 16);
}

// Rows of the batch that are worth a thread: a few, so that tiles are not flat, and enough for some 30 us.
inline int64_t RowGrain(const RnnShape& shape) {
  constexpr int64_t kLeastRows = 4, kLeastWork = 1'500'000;
  const int64_t work = shape.time * shape.sums() * (shape.units + 32);
  return std::max(kLeastRows, kLeastWork / std::max<int64_t>(1, work));
}

}  // namespace rnn
}  // namespace nabla
