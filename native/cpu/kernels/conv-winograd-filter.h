// The gradient of a 3x3 filter by Winograd's minimal filtering for one instruction set: the derivative of
// what conv-winograd.h computes, so that transformed tiles of the input and of the output's gradient are
// multiplied and summed, and only the sums transformed back.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_CONV_WINOGRAD_FILTER_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_CONV_WINOGRAD_FILTER_H_
#undef NABLA_CPU_KERNELS_CONV_WINOGRAD_FILTER_H_
#else
#define NABLA_CPU_KERNELS_CONV_WINOGRAD_FILTER_H_
#endif

#include "cpu/kernels/conv-winograd-tile.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {

using nabla::conv::WinogradFilter;

// Row kRow of the points of A dy A^T, with the sign of points 3 turned, for the tiles [begin, end) and the
// `columns` channels from `first` on: rows of kPanel numbers.
template <int kRow>
HWY_NOINLINE void TransformGradients(const WinogradFilter& plan, const float* dy, int64_t begin, int64_t end,
                                     int64_t first, int64_t columns, float* HWY_RESTRICT to) {
  const D d;
  const int64_t rowFloats = plan.out[1] * plan.outC, channels = plan.outC, pitch = plan.panelPitch();
  // Rows 0, 0 + 1, 0 - 1, 1, and then columns likewise.
  const auto combine = [](V upper, V lower) HWY_ATTR {
    return kRow == 0 ? upper : kRow == 1 ? hn::Add(upper, lower) : kRow == 2 ? hn::Sub(upper, lower) : lower;
  };
  const auto store = [=](V left, V right, float* point) HWY_ATTR {
    hn::StoreU(left, d, point);
    hn::StoreU(hn::Add(left, right), d, point + pitch);
    hn::StoreU(hn::Sub(left, right), d, point + 2 * pitch);
    hn::StoreU(right, d, point + 3 * pitch);
  };
  Place place(plan, begin);
  for (int64_t tile = begin; tile < end; tile++, to += kPanel, place.Next(plan)) {
    const int64_t row = 2 * place.row, column = 2 * place.column;
    const bool below = row + 1 < plan.out[0], right = column + 1 < plan.out[1];
    const float* from = dy + (place.image * plan.out[0] + row) * rowFloats + column * channels + first;
    int64_t c = 0;
    if (below && right) {
      for (; c + kLanes <= columns; c += kLanes) {
        const float* at = from + c;
        store(combine(hn::LoadU(d, at), hn::LoadU(d, at + rowFloats)),
              combine(hn::LoadU(d, at + channels), hn::LoadU(d, at + rowFloats + channels)), to + c);
      }
    }
    for (; c < columns; c += kLanes) {
      const int part = static_cast<int>(HWY_MIN(kLanes, columns - c));
      const auto load = [=](bool inside, const float* at) HWY_ATTR {
        if (!inside) return hn::Zero(d);
        return part == kLanes ? hn::LoadU(d, at) : gemm::LoadPart(at, part);
      };
      const float* at = from + c;
      store(combine(load(true, at), load(below, at + rowFloats)),
            combine(load(right, at + channels), load(below && right, at + rowFloats + channels)), to + c);
    }
  }
}

// What transforms a row of points.
struct RowFns {
  decltype(&TransformTiles<0, 1>) tiles;
  decltype(&TransformGradients<0>) gradients;
};
constexpr RowFns kRowFns[] = {{&TransformTiles<0, 1>, &TransformGradients<0>},
                              {&TransformTiles<1, 2>, &TransformGradients<1>},
                              {&TransformTiles<2, 3>, &TransformGradients<2>},
                              {&TransformTiles<3, 4>, &TransformGradients<3>}};

// A plan with its operands and its buffers in scratch.
struct WinogradFilterWork {
  WinogradFilter plan;
  const float* input;
  const float* dy;
  float* out;
  float* sums;  // row of points after row, panel after panel, point after point: inC x kPanel
  float* buffers;

  int64_t panels() const { return (plan.outC + kPanel - 1) / kPanel; }
  int64_t columnsOf(int64_t panel) const { return HWY_MIN(kPanel, plan.outC - panel * kPanel); }
  float* SumsOf(int64_t row, int64_t panel) const {
    return sums + (row * panels() + panel) * 4 * plan.inC * kPanel;
  }

