// conv and convInputGrad of bfloat16 on tensor cores, as products of matrices whose left one, the windows, is
// gathered as the copies go.
#include "cuda/kernels/activate.h"
#include "cuda/kernels/conv_pass.h"
#include "cuda/kernels/half_tile.h"

namespace nabla::cuda {
namespace {

// What both factors know of a number of the sum: its tap's place in the window, and its channel.
template <bool kGradient>
struct Taps {
  const ConvParams& p;
  const Axis (&axes)[3];
  int32_t depth;
  Divider high, wide;

  __device__ __forceinline__ Taps(const ConvParams& params, const Axis (&of)[3])
      : p(params),
        axes(of),
        depth(of[0].taps * of[1].taps * of[2].taps *
              (kGradient ? params.shape.outGroup : params.shape.inGroup)),
        high(max(of[1].taps, 1)),
        wide(max(of[2].taps, 1)) {}

  __device__ __forceinline__ void Find(int32_t k, int32_t (&tap)[3], int32_t& channel) const {
    const uint32_t number = p.channels.Quotient(static_cast<uint32_t>(k));
    channel = k - static_cast<int32_t>(number * p.channels.divisor);
    const uint32_t row = wide.Quotient(number), sheet = high.Quotient(row);
    tap[0] = static_cast<int32_t>(sheet);
    tap[1] = static_cast<int32_t>(row - sheet * high.divisor);
    tap[2] = static_cast<int32_t>(number - row * wide.divisor);
  }
};

template <class Factor, bool kGradient>
struct Windows {
  const Taps<kGradient>& taps;
  const uint16_t* source;
  int64_t image[Factor::kPieces];
  int32_t at[Factor::kPieces][3];

  __device__ __forceinline__ Windows(const Taps<kGradient>& of, int64_t firstRow, int32_t group) : taps(of) {
    const ConvParams& p = of.p;
    const ConvShape& s = p.shape;
    const int32_t* const size = kGradient ? s.out : s.in;
    source = static_cast<const uint16_t*>(p.source.data);
#pragma unroll
    for (int piece = 0; piece < Factor::kPieces; piece++) {
      int64_t sample = 0;
      int32_t place[3] = {};
      const bool inside = Locate<kGradient>(p, of.axes, firstRow + Factor::Along(piece), sample, place);
      image[piece] = sample * size[0] * size[1] * size[2] * (kGradient ? s.outC : s.inC) +
                     int64_t{group} * (kGradient ? s.outGroup : s.inGroup);
#pragma unroll
      for (int d = 0; d < 3; d++) at[piece][d] = place[d] * of.axes[d].move + of.axes[d].start;
      // Never inside, whatever the tap.
      if (!inside) at[piece][0] = -(1 << 30);
    }
  }

  __device__ __forceinline__ const uint16_t* Any() const { return source; }
  __device__ __forceinline__ const uint16_t* At(int piece, int32_t k) const {
    if (k >= taps.depth) return nullptr;
    const ConvShape& s = taps.p.shape;
    const int32_t* const size = kGradient ? s.out : s.in;
    int32_t tap[3], channel;
    taps.Find(k, tap, channel);
    int32_t place[3];
    bool inside = true;
#pragma unroll
    for (int d = 0; d < 3; d++) {
      place[d] = at[piece][d] + tap[d] * taps.axes[d].reach;
      inside = inside && static_cast<uint32_t>(place[d]) < static_cast<uint32_t>(size[d]);
    }
    const int64_t number = (int64_t{place[0]} * size[1] + place[1]) * size[2] + place[2];
    return inside ? source + image[piece] + number * (kGradient ? s.outC : s.inC) + channel : nullptr;
  }
  __device__ __forceinline__ const uint16_t* Chunk(int piece, int32_t step) const {
    return At(piece, step * Factor::kDepth + Factor::Depth(piece));
  }
  __device__ __forceinline__ uint32_t Number(int piece, int32_t step, int number) const {
    const uint16_t* const from = At(piece, step * Factor::kDepth + Factor::Depth(piece) + number);
    return from == nullptr ? 0u : *from;
  }
};

// The filter's channels of output are next to each other: columns of the product, or of the gradient the sum.
template <class Factor, bool kGradient>
struct Filter {
  const Taps<kGradient>& taps;
  const uint16_t* filter;
  int32_t group, firstColumn;

