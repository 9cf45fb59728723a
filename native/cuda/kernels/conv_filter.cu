// convFilterGrad as a product of matrices, whose left one, the windows, is gathered tile by tile, in parts
// that are then joined in their order.
#include "cuda/kernels/conv_seen.h"
#include "cuda/kernels/half.h"
#include "cuda/kernels/tile.h"

namespace nabla::cuda {
namespace {

template <class Tile>
__device__ __forceinline__ void Multiply(const ConvFilterParams& p, int32_t group) {
  const ConvShape& s = p.shape;
  __shared__ float left[Tile::kK][Tile::kM + Tile::kPadding], right[Tile::kK][Tile::kN + Tile::kPadding];
  const int32_t firstRow = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(p.rowBlocks)) * Tile::kM;
  const int32_t firstColumn =
      static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * Tile::kN;
  const int thread = static_cast<int>(threadIdx.x);
  // Neighbours gather neighbouring rows, which are channels.
  const int i = thread % Tile::kM, j = thread % Tile::kN;
  int32_t offset[3] = {};
  const bool inRow = firstRow + i < p.rows, inColumn = firstColumn + j < s.outGroup;
  const int32_t channel = group * s.inGroup + (inRow ? Offset(p, firstRow + i, offset) : 0);
  const int64_t split = blockIdx.z, end = p.positions * (split + 1) / p.splits;
  // Lines of the tiles that a thread fills.
  const auto leftLine = [&](int piece) { return thread / Tile::kM + piece * (Tile::kThreads / Tile::kM); };
  const auto rightLine = [&](int piece) { return thread / Tile::kN + piece * (Tile::kThreads / Tile::kN); };
  const float* const input = static_cast<const float*>(p.input.data);
  const float* const dy = static_cast<const float*>(p.dy.data);
  float nextLeft[Tile::kLeftPieces], nextRight[Tile::kRightPieces];
  const auto fetch = [&](int64_t k) {
#pragma unroll
    for (int piece = 0; piece < Tile::kLeftPieces; piece++) {
      const int64_t position = k + leftLine(piece);
      const int64_t place = inRow && position < end ? Seen(p, position, offset, channel) : -1;
      nextLeft[piece] = place < 0 ? 0.0f : input[place];
    }
#pragma unroll
    for (int piece = 0; piece < Tile::kRightPieces; piece++) {
      const int64_t position = k + rightLine(piece);
      nextRight[piece] =
          inColumn && position < end ? dy[position * s.outC + group * s.outGroup + firstColumn + j] : 0.0f;
    }
  };
  Tile tile;
  const int64_t begin = p.positions * split / p.splits;
  fetch(begin);
  for (int64_t k = begin; k < end; k += Tile::kK) {
    // The former tiles have been read by all.
    __syncthreads();
#pragma unroll
    for (int piece = 0; piece < Tile::kLeftPieces; piece++)
      left[leftLine(piece)][i] = Tile::Prepare(nextLeft[piece]);
#pragma unroll
    for (int piece = 0; piece < Tile::kRightPieces; piece++)
      right[rightLine(piece)][j] = Tile::Prepare(nextRight[piece]);
    __syncthreads();
    if (k + Tile::kK < end) fetch(k + Tile::kK);
    tile.Accumulate(left, right);
  }
  float* const out = p.splits > 1 ? p.partial + split * p.size : static_cast<float*>(p.out.data);
#pragma unroll
  for (int r = 0; r < Tile::kRows; r++) {
#pragma unroll
    for (int c = 0; c < Tile::kColumns; c++) {
      const int32_t row = firstRow + Tile::Row(r), column = firstColumn + Tile::Column(c);
      if (row < p.rows && column < s.outGroup)
        out[int64_t{row} * s.outC + group * s.outGroup + column] = tile.sum[r][c];
    }
  }
}

template <class Tile>
__device__ __forceinline__ void Run(const ConvFilterParams& p) {
  for (int32_t group = static_cast<int32_t>(blockIdx.y); group < p.shape.groups;
       group += static_cast<int32_t>(gridDim.y))
    Multiply<Tile>(p, group);
}

}  // namespace

using Small = ProductTile<64, 64, 16, 4, 4>;
using Narrow = ProductTile<128, 32, 8, 4, 4>;
using TensorSmall = TensorProductTile<64, 64, 2, 4>;
using TensorNarrow = TensorProductTile<128, 32, 4, 2>;

NABLA_ENTRY(convFilterGradSmall, ConvFilterParams, kConvThreads) { Run<Small>(p); }
NABLA_ENTRY(convFilterGradNarrow, ConvFilterParams, kConvThreads) { Run<Narrow>(p); }
NABLA_ENTRY(convFilterGradTensorSmall, ConvFilterParams, kConvThreads) { Run<TensorSmall>(p); }
NABLA_ENTRY(convFilterGradTensorNarrow, ConvFilterParams, kConvThreads) { Run<TensorNarrow>(p); }

// Groups of few channels: a block for kConvAcross channels of the output at one row of the filter, whose
// threads share the positions.
NABLA_ENTRY(convFilterGradDirect, ConvFilterParams, kConvThreads) {
  constexpr int kDown = kConvThreads / kConvAcross;
  const ConvShape& s = p.shape;
  __shared__ float sums[kConvThreads];
  const int across = static_cast<int>(threadIdx.x) % kConvAcross,
            down = static_cast<int>(threadIdx.x) / kConvAcross;
  const int32_t row = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(p.rows));
  const int32_t column =
      static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rows)) * kConvAcross + across;
  const int64_t split = blockIdx.z;
  float sum = 0;
  if (column < s.outC) {
    int32_t offset[3] = {};
    const int32_t channel = Offset(p, row, offset) + column / s.outGroup * s.inGroup;
    const int64_t end = p.positions * (split + 1) / p.splits;
    for (int64_t k = p.positions * split / p.splits + down; k < end; k += kDown) {
      const int64_t place = Seen(p, k, offset, channel);
      if (place >= 0) sum = fmaf(Get(p.input, place), Get(p.dy, k * s.outC + column), sum);
    }
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (down != 0 || column >= s.outC) return;
  for (int other = 1; other < kDown; other++) sum += sums[across + other * kConvAcross];
  const int64_t at = int64_t{row} * s.outC + column;
  if (p.splits > 1) {
    p.partial[split * p.size + at] = sum;
  } else {
    Set(p.out, at, sum);
  }
}

NABLA_ENTRY(convFilterGradJoin, ConvFilterParams, kConvThreads) {
  const int64_t i = blockIdx.x * int64_t{kConvThreads} + threadIdx.x;
  if (i >= p.size) return;
  float sum = 0;
  for (int32_t split = 0; split < p.splits; split++) sum += p.partial[split * p.size + i];
  Set(p.out, i, sum);
}

}  // namespace nabla::cuda
