// Convolutions of 3x3 by Winograd's minimal filtering for one instruction set: tiles of 4x4 inputs are
// transformed, multiplied with the transformed filter as 16 matrix products, and transformed back to 2x2
// outputs.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_CONV_WINOGRAD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_CONV_WINOGRAD_H_
#undef NABLA_CPU_KERNELS_CONV_WINOGRAD_H_
#else
#define NABLA_CPU_KERNELS_CONV_WINOGRAD_H_
#endif

#include "cpu/kernels/conv-winograd-tile.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {

using nabla::conv::kWinogradPack;
using nabla::conv::Winograd;

// G g G^T of `rows` rows of a packed panel: tap k begins at from + k * rows * kPanel, point p goes to to + p
// * pitch.
HWY_NOINLINE inline void TransformFilter(const float* HWY_RESTRICT from, int64_t rows, int vectors,
                                         float* HWY_RESTRICT to, int64_t pitch) {
  const D d;
  const V half = hn::Set(d, 0.5f);
  const int64_t tap = rows * kPanel;
  for (int64_t p = 0; p < rows; p++) {
    for (int v = 0; v < vectors; v++) {
      const float* g = from + p * kPanel + v * kLanes;
      float* point = to + p * kPanel + v * kLanes;
      V t[4][3];
      NABLA_GEMM_UNROLL
      for (int j = 0; j < 3; j++) {
        const V a = hn::LoadU(d, g + j * tap), b = hn::LoadU(d, g + (3 + j) * tap),
                c = hn::LoadU(d, g + (6 + j) * tap);
        const V outer = hn::Add(a, c);
        t[0][j] = a;
        t[1][j] = hn::Mul(half, hn::Add(outer, b));
        t[2][j] = hn::Mul(half, hn::Sub(outer, b));
        t[3][j] = c;
      }
      NABLA_GEMM_UNROLL
      for (int i = 0; i < 4; i++) {
        const V outer = hn::Add(t[i][0], t[i][2]);
        hn::StoreU(t[i][0], d, point + 4 * i * pitch);
        hn::StoreU(hn::Mul(half, hn::Add(outer, t[i][1])), d, point + (4 * i + 1) * pitch);
        hn::StoreU(hn::Mul(half, hn::Sub(outer, t[i][1])), d, point + (4 * i + 2) * pitch);
        hn::StoreU(t[i][2], d, point + (4 * i + 3) * pitch);
      }
    }
  }
}

// Floats from one tile's products to the next one's.
constexpr int64_t kSumRow = kWinogradPoints * kPanel + 16;

// A plan with its operands and its buffers in scratch.
struct WinogradWork {
  Winograd plan;
  const float* input;
  const float* filter;
  float* out;
  const float* bias;  // null for none
  Activation activation;
  float* transformed;  // the filter: panel after panel, point after point, inC x kPanel
  float* buffers;

  int64_t panels() const { return (plan.outC + kPanel - 1) / kPanel; }

  // Rows [p, p + kWinogradPack) of one panel of the filter; units count these through the panels.
  int64_t packsOfPanel() const { return (plan.inC + kWinogradPack - 1) / kWinogradPack; }
  void PrepareFilter(int64_t unit, float* packed) const {
    const int64_t panel = unit / packsOfPanel(), p = unit % packsOfPanel() * kWinogradPack;
    const int64_t first = panel * kPanel;
    const int count = static_cast<int>(HWY_MIN(kPanel, plan.outC - first));
    const int64_t rows = HWY_MIN(kWinogradPack, plan.inC - p);
    for (int64_t k = 0; k < 9; k++) {
      float* to = packed + k * rows * kPanel;
      if (plan.turned) {
        const float* tap = filter + (8 - k) * plan.inC * plan.outC;
        gemm::PackTurned(tap + first * plan.inC + p, plan.inC, count, rows, to, kPanel);
      } else {
        const float* tap = filter + k * plan.inC * plan.outC;
        gemm::PackStraight(tap + p * plan.outC + first, plan.outC, count, rows, to, kPanel);
      }
    }
    float* to = transformed + (panel * kWinogradPoints * plan.inC + p) * kPanel;
    TransformFilter(packed, rows, (count + kLanes - 1) / kLanes, to, plan.inC * kPanel);
  }

  // The 16 products of `tiles` tiles with one panel.
  void Multiply(const float* from, int64_t tiles, int64_t panel, int vectors, float* sums) const {
    const int64_t cuts = (tiles + gemm::kTileRows - 1) / gemm::kTileRows;
    gemm::Tile tile{};
    tile.depth = plan.inC;
    tile.aRow = plan.rowPitch();
    tile.aDepth = 1;
    tile.bDepth = kPanel;
    tile.outRow = kSumRow;
    tile.raw = true;
    tile.last = kLanes;
    for (int64_t p = 0; p < kWinogradPoints; p++) {
      tile.b = transformed + (panel * kWinogradPoints + p) * plan.inC * kPanel;
      for (int64_t i = 0; i < cuts; i++) {
        const int64_t row = tiles * i / cuts;
        tile.a = from + p * plan.pointPitch() + row * plan.rowPitch();
        tile.out = sums + row * kSumRow + p * kPanel;
        gemm::FindTile(static_cast<int>(tiles * (i + 1) / cuts - row), vectors)(tile);
      }
    }
  }

