// What attention and its gradient share for one instruction set: products of small blocks on the GEMM's
// tiles, cut along the causal diagonal, and masks.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_ATTENTION_TILE_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_ATTENTION_TILE_H_
#undef NABLA_CPU_KERNELS_ATTENTION_TILE_H_
#else
#define NABLA_CPU_KERNELS_ATTENTION_TILE_H_
#endif

#include <limits>

#include "cpu/kernels/attention-plan.h"
#include "cpu/kernels/gemm-pack.h"
#include "cpu/kernels/lanes-inl.h"
#include "cpu/kernels/micro-math.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

using gemm::kLanes;
using gemm::kPanel;
using nabla::attention::kBlock;
using nabla::attention::Padded;

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Multiply-adds that take about 30 us: less is not worth another thread.
constexpr int64_t kThreadWork = HWY_TARGET == HWY_AVX3 ? 1'500'000 : 400'000;

// Which part of a product the causal diagonal leaves out. Row r of a block of scores has its last key at r +
// diagonal.
enum class Cut {
  kNone,
  kColumns,     // the product's rows are queries, its columns keys: nothing beyond the diagonal is needed
  kDepthEnd,    // rows are queries, the depth is keys: nothing beyond the diagonal counts
  kDepthBegin,  // rows are keys, the depth is queries: nothing before the diagonal counts
};

// out[rows, columns] = alpha * a b, or += it. Whole vectors are written: rows of `out` are padded.
struct Product {
  int64_t rows, columns, depth;
  const float* a;  // element (i, p) is a[i * aRow + p * aDepth]
  int64_t aRow, aDepth;
  const float* b;  // row p of panel j begins at b[j * bPanel + p * bDepth], readable in whole vectors
  int64_t bDepth, bPanel;
  float* out;
  int64_t outRow;
  float alpha;
  bool add;
};

HWY_INLINE int64_t Within(int64_t x, int64_t limit) { return HWY_MAX(int64_t{0}, HWY_MIN(x, limit)); }

HWY_NOINLINE void Multiply(const Product& product, Cut cut, int64_t diagonal) {
  const int64_t tiles = (product.rows + gemm::kTileRows - 1) / gemm::kTileRows;
  for (int64_t t = 0; t < tiles; t++) {
    const int64_t begin = product.rows * t / tiles, end = product.rows * (t + 1) / tiles;
    int64_t columns = product.columns, from = 0, to = product.depth;
    if (cut == Cut::kColumns) columns = Within(diagonal + end, columns);
    if (cut == Cut::kDepthEnd) to = Within(diagonal + end, to);
    if (cut == Cut::kDepthBegin) from = Within(begin - diagonal, to);
    gemm::Tile tile{};
    tile.depth = to - from;
    tile.a = product.a + begin * product.aRow + from * product.aDepth;
    tile.aRow = product.aRow;
    tile.aDepth = product.aDepth;
    tile.bDepth = product.bDepth;
    tile.outRow = product.outRow;
    tile.alpha = product.alpha;
    tile.add = product.add;
    tile.last = kLanes;
    for (int64_t column = 0; column < columns; column += kPanel) {
      tile.b = product.b + column / kPanel * product.bPanel + from * product.bDepth;
      tile.out = product.out + begin * product.outRow + column;
      gemm::FindTile(static_cast<int>(end - begin), columns - column > kLanes ? 2 : 1)(tile);
    }
  }
}

// Rows of numbers that may be read in whole vectors: where they lie, or a copy padded with zeros.
struct Rows {
  const float* data;
  int64_t stride;
};

HWY_INLINE Rows WholeVectors(const float* from, int64_t stride, int64_t rows, int64_t columns, float* copy) {
  if (columns % kLanes == 0) return {from, stride};
  const int64_t width = Padded(columns);
  for (int64_t i = 0; i < rows; i++) {
    float* to = copy + i * width;
    for (int64_t j = 0; j < columns; j++) to[j] = from[i * stride + j];
    for (int64_t j = columns; j < width; j++) to[j] = 0;
  }
  return {copy, width};
}

// Rows as the columns of a product, panel after panel of `depth` x kPanel.
HWY_INLINE void TurnRows(const float* from, int64_t stride, int64_t rows, int64_t depth, float* to) {
  for (int64_t row = 0; row < rows; row += kPanel) {
    const int count = static_cast<int>(HWY_MIN(rows - row, kPanel));
    gemm::PackTurned(from + row * stride, stride, count, depth, to + row * depth, kPanel);
  }
}

// Applies the mask to the first `count` scores of a row and puts -infinity into the rest of their last
// vector.
HWY_INLINE void MaskRow(float* scores, int64_t count, const Operand& mask, int64_t at) {
  const TagF d;
  if (mask.present && mask.dtype == DType::kFloat32) {
    const float* addend = mask.as<float>() + at;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, scores + i), hn::LoadU(d, addend + i)), d, scores + i);
    }
    for (; i < count; i++) scores[i] += addend[i];
  } else if (mask.present) {
    const uint8_t* kept = mask.as<uint8_t>() + at;
    for (int64_t i = 0; i < count; i++) scores[i] = kept[i] != 0 ? scores[i] : kNothing;
  }
  const int64_t part = count % kLanes;
  if (part == 0) return;
  float* last = scores + count - part;
  hn::StoreU(hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(part)), hn::LoadU(d, last), Splat(kNothing)), d,
             last);
}

HWY_INLINE void ZeroFrom(float* row, int64_t from, int64_t to) {
  for (int64_t i = from; i < to; i += kLanes) hn::StoreU(hn::Zero(TagF()), TagF(), row + i);
}

HWY_INLINE int64_t WholeLanes(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

HWY_INLINE void CopyRow(const float* from, int64_t count, float* to) {
  const TagF d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(hn::LoadU(d, from + i), d, to + i);
  for (; i < count; i++) to[i] = from[i];
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
