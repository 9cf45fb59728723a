// Starts gather and scatterAdd.
#include "cuda/kernels/gather.h"

#include <algorithm>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kGather = {"gather", "gather"};
constexpr Entry kPrepare = {"gather", "scatterPrepare"}, kScatter = {"gather", "scatterAdd"};
constexpr int64_t kMostRowBlocks = 32768;

}  // namespace

size_t ScratchGather(const Instruction&) { return 0; }
size_t ScratchScatterAdd(const Instruction&) { return 0; }

void LaunchGather(Launcher& launcher) {
  const Operand &table = launcher.operand(1), &indices = launcher.operand(2);
  GatherParams p = {};
  p.out = launcher.data<void>(0);
  p.table = table.data;
  p.indices = indices.as<int32_t>();
  p.cursor = launcher.data<int32_t>(3);
  p.indexCount = indices.size;
  p.tableRows = launcher.attr(1);
  p.count = launcher.attr(0);
  p.rowSize = launcher.attr(2);
  p.mode = static_cast<GatherMode>(launcher.attr(3));
  p.dtype = table.dtype;
  p.scale = launcher.attrFloat(4);
  p.shift = launcher.attrFloat(5);
  // Rows without columns still have indices to be looked at.
  const int64_t across = std::clamp<int64_t>(BlocksFor(p.rowSize, 4 * kGatherThreads), 1, 64);
  launcher.Launch(kGather, {across, std::min<int64_t>(p.count, kMostRowBlocks)}, kGatherThreads, p);
}

void LaunchScatterAdd(Launcher& launcher) {
  ScatterParams p = {};
  p.out = launcher.data<float>(0);
  p.source = launcher.data<float>(1);
  p.indices = launcher.data<int32_t>(2);
  p.tableRows = launcher.attr(1);
  p.count = launcher.attr(0);
  p.rowSize = launcher.attr(2);
  p.clear = launcher.attr(3) == 0 ? 1 : 0;
  const int64_t work = std::max<int64_t>(p.count, p.clear * p.tableRows * p.rowSize);
  const int64_t most = int64_t{launcher.multiprocessors()} * 16;
  launcher.Launch(kPrepare, {std::min(BlocksFor(work, kScatterThreads), most)}, kScatterThreads, p);
  launcher.Launch(kScatter, {p.count}, kScatterThreads, p);
}

}  // namespace nabla::cuda