  // Units are panels, counted through the rows of points. Each is summed by one thread, over blocks that do
  // not depend on the threads.
  void ComputeUnits(int64_t begin, int64_t end, int part) const {
    float* const points = buffers + part * plan.threadFloats();
    float* const gradients = points + 4 * plan.pointPitch();
    float* const zeros = gradients + 4 * plan.panelPitch();
    std::memset(zeros, 0, static_cast<size_t>(plan.inC) * sizeof(float));
    // One at least, so that no tiles give zeros.
    const int64_t tiles = plan.allTiles();
    const int64_t blocks = HWY_MAX(int64_t{1}, (tiles + plan.blockTiles - 1) / plan.blockTiles);
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t from = tiles * block / blocks, to = tiles * (block + 1) / blocks;
      for (int64_t unit = begin; unit < end; unit++) {
        const int64_t panel = unit % panels();
        const RowFns& transform = kRowFns[unit / panels()];
        if (unit == begin || panel == 0) {
          transform.tiles(plan, input, from, to, zeros, points, plan.pointPitch());
        }
        transform.gradients(plan, dy, from, to, panel * kPanel, columnsOf(panel), gradients);
        Multiply(points, gradients, to - from, block > 0, panel, SumsOf(unit / panels(), panel));
      }
    }
  }

  // Adds a block's products, or begins with them.
  void Multiply(const float* points, const float* gradients, int64_t tiles, bool add, int64_t panel,
                float* to) const {
    const int vectors = static_cast<int>((columnsOf(panel) + kLanes - 1) / kLanes);
    const int64_t cuts = (plan.inC + gemm::kTileRows - 1) / gemm::kTileRows;
    gemm::Tile tile{};
    tile.depth = tiles;
    tile.aRow = 1;
    tile.aDepth = plan.rowPitch();
    tile.bDepth = kPanel;
    tile.outRow = kPanel;
    tile.alpha = 1;
    tile.add = add;
    tile.raw = !add;
    tile.last = kLanes;
    for (int64_t p = 0; p < 4; p++) {
      tile.b = gradients + p * plan.panelPitch();
      for (int64_t i = 0; i < cuts; i++) {
        const int64_t row = plan.inC * i / cuts;
        tile.a = points + p * plan.pointPitch() + row;
        tile.out = to + (p * plan.inC + row) * kPanel;
        gemm::FindTile(static_cast<int>(plan.inC * (i + 1) / cuts - row), vectors)(tile);
      }
    }
  }

  // G^T s G of row `unit` of the filter, the input's channel.
  void Finish(int64_t channel) const {
    const D d;
    const V half = hn::Set(d, 0.5f);
    const int64_t tap = plan.inC * plan.outC;
    for (int64_t panel = 0; panel < panels(); panel++) {
      for (int64_t c = 0; c < columnsOf(panel); c += kLanes) {
        const int part = static_cast<int>(HWY_MIN(kLanes, columnsOf(panel) - c));
        V t[4][3];
        NABLA_GEMM_UNROLL
        for (int i = 0; i < 4; i++) {
          const float* s = SumsOf(i, panel) + channel * kPanel + c;
          const int64_t pitch = plan.inC * kPanel;
          const V s1 = hn::LoadU(d, s + pitch), s2 = hn::LoadU(d, s + 2 * pitch);
          t[i][0] = hn::MulAdd(half, hn::Add(s1, s2), hn::LoadU(d, s));
          t[i][1] = hn::Mul(half, hn::Sub(s1, s2));
          t[i][2] = hn::MulSub(half, hn::Add(s1, s2), hn::LoadU(d, s + 3 * pitch));
        }
        float* to = out + channel * plan.outC + panel * kPanel + c;
        NABLA_GEMM_UNROLL
        for (int j = 0; j < 3; j++) {
          const V both = hn::Add(t[1][j], t[2][j]);
          const V taps[3] = {hn::MulAdd(half, both, t[0][j]), hn::Mul(half, hn::Sub(t[1][j], t[2][j])),
                             hn::MulSub(half, both, t[3][j])};
          NABLA_GEMM_UNROLL
          for (int i = 0; i < 3; i++) {
            float* at = to + (3 * i + j) * tap;
            if (part == kLanes) {
              hn::StoreU(taps[i], d, at);
            } else {
              gemm::StorePart(taps[i], at, part);
            }
          }
        }
      }
    }
  }

  void Run(ThreadPool& pool) const {
    const int64_t unitWork = 4 * plan.allTiles() * (plan.inC + 16) * kPanel;
    ParallelFor(pool, 4 * panels(), GrainOf(unitWork),
                [this](int64_t begin, int64_t end, int part) { ComputeUnits(begin, end, part); });
    ParallelFor(pool, plan.inC, GrainOf(64 * panels() * kPanel), [this](int64_t begin, int64_t end, int) {
      for (int64_t channel = begin; channel < end; channel++) Finish(channel);
    });
  }
};

inline void RunWinogradFilter(const Call& call, const WinogradFilter& plan) {
  float* scratch = reinterpret_cast<float*>(call.scratch);
  const WinogradFilterWork work{
      plan,    call.operand(1).as<float>(),  call.operand(2).as<float>(), call.operand(0).as<float>(),
      scratch, scratch + plan.filterFloats()};
  work.Run(call.pool);
}

}  // namespace conv
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