  // A^T m A with bias and activation, for `tiles` tiles from `begin` on and one panel.
  HWY_NOINLINE void Finish(const float* sums, int64_t begin, int64_t tiles, int64_t panel) const {
    const D d;
    const int64_t first = panel * kPanel, columns = HWY_MIN(kPanel, plan.outC - first);
    const int64_t rowFloats = plan.out[1] * plan.outC;
    const V floor =
        hn::Set(d, activation == Activation::kRelu ? 0.0f : -std::numeric_limits<float>::infinity());
    Place place(plan, begin);
    for (int64_t tile = 0; tile < tiles; tile++, sums += kSumRow, place.Next(plan)) {
      const int64_t row = 2 * place.row, column = 2 * place.column;
      float* to = out + (place.image * plan.out[0] + row) * rowFloats + column * plan.outC + first;
      const bool below = row + 1 < plan.out[0], right = column + 1 < plan.out[1];
      for (int64_t c = 0; c < columns; c += kLanes) {
        const int part = static_cast<int>(HWY_MIN(kLanes, columns - c));
        V t[2][4];
        NABLA_GEMM_UNROLL
        for (int j = 0; j < 4; j++) {
          const float* m = sums + j * kPanel + c;
          const V m1 = hn::LoadU(d, m + 4 * kPanel), m2 = hn::LoadU(d, m + 8 * kPanel);
          t[0][j] = hn::Add(hn::LoadU(d, m), hn::Add(m1, m2));
          t[1][j] = hn::Sub(hn::Sub(m1, m2), hn::LoadU(d, m + 12 * kPanel));
        }
        V addend = hn::Zero(d);
        if (bias != nullptr) {
          addend = part == kLanes ? hn::LoadU(d, bias + first + c) : gemm::LoadPart(bias + first + c, part);
        }
        const auto store = [&](V v, float* at) HWY_ATTR {
          v = hn::Add(v, addend);
          v = hn::IfThenElse(hn::Lt(v, floor), floor, v);
          if (part == kLanes) {
            hn::StoreU(v, d, at);
          } else {
            gemm::StorePart(v, at, part);
          }
        };
        NABLA_GEMM_UNROLL
        for (int i = 0; i < 2; i++) {
          if (i == 1 && !below) break;
          store(hn::Add(t[i][0], hn::Add(t[i][1], t[i][2])), to + i * rowFloats + c);
          if (right) store(hn::Sub(hn::Sub(t[i][1], t[i][2]), t[i][3]), to + i * rowFloats + plan.outC + c);
        }
      }
      if (activation == Activation::kSigmoid || activation == Activation::kTanh) {
        for (int i = 0; i <= (below ? 1 : 0); i++) {
          gemm::ActivateBlock(to + i * rowFloats, plan.outC, right ? 2 : 1, columns, activation);
        }
      }
    }
  }

  // The numbers of a tile depend on nothing but the tile, so threads may share them in any way.
  void ComputeTiles(int64_t begin, int64_t end, int part) const {
    float* const points = buffers + part * plan.threadFloats();
    float* const sums = points + kWinogradPoints * plan.pointPitch();
    float* const zeros = sums + plan.sumFloats();
    std::memset(zeros, 0, static_cast<size_t>(plan.inC) * sizeof(float));
    const int64_t blocks = (end - begin + plan.blockTiles - 1) / plan.blockTiles;
    for (int64_t i = 0; i < blocks; i++) {
      const int64_t from = begin + (end - begin) * i / blocks, to = begin + (end - begin) * (i + 1) / blocks;
      TransformTiles<0, 4>(plan, input, from, to, zeros, points, plan.pointPitch());
      for (int64_t panel = 0; panel < panels(); panel++) {
        const int64_t columns = HWY_MIN(kPanel, plan.outC - panel * kPanel);
        Multiply(points, to - from, panel, static_cast<int>((columns + kLanes - 1) / kLanes), sums);
        Finish(sums, from, to - from, panel);
      }
    }
  }

  void Run(ThreadPool& pool) const {
    const int64_t packWork = 64 * kWinogradPack * kPanel;
    ParallelFor(pool, panels() * packsOfPanel(), GrainOf(packWork),
                [this](int64_t begin, int64_t end, int part) {
                  for (int64_t unit = begin; unit < end; unit++)
                    PrepareFilter(unit, buffers + part * plan.threadFloats());
                });
    const int64_t tileWork = kWinogradPoints * (plan.inC + 16) * panels() * kPanel;
    ParallelFor(pool, plan.batch * plan.imageTiles(), GrainOf(tileWork),
                [this](int64_t begin, int64_t end, int part) { ComputeTiles(begin, end, part); });
  }
};

inline void RunWinograd(const Call& call, const Winograd& plan, const float* bias, Activation activation) {
  float* scratch = reinterpret_cast<float*>(call.scratch);
  const WinogradWork work{plan,
                          call.operand(1).as<float>(),
                          call.operand(2).as<float>(),
                          call.operand(0).as<float>(),
                          bias,
                          activation,
                          scratch,
                          scratch + plan.filterFloats()};
  work.Run(call.pool);
}

}  // namespace conv
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
