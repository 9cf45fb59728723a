// convFilterGrad of bfloat16 on tensor cores: the windows, gathered as the copies go, times the gradient of
// the output, in parts that are then joined in their order.
#include "cuda/kernels/conv_seen.h"
#include "cuda/kernels/half.h"
#include "cuda/kernels/half_tile.h"

namespace nabla::cuda {
namespace {

// Rows of the product: taps and channels of the input; the sum runs over positions of the output.
template <class Factor>
struct Windows {
  const ConvFilterParams& p;
  const uint16_t* input;
  int64_t begin, end;
  int32_t group, row;  // the thread's first row
  int32_t offset[3], channel;

  __device__ __forceinline__ Windows(const ConvFilterParams& params, int64_t from, int64_t to,
                                     int32_t ofGroup, int32_t firstRow)
      : p(params),
        input(static_cast<const uint16_t*>(params.input.data)),
        begin(from),
        end(to),
        group(ofGroup),
        row(firstRow + Factor::Along(0)) {
    if (row < p.rows) channel = Offset(p, row, offset);
  }

  __device__ __forceinline__ const uint16_t* Any() const { return input; }
  __device__ __forceinline__ int64_t Position(int piece, int32_t step) const {
    return begin + int64_t{step} * Factor::kDepth + Factor::Depth(piece);
  }
  __device__ __forceinline__ const uint16_t* Chunk(int piece, int32_t step) const {
    const int64_t position = Position(piece, step);
    if (row >= p.rows || position >= end) return nullptr;
    const int64_t place = Seen(p, position, offset, group * p.shape.inGroup + channel);
    return place < 0 ? nullptr : input + place;
  }
  __device__ __forceinline__ uint32_t Number(int piece, int32_t step, int number) const {
    const int64_t position = Position(piece, step);
    if (row + number >= p.rows || position >= end) return 0;
    int32_t from[3];
    const int32_t mine = Offset(p, row + number, from);
    const int64_t place = Seen(p, position, from, group * p.shape.inGroup + mine);
    return place < 0 ? 0u : input[place];
  }
};

// Columns: channels of the output.
template <class Factor>
struct Gradients {
  const ConvFilterParams& p;
  const uint16_t* dy;
  int64_t begin, end;
  int32_t group, firstColumn;

  __device__ __forceinline__ const uint16_t* Any() const { return dy; }
  __device__ __forceinline__ const uint16_t* At(int piece, int32_t step, int number) const {
    const int64_t position = begin + int64_t{step} * Factor::kDepth + Factor::Depth(piece);
    const int32_t column = firstColumn + Factor::Along(piece) + number;
    if (position >= end || column >= p.shape.outGroup) return nullptr;
    return dy + position * p.shape.outC + int64_t{group} * p.shape.outGroup + column;
  }
  __device__ __forceinline__ const uint16_t* Chunk(int piece, int32_t step) const {
    return At(piece, step, 0);
  }
  __device__ __forceinline__ uint32_t Number(int piece, int32_t step, int number) const {
    const uint16_t* const from = At(piece, step, number);
    return from == nullptr ? 0u : *from;
  }
};

template <int kM, int kN, int kDown, int kAcross, bool kAligned>
__device__ __forceinline__ void Run(const ConvFilterParams& p) {
  using Tile = HalfTile<kM, kN, kDown, kAcross, true, true, kAligned>;
  __shared__ typename Tile::Stage stages[Tile::kStages];
  const ConvShape& s = p.shape;
  const int32_t firstRow = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(p.rowBlocks)) * kM;
  const int32_t firstColumn = static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * kN;
  const int64_t split = blockIdx.z;
  const int64_t begin = p.positions * split / p.splits, end = p.positions * (split + 1) / p.splits;
  for (int32_t group = static_cast<int32_t>(blockIdx.y); group < s.groups;
       group += static_cast<int32_t>(gridDim.y)) {
    Tile tile;
    {
      const Windows<typename Tile::Left> left(p, begin, end, group, firstRow);
      const Gradients<typename Tile::Right> right = {
          p, static_cast<const uint16_t*>(p.dy.data), begin, end, group, firstColumn};
      tile.Run(stages, static_cast<int32_t>((end - begin + Tile::kK - 1) / Tile::kK), left, right);
    }
#pragma unroll
    for (int i = 0; i < Tile::kRowTiles; i++) {
#pragma unroll
      for (int j = 0; j < Tile::kColumnTiles; j++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
          const int32_t row = firstRow + Tile::Row(i, c), column = firstColumn + Tile::Column(j, c);
          if (row >= p.rows || column >= s.outGroup) continue;
          const int64_t at = int64_t{row} * s.outC + int64_t{group} * s.outGroup + column;
          if (p.splits > 1) {
            p.partial[split * p.size + at] = tile.sum[i][j][c];
          } else {
            Set(p.out, at, tile.sum[i][j][c]);
          }
        }
      }
    }
  }
}

}  // namespace

NABLA_ENTRY(convFilterGradHalfSmall, ConvFilterParams, 128) { Run<64, 64, 2, 2, true>(p); }
NABLA_ENTRY(convFilterGradHalfNarrow, ConvFilterParams, 128) { Run<128, 32, 4, 1, true>(p); }
// For channels in any number.
NABLA_ENTRY(convFilterGradHalfPlain, ConvFilterParams, 128) { Run<64, 64, 2, 2, false>(p); }

}  // namespace nabla::cuda
