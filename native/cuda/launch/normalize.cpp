// Starts normalize and its gradient.
#include "cuda/kernels/normalize.h"

#include <algorithm>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kNormalize[] = {{"normalize", "normalizeWarp"}, {"normalize", "normalizeBlock"}};
constexpr Entry kGrad[] = {{"normalize", "normalizeGradWarp"}, {"normalize", "normalizeGradBlock"}};
constexpr Entry kSums = {"normalize", "normalizeSums"}, kFinish = {"normalize", "normalizeFinish"};
// Rows that are worth a block of their own, and blocks that share a column, at most.
constexpr int64_t kSplitRows = 64, kMostSplits = 64;

template <class Params>
void LaunchRows(Launcher& launcher, const Entry (&entries)[2], const Params& p) {
  const bool block = p.columns > kNormalizeWarpColumns;
  const int64_t rowsABlock = block ? 1 : kNormalizeThreads / 32;
  launcher.Launch(entries[block ? 1 : 0], {BlocksFor(p.rows, rowsABlock)}, kNormalizeThreads, p);
}

// Decided by the shape alone, so that a sum is the same on every GPU.
int64_t Splits(int64_t rows) { return std::clamp<int64_t>(rows / kSplitRows, 1, kMostSplits); }

}  // namespace

size_t ScratchNormalize(const Instruction&) { return 0; }

size_t ScratchNormalizeGrad(const Instruction& instruction) {
  if (!instruction.operands[1].present && !instruction.operands[2].present) return 0;
  return static_cast<size_t>(2 * Splits(instruction.attr(0)) * instruction.attr(1)) * sizeof(float);
}

void LaunchNormalize(Launcher& launcher) {
  NormalizeParams p = {};
  p.out = launcher.floats(0);
  p.mean = launcher.floats(1);
  p.rstd = launcher.floats(2);
  p.input = launcher.floats(3);
  p.scale = launcher.floats(4);
  p.offset = launcher.floats(5);
  p.rows = launcher.attr(0);
  p.columns = launcher.attr(1);
  p.center = launcher.attr(2);
  p.epsilon = launcher.attrFloat(3);
  LaunchRows(launcher, kNormalize, p);
}

void LaunchNormalizeGrad(Launcher& launcher) {
  NormalizeGradParams p = {};
  p.dx = launcher.floats(0);
  p.dscale = launcher.floats(1);
  p.doffset = launcher.floats(2);
  p.dy = launcher.floats(3);
  p.input = launcher.floats(4);
  p.mean = launcher.floats(5);
  p.rstd = launcher.floats(6);
  p.scale = launcher.floats(7);
  p.partial = launcher.scratch<float>();
  p.rows = launcher.attr(0);
  p.columns = launcher.attr(1);
  p.splits = static_cast<int32_t>(Splits(p.rows));
  if (p.dscale.data != nullptr || p.doffset.data != nullptr) {
    launcher.Launch(kSums, {BlocksFor(p.columns, kNormalizeAcross), p.splits}, kNormalizeThreads, p);
    launcher.Launch(kFinish, {BlocksFor(p.columns, kNormalizeThreads)}, kNormalizeThreads, p);
  }
  LaunchRows(launcher, kGrad, p);
}

}  // namespace nabla::cuda
