// How the gradient of a convolution's filter is cut up, the same for every instruction set.
#pragma once

#include "cpu/kernels/conv-pass.h"

namespace nabla {
namespace conv {

// The filter's rows (taps times channels) fall into runs: rows whose elements are neighbours in the input.
struct FilterPlan {
  bool gathered;  // runs are too short to fill tiles: elements are gathered first, and all rows of a group are one run
  int64_t runs, runRows;          // of a group; rows of each
  int64_t runsOfSlab, runsOfRow;  // of the taps of one depth, and of one height
  bool padded;                    // windows are read from a padded copy of the rows
  int64_t blockRows, blockColumns;
  int64_t width, rowPitch, slabPitch;
  int64_t gatheredPitch;
  int64_t stepFloats, bandFloats, panelFloats, gatheredFloats;

  int64_t threadFloats() const { return bandFloats + panelFloats + gatheredFloats; }
};

// Positions summed in one go: their gradients and windows stay in the second cache.
constexpr int64_t kPositions = 640;
// Rows that fill a tile well enough.
constexpr int64_t kShortRun = 8;

inline FilterPlan PlanFilter(const Shape& s) {
  FilterPlan plan{};
  // Neighbouring taps of a row are neighbours in memory too, where all channels belong to one group.
  const bool joined = s.groups == 1 && s.dilation[2] == 1;
  plan.runRows = s.inGroup() * (joined ? s.kernel[2] : 1);
  plan.gathered = plan.runRows < kShortRun;
  if (plan.gathered) plan.runRows = s.depth();
  plan.runs = plan.gathered ? 1 : s.depth() / plan.runRows;
  plan.runsOfRow = joined ? 1 : s.kernel[2];
  plan.runsOfSlab = s.kernel[1] * plan.runsOfRow;

  const int64_t outWidth = std::max<int64_t>(1, s.out[2]);
  plan.blockColumns = std::min(outWidth, kPositions);
  plan.blockRows = std::clamp<int64_t>(kPositions / outWidth, 1, std::max<int64_t>(1, s.out[1]));
  const int64_t reach = (s.kernel[2] - 1) * s.dilation[2], reachH = (s.kernel[1] - 1) * s.dilation[1];
  plan.padded = s.pad[2] > 0 || (s.out[2] - 1) * s.stride[2] + reach - s.pad[2] >= s.in[2];
  plan.width = (plan.blockColumns - 1) * s.stride[2] + reach + 1;
  plan.rowPitch = (plan.padded ? plan.width : s.in[2]) * s.inC;
  const int64_t inputRows = std::min((plan.blockRows - 1) * s.stride[1] + reachH + 1, s.in[1]);
  plan.slabPitch = (plan.padded ? inputRows : s.in[1]) * plan.rowPitch;

  const int64_t positions = plan.blockRows * plan.blockColumns;
  plan.gatheredPitch = RoundUp(positions) + 16;
  plan.stepFloats = RoundUp(2 * positions);
  plan.bandFloats = plan.padded ? RoundUp(s.kernel[0] * plan.slabPitch) : 0;
  plan.panelFloats = RoundUp(positions * kWidestPanel + kWidestPanel);
  plan.gatheredFloats = plan.gathered ? RoundUp(s.depth() * plan.gatheredPitch) : 0;
  return plan;
}

}  // namespace conv
}  // namespace nabla