  __device__ __forceinline__ const uint16_t* Any() const { return filter; }
  __device__ __forceinline__ const uint16_t* At(int32_t along, int32_t k) const {
    const ConvShape& s = taps.p.shape;
    const int32_t column = firstColumn + along;
    if (k >= taps.depth || column >= (kGradient ? s.inGroup : s.outGroup)) return nullptr;
    int32_t tap[3], channel;
    taps.Find(k, tap, channel);
    int64_t place = 0;
#pragma unroll
    for (int d = 0; d < 3; d++)
      place = place * s.kernel[d] + taps.axes[d].firstTap + tap[d] * taps.axes[d].tapStep;
    const int64_t in = kGradient ? column : channel, out = kGradient ? channel : column;
    return filter + (place * s.inGroup + in) * s.outC + int64_t{group} * s.outGroup + out;
  }
  __device__ __forceinline__ const uint16_t* Chunk(int piece, int32_t step) const {
    return At(Factor::Along(piece), step * Factor::kDepth + Factor::Depth(piece));
  }
  __device__ __forceinline__ uint32_t Number(int piece, int32_t step, int number) const {
    const uint16_t* const from = At(Factor::Along(piece) + (kGradient ? 0 : number),
                                    step * Factor::kDepth + Factor::Depth(piece) + (kGradient ? number : 0));
    return from == nullptr ? 0u : *from;
  }
};

template <class Tile, bool kGradient>
__device__ __forceinline__ void Multiply(const ConvParams& p, typename Tile::Stage* stages, int32_t group,
                                         int32_t phase) {
  const ConvShape& s = p.shape;
  const int32_t targetC = kGradient ? s.inC : s.outC, targetGroup = kGradient ? s.inGroup : s.outGroup;
  Axis axes[3];
  FindAxes<kGradient>(p, phase, axes);
  const Taps<kGradient> taps(p, axes);
  const int64_t firstRow = blockIdx.x % static_cast<unsigned>(p.rowBlocks) * int64_t{Tile::kM};
  const int32_t firstColumn =
      static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * Tile::kN;
  Tile tile;
  {
    const Windows<typename Tile::Left, kGradient> left(taps, firstRow, group);
    const Filter<typename Tile::Right, kGradient> right = {taps, static_cast<const uint16_t*>(p.filter.data),
                                                           group, firstColumn};
    tile.Run(stages, (taps.depth + Tile::kK - 1) / Tile::kK, left, right);
  }
#pragma unroll
  for (int i = 0; i < Tile::kRowTiles; i++) {
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
      int64_t sample = 0;
      int32_t place[3] = {};
      if (!Locate<kGradient>(p, axes, firstRow + Tile::Row(i, half), sample, place)) continue;
      const int64_t first =
          TargetPlace<kGradient>(p, axes, sample, place) * targetC + int64_t{group} * targetGroup;
#pragma unroll
      for (int j = 0; j < Tile::kColumnTiles; j++) {
#pragma unroll
        for (int c = half; c < half + 2; c++) {
          const int32_t column = firstColumn + Tile::Column(j, c);
          if (column >= targetGroup) continue;
          float value = tile.sum[i][j][c];
          if (!kGradient && p.bias.data != nullptr) value += Get(p.bias, group * targetGroup + column);
          Set(p.target, first + column, Activate(value, p.activation));
        }
      }
    }
  }
}

template <int kM, int kN, int kDown, int kAcross, bool kAligned, bool kGradient>
__device__ __forceinline__ void Run(const ConvParams& p) {
  using Tile = HalfTile<kM, kN, kDown, kAcross, false, !kGradient, kAligned>;
  __shared__ typename Tile::Stage stages[Tile::kStages];
  for (int32_t group = static_cast<int32_t>(blockIdx.y); group < p.shape.groups;
       group += static_cast<int32_t>(gridDim.y)) {
    for (int32_t phase = static_cast<int32_t>(blockIdx.z); phase < p.phaseCount;
         phase += static_cast<int32_t>(gridDim.z))
      Multiply<Tile, kGradient>(p, stages, group, phase);
  }
}

}  // namespace

NABLA_ENTRY(convHalfLarge, ConvParams, 256) { Run<128, 128, 2, 4, true, false>(p); }
NABLA_ENTRY(convHalfSmall, ConvParams, 128) { Run<64, 64, 2, 2, true, false>(p); }
NABLA_ENTRY(convHalfNarrow, ConvParams, 128) { Run<128, 32, 4, 1, true, false>(p); }
NABLA_ENTRY(convHalfPlain, ConvParams, 128) { Run<64, 64, 2, 2, false, false>(p); }
NABLA_ENTRY(convInputGradHalfLarge, ConvParams, 256) { Run<128, 128, 2, 4, true, true>(p); }
NABLA_ENTRY(convInputGradHalfSmall, ConvParams, 128) { Run<64, 64, 2, 2, true, true>(p); }
NABLA_ENTRY(convInputGradHalfNarrow, ConvParams, 128) { Run<128, 32, 4, 1, true, true>(p); }
NABLA_ENTRY(convInputGradHalfPlain, ConvParams, 128) { Run<64, 64, 2, 2, false, true>(p); }

}  // namespace nabla::cuda
