// Rows of images for one instruction set: padded copies, and finished tiles of a convolution.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_CONV_ROWS_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_CONV_ROWS_H_
#undef NABLA_CPU_KERNELS_CONV_ROWS_H_
#else
#define NABLA_CPU_KERNELS_CONV_ROWS_H_
#endif

#include <cstring>

#include "cpu/kernels/conv-plan.h"
#include "cpu/kernels/gemm-pack.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {

using nabla::conv::Span;

// Multiply-adds that are worth a thread of their own.
constexpr int64_t kThreadWork = 1'000'000;

inline int64_t GrainOf(int64_t workEach) { return HWY_MAX(int64_t{1}, kThreadWork / HWY_MAX(int64_t{1}, workEach)); }

// Copies `width` pixels of each row, from column `column` on, which may lie outside the row: there are zeros.
HWY_NOINLINE inline void CopyRows(const float* rows, int64_t count, int64_t rowPixels, int64_t channels, int64_t column,
                                  int64_t width, float* to) {
  const int64_t before = HWY_MIN(width, HWY_MAX(int64_t{0}, -column));
  const int64_t begin = HWY_MAX(int64_t{0}, column);
  const int64_t inside = HWY_MAX(int64_t{0}, HWY_MIN(column + width, rowPixels) - begin);
  const int64_t after = width - before - inside;
  const auto bytes = [channels](int64_t pixels) { return static_cast<size_t>(pixels * channels) * sizeof(float); };
  for (int64_t i = 0; i < count; i++) {
    std::memset(to, 0, bytes(before));
    if (inside > 0) std::memcpy(to + before * channels, rows + begin * channels, bytes(inside));
    std::memset(to + (before + inside) * channels, 0, bytes(after));
    rows += rowPixels * channels;
    to += width * channels;
  }
}

// Runs a stepped tile of `rows` x `columns` whose operands are set, and stores it at tile.out with its bias and relu.
HWY_INLINE void RunStepped(gemm::Tile& tile, int rows, int columns) {
  using namespace gemm;
  const int vectors = (columns + kLanes - 1) / kLanes;
  const int rest = columns - (vectors - 1) * kLanes;
  tile.last = kMasked ? rest : kLanes;
  tile.alpha = 1;
  tile.raw = !kMasked && rest != kLanes;
  const TileFn run = FindTile<true>(rows, vectors);
  if (!tile.raw) {
    run(tile);
    return;
  }
  HWY_ALIGN float bare[kTileRows * kPanel];
  const Finish finish{tile.out, tile.outRow, tile.bias, tile.alpha, tile.add, tile.relu};
  tile.out = bare;
  tile.outRow = kPanel;
  run(tile);
  FinishStraight(bare, rows, columns, finish);
  tile.out = finish.out;
  tile.outRow = finish.outRow;
}

}  // namespace conv
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
