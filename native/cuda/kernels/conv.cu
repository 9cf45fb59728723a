// conv and convInputGrad as products of matrices, whose left one, the windows, is gathered tile by tile; the
// next tile is under way while one is multiplied.
#include "cuda/kernels/conv.h"

#include "cuda/kernels/activate.h"
#include "cuda/kernels/conv_pass.h"
#include "cuda/kernels/tile.h"

namespace nabla::cuda {
namespace {

template <class Tile, bool kGradient>
struct Pass {
  // What a thread knows of the rows that it gathers.
  struct Window {
    const float* image;
    int32_t at[3];
  };

  __device__ static __forceinline__ void Multiply(const ConvParams& p, int32_t group, int32_t phase) {
    const ConvShape& s = p.shape;
    __shared__ float left[Tile::kK][Tile::kM + Tile::kPadding], right[Tile::kK][Tile::kN + Tile::kPadding];
    const int32_t sourceC = kGradient ? s.outC : s.inC, sourceGroup = kGradient ? s.outGroup : s.inGroup;
    const int32_t targetC = kGradient ? s.inC : s.outC, targetGroup = kGradient ? s.inGroup : s.outGroup;
    const int32_t* const size = kGradient ? s.out : s.in;
    const float* const source = static_cast<const float*>(p.source.data);
    const float* const filter = static_cast<const float*>(p.filter.data);
    const float* const bias = static_cast<const float*>(p.bias.data);
    Axis axes[3];
    FindAxes<kGradient>(p, phase, axes);
    const int32_t depth = axes[0].taps * axes[1].taps * axes[2].taps * sourceGroup;
    const Divider high(max(axes[1].taps, 1)), wide(max(axes[2].taps, 1));
    const int64_t firstRow = blockIdx.x % static_cast<unsigned>(p.rowBlocks) * int64_t{Tile::kM};
    const int32_t firstColumn =
        static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * Tile::kN;
    const int thread = static_cast<int>(threadIdx.x);

    // Neighbours gather neighbouring channels, of rows kThreads / kK apart.
    const int q = thread % Tile::kK, i = thread / Tile::kK;
    Window windows[Tile::kLeftPieces];
#pragma unroll
    for (int piece = 0; piece < Tile::kLeftPieces; piece++) {
      int64_t sample = 0;
      int32_t place[3] = {};
      const int64_t row = firstRow + i + piece * (Tile::kThreads / Tile::kK);
      const bool inside = Locate<kGradient>(p, axes, row, sample, place);
      windows[piece].image = source + sample * size[0] * size[1] * size[2] * sourceC + group * sourceGroup;
#pragma unroll
      for (int d = 0; d < 3; d++) windows[piece].at[d] = place[d] * axes[d].move + axes[d].start;
      // Never inside, whatever the tap.
      if (!inside) windows[piece].at[0] = -(1 << 30);
    }
    const auto fetchLeft = [&](int32_t k, float(&values)[Tile::kLeftPieces]) {
      const uint32_t mine = static_cast<uint32_t>(k + q);
      const uint32_t tap = p.channels.Quotient(mine);
      const uint32_t channel = mine - tap * p.channels.divisor;
      const uint32_t row = wide.Quotient(tap), sheet = high.Quotient(row);
      const int32_t reach[3] = {static_cast<int32_t>(sheet) * axes[0].reach,
                                static_cast<int32_t>(row - sheet * high.divisor) * axes[1].reach,
                                static_cast<int32_t>(tap - row * wide.divisor) * axes[2].reach};
#pragma unroll
      for (int piece = 0; piece < Tile::kLeftPieces; piece++) {
        const Window& window = windows[piece];
        const int32_t at[3] = {window.at[0] + reach[0], window.at[1] + reach[1], window.at[2] + reach[2]};
        const bool inside = mine < static_cast<uint32_t>(depth) &&
                            static_cast<uint32_t>(at[0]) < static_cast<uint32_t>(size[0]) &&
                            static_cast<uint32_t>(at[1]) < static_cast<uint32_t>(size[1]) &&
                            static_cast<uint32_t>(at[2]) < static_cast<uint32_t>(size[2]);
        values[piece] =
            inside ? window.image[((int64_t{at[0]} * size[1] + at[1]) * size[2] + at[2]) * sourceC + channel]
                   : 0.0f;
      }
    };
    // The filter's channels of output are next to each other: they are columns here, k there.
    const auto line = [&](int piece) {
      const int number = thread + piece * Tile::kThreads;
      return kGradient ? number % Tile::kK : number / Tile::kN;
    };
    const auto across = [&](int piece) {
      const int number = thread + piece * Tile::kThreads;
      return kGradient ? number / Tile::kK : number % Tile::kN;
    };
    const auto fetchRight = [&](int32_t k, float(&values)[Tile::kRightPieces]) {
#pragma unroll
      for (int piece = 0; piece < Tile::kRightPieces; piece++) {
        const int32_t column = firstColumn + across(piece);
        values[piece] = 0;
        if (k + line(piece) >= depth || column >= targetGroup) continue;
        const uint32_t product = static_cast<uint32_t>(k + line(piece));
        const uint32_t tap = p.channels.Quotient(product);
        const uint32_t from = product - tap * p.channels.divisor;
        const uint32_t row = wide.Quotient(tap), sheet = high.Quotient(row);
        int64_t place = axes[0].firstTap + int64_t{sheet} * axes[0].tapStep;
        place =
            place * s.kernel[1] + axes[1].firstTap + int64_t{row - sheet * high.divisor} * axes[1].tapStep;
        place = place * s.kernel[2] + axes[2].firstTap + int64_t{tap - row * wide.divisor} * axes[2].tapStep;
        const int64_t in = kGradient ? column : int64_t{from}, out = kGradient ? int64_t{from} : column;
        values[piece] = filter[(place * s.inGroup + in) * s.outC + int64_t{group} * s.outGroup + out];
      }
    };
    Tile tile;
    float nextLeft[Tile::kLeftPieces], nextRight[Tile::kRightPieces];
    fetchLeft(0, nextLeft);
    fetchRight(0, nextRight);
    for (int32_t k = 0; k < depth; k += Tile::kK) {
      // The former tiles have been read by all.
      __syncthreads();
#pragma unroll
      for (int piece = 0; piece < Tile::kLeftPieces; piece++)
        left[q][i + piece * (Tile::kThreads / Tile::kK)] = Tile::Prepare(nextLeft[piece]);
#pragma unroll
      for (int piece = 0; piece < Tile::kRightPieces; piece++)
        right[line(piece)][across(piece)] = Tile::Prepare(nextRight[piece]);
      __syncthreads();
      if (k + Tile::kK < depth) {
        fetchLeft(k + Tile::kK, nextLeft);
        fetchRight(k + Tile::kK, nextRight);
      }
      tile.Accumulate(left, right);
    }
#pragma unroll
    for (int r = 0; r < Tile::kRows; r++) {
      int64_t sample = 0;
      int32_t place[3] = {};
      if (!Locate<kGradient>(p, axes, firstRow + Tile::Row(r), sample, place)) continue;
      float* const out = static_cast<float*>(p.target.data) +
                         TargetPlace<kGradient>(p, axes, sample, place) * targetC + group * targetGroup;
#pragma unroll
      for (int c = 0; c < Tile::kColumns; c++) {
        const int32_t column = firstColumn + Tile::Column(c);
        if (column >= targetGroup) continue;
        float value = tile.sum[r][c];
        if (!kGradient && bias != nullptr) value += bias[group * targetGroup + column];
        out[column] = Activate(value, p.activation);
      }
    }
  }

