// The simplest loops that do what a copy instruction says; the same for every instruction set.
#pragma once

#include <algorithm>

#include "cpu/kernel.h"

namespace nabla {

struct CopyAxis {
  int64_t dim = 1, out = 1, in = 1;  // strides in elements; out is positive
};

struct CopyPlan {
  int64_t outOffset, inOffset;
  int outer = 0;  // axes looped over around the line or tile
  CopyAxis axes[kMaxRank];
  int64_t rows = 1;  // product of the outer axes; 0 if there is nothing to copy
  CopyAxis line;     // the innermost axis of the output
  bool tiled =
      false;  // whether a second axis, along which the input is contiguous, belongs to the inner loops
  CopyAxis across;
};

inline CopyPlan PlanCopy(const Instruction& instruction) {
  const int rank = instruction.attr(0);
  const int32_t* dims = instruction.attributes.data() + 3;
  CopyPlan plan;
  plan.outOffset = instruction.attr(1);
  plan.inOffset = instruction.attr(2);

  CopyAxis axes[kMaxRank];
  int count = 0;
  for (int i = 0; i < rank; ++i) {
    CopyAxis axis = {dims[i], dims[rank + i], dims[2 * rank + i]};
    if (axis.dim == 0) plan.rows = 0;
    if (axis.dim <= 1) continue;
    if (axis.out < 0) {
      // Walk the axis the other way round.
      plan.outOffset += (axis.dim - 1) * axis.out;
      plan.inOffset += (axis.dim - 1) * axis.in;
      axis.out = -axis.out;
      axis.in = -axis.in;
    }
    // Insertion by descending stride of the output.
    int at = count++;
    for (; at > 0 && axes[at - 1].out < axis.out; --at) axes[at] = axes[at - 1];
    axes[at] = axis;
  }
  if (plan.rows == 0) return plan;

  // Neighbours that continue one another in both operands become one axis.
  int merged = 0;
  for (int i = 0; i < count; ++i) {
    CopyAxis* last = merged > 0 ? &axes[merged - 1] : nullptr;
    if (last != nullptr && last->out == axes[i].out * axes[i].dim && last->in == axes[i].in * axes[i].dim) {
      *last = {last->dim * axes[i].dim, axes[i].out, axes[i].in};
    } else {
      axes[merged++] = axes[i];
    }
  }
  if (merged > 0) plan.line = axes[--merged];

  constexpr int64_t kLeastSide = 4;  // narrower tiles gain nothing
  int tile = -1;
  if (plan.line.out == 1 && plan.line.in != 1 && plan.line.in != 0 && plan.line.dim >= kLeastSide) {
    for (int i = 0; i < merged; ++i) {
      if (axes[i].in == 1 && axes[i].dim >= kLeastSide) tile = i;
    }
  }
  for (int i = 0; i < merged; ++i) {
    if (i == tile) {
      plan.tiled = true;
      plan.across = axes[i];
    } else {
      plan.rows *= axes[i].dim;
      plan.axes[plan.outer++] = axes[i];
    }
  }
  return plan;
}

}  // namespace nabla
