// Starts copy, in pieces whose elements 32 bits can count.
#include "cuda/kernels/copy.h"

#include <algorithm>
#include <cstddef>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kCopy = {"copy", "copy"};

// Starts pieces along the first dimension; inner dimensions are merged where the strides allow.
void LaunchPieces(Launcher& launcher, CopyParams p, int64_t* dims, int rank) {
  int64_t rest = 1;
  for (int d = 1; d < rank; d++) rest *= dims[d];
  const int64_t most = rank == 0 || rest == 0 ? 1 : std::max<int64_t>(1, (int64_t{1} << 31) / rest);
  const int64_t rows = rank == 0 ? 1 : dims[0];
  for (int64_t row = 0; row < rows; row += most) {
    const int64_t count = std::min(most, rows - row);
    CopyParams piece = p;
    if (rank > 0) {
      piece.out = static_cast<std::byte*>(p.out) + row * p.strides[0][0] * SizeOf(p.outType);
      piece.input = static_cast<const std::byte*>(p.input) + row * p.strides[1][0] * SizeOf(p.inType);
    }
    piece.size = count * rest;
    piece.places.rank = rank;
    for (int d = 0; d < rank; d++) piece.places.dims[d] = Divider(d == 0 ? count : dims[d]);
    const int64_t mostBlocks = int64_t{launcher.multiprocessors()} * 32;
    launcher.Launch(kCopy, {std::min(BlocksFor(piece.size, kCopyThreads), mostBlocks)}, kCopyThreads, piece);
  }
}

}  // namespace

size_t ScratchCopy(const Instruction&) { return 0; }

void LaunchCopy(Launcher& launcher) {
  const Operand &out = launcher.operand(0), &input = launcher.operand(1);
  const int32_t rank = launcher.attr(0);
  const int32_t* const given = launcher.instruction().attributes.data() + 3;
  CopyParams p = {};
  p.out = out.data + launcher.attr(1) * SizeOf(out.dtype);
  p.input = input.data + launcher.attr(2) * SizeOf(input.dtype);
  p.outType = out.dtype;
  p.inType = input.dtype;
  int64_t dims[kMaxRank] = {};
  int merged = 0;
  for (int32_t d = 0; d < rank; d++) {
    const int64_t dim = given[d];
    const int64_t strides[2] = {given[rank + d], given[2 * rank + d]};
    if (dim == 0) return;
    if (dim == 1) continue;
    const bool merge = merged > 0 && p.strides[0][merged - 1] == strides[0] * dim &&
                       p.strides[1][merged - 1] == strides[1] * dim &&
                       dims[merged - 1] * dim < (int64_t{1} << 31);
    const int at = merge ? merged - 1 : merged++;
    dims[at] = merge ? dims[at] * dim : dim;
    p.strides[0][at] = static_cast<int32_t>(strides[0]);
    p.strides[1][at] = static_cast<int32_t>(strides[1]);
  }
  LaunchPieces(launcher, p, dims, merged);
}

}  // namespace nabla::cuda
