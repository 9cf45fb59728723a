// What the rules, kernels and references of rnn and rnnGrad agree on: the number of gates and the layout of
// the reserve.
#pragma once

#include <cstdint>

#include "program/program.h"

namespace nabla {

// Sums that a unit takes in at each step.
constexpr int64_t RnnGates(RnnKind kind) {
  if (kind == RnnKind::kLstm) return 4;
  return kind == RnnKind::kGru ? 3 : 1;
}

// Numbers a unit leaves behind at each step for the gradient: simple: the new state before a mask; LSTM: the
// four gates i f g o; GRU: the gates z r n, and the candidate's recurrent sum that r multiplied.
constexpr int64_t RnnSaved(RnnKind kind) { return kind == RnnKind::kLstm || kind == RnnKind::kGru ? 4 : 1; }

// Numbers of bias a unit: a GRU has one for the input's sums and one for the recurrent ones, as Keras with
// reset_after.
constexpr int64_t RnnBiases(RnnKind kind) { return kind == RnnKind::kGru ? 6 : RnnGates(kind); }

// The attributes of both kernels, and where the sections of the reserve begin, in elements:
//   former  [batch, time, units]           the state before each step
//   saved   [time, batch, saved * units]   what RnnSaved counts
//   cells   [time + 1, batch, units]       LSTM only: the cell before the first step processed and after each
//   one
struct RnnShape {
  RnnKind kind;
  int64_t batch, time, units;
  bool backwards;

  explicit RnnShape(const Instruction& instruction)
      : kind(static_cast<RnnKind>(instruction.attr(0))),
        batch(instruction.attr(1)),
        time(instruction.attr(2)),
        units(instruction.attr(3)),
        backwards(instruction.attr(4) != 0) {}

  int64_t sums() const { return RnnGates(kind) * units; }
  int64_t saved() const { return RnnSaved(kind) * units; }
  int64_t savedAt() const { return batch * time * units; }
  int64_t cellsAt() const { return savedAt() + batch * time * saved(); }
  // Rows of `units` numbers in the whole reserve.
  int64_t reserveRows() const {
    return batch * time * (1 + RnnSaved(kind)) + (kind == RnnKind::kLstm ? batch * (time + 1) : 0);
  }
  // The time that a step works on.
  int64_t timeOf(int64_t step) const { return backwards ? time - 1 - step : step; }
};

}  // namespace nabla
