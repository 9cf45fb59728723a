// Starts sort: one launch where a row fits a block, else the network's launches.
#include "cuda/kernels/sort.h"

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kRow = {"sort", "sortRow"}, kPart = {"sort", "sortPart"},
                kExchange = {"sort", "sortExchange"}, kMerge = {"sort", "sortMerge"},
                kWrite = {"sort", "sortWrite"};

int64_t Padded(int64_t columns) {
  int64_t padded = 1;
  while (padded < columns) padded *= 2;
  return padded;
}

}  // namespace

size_t ScratchSort(const Instruction& instruction) {
  const int64_t rows = instruction.attr(0), padded = Padded(instruction.attr(1));
  return padded <= kSortBlock ? 0 : static_cast<size_t>(rows * padded) * sizeof(uint64_t);
}

void LaunchSort(Launcher& launcher) {
  SortParams p = {};
  p.values = launcher.data<void>(0);
  p.indices = launcher.data<int32_t>(1);
  p.input = launcher.data<void>(2);
  p.keys = launcher.scratch<uint64_t>();
  p.rows = launcher.attr(0);
  p.columns = launcher.attr(1);
  p.descending = launcher.attr(2);
  p.padded = Padded(p.columns);
  p.dtype = launcher.operand(2).dtype;
  if (p.columns == 0) return;
  if (p.padded <= kSortBlock) return launcher.Launch(kRow, {p.rows}, kSortThreads, p);
  const int64_t blocks = p.rows * p.padded / kSortBlock;
  launcher.Launch(kPart, {blocks}, kSortThreads, p);
  for (p.run = 2 * kSortBlock; p.run <= p.padded; p.run *= 2) {
    for (p.distance = p.run / 2; p.distance >= kSortBlock; p.distance /= 2)
      launcher.Launch(kExchange, {BlocksFor(p.rows * p.padded / 2, kSortThreads)}, kSortThreads, p);
    launcher.Launch(kMerge, {blocks}, kSortThreads, p);
  }
  launcher.Launch(kWrite, {BlocksFor(p.rows * p.columns, kSortThreads)}, kSortThreads, p);
}

}  // namespace nabla::cuda