  __device__ static __forceinline__ void Run(const ConvParams& p) {
    for (int32_t group = static_cast<int32_t>(blockIdx.y); group < p.shape.groups;
         group += static_cast<int32_t>(gridDim.y)) {
      for (int32_t phase = static_cast<int32_t>(blockIdx.z); phase < p.phaseCount;
           phase += static_cast<int32_t>(gridDim.z))
        Multiply(p, group, phase);
    }
  }
};

using Large = ProductTile<128, 128, 8, 8, 8>;
using Small = ProductTile<64, 64, 16, 4, 4>;
using Narrow = ProductTile<128, 32, 8, 4, 4>;
using TensorLarge = TensorProductTile<128, 128, 2, 4>;
using TensorSmall = TensorProductTile<64, 64, 2, 4>;
using TensorNarrow = TensorProductTile<128, 32, 4, 2>;

}  // namespace

NABLA_ENTRY(convLarge, ConvParams, kConvThreads) { Pass<Large, false>::Run(p); }
NABLA_ENTRY(convSmall, ConvParams, kConvThreads) { Pass<Small, false>::Run(p); }
NABLA_ENTRY(convNarrow, ConvParams, kConvThreads) { Pass<Narrow, false>::Run(p); }
NABLA_ENTRY(convTensorLarge, ConvParams, kConvThreads) { Pass<TensorLarge, false>::Run(p); }
NABLA_ENTRY(convTensorSmall, ConvParams, kConvThreads) { Pass<TensorSmall, false>::Run(p); }
NABLA_ENTRY(convTensorNarrow, ConvParams, kConvThreads) { Pass<TensorNarrow, false>::Run(p); }
NABLA_ENTRY(convInputGradLarge, ConvParams, kConvThreads) { Pass<Large, true>::Run(p); }
NABLA_ENTRY(convInputGradSmall, ConvParams, kConvThreads) { Pass<Small, true>::Run(p); }
NABLA_ENTRY(convInputGradNarrow, ConvParams, kConvThreads) { Pass<Narrow, true>::Run(p); }
NABLA_ENTRY(convInputGradTensorLarge, ConvParams, kConvThreads) { Pass<TensorLarge, true>::Run(p); }
NABLA_ENTRY(convInputGradTensorSmall, ConvParams, kConvThreads) { Pass<TensorSmall, true>::Run(p); }
NABLA_ENTRY(convInputGradTensorNarrow, ConvParams, kConvThreads) { Pass<TensorNarrow, true>::Run(p); }

}  // namespace nabla::cuda
