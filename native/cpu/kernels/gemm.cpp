// The matrix product: packed and register-tiled in the manner of BLIS (Van Zee and van de Geijn, 2015), with
// the small and skinny shapes of training computed straight from where the operands lie.
#include "cpu/targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/gemm.cpp"
#include "hwy/foreach_target.h"
// Highway's order: foreach_target.h first.
#include "cpu/kernel.h"
#include "cpu/kernels/gemm-pack.h"
#include "cpu/kernels/gemm-plan.h"
#include "cpu/kernels/gemm-tile.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace gemm {

using nabla::gemm::DepthBlocks;
using nabla::gemm::DepthOfBlock;
using nabla::gemm::kColumnBlock;
using nabla::gemm::kRowBlock;
using nabla::gemm::Problem;

// Multiply-adds that take about 30 us: less is not worth another thread.
#if HWY_TARGET == HWY_AVX3
constexpr int64_t kThreadWork = 2'000'000;
#elif HWY_TARGET == HWY_AVX2
constexpr int64_t kThreadWork = 1'200'000;
#elif HWY_TARGET == HWY_SCALAR
constexpr int64_t kThreadWork = 100'000;
#else
constexpr int64_t kThreadWork = 400'000;
#endif

// Operands of so many numbers are not worth packing: they stay in the second cache, where the tiles read them
// as they lie.
constexpr int64_t kUnpacked = 110'000;

// A rectangle of a problem's output, [row0, row1) x [column0, column1).
struct Range {
  int64_t row0, row1, column0, column1;
};

// One block of depth of one rectangle, once its operands are where the tiles read them.
struct Block {
  const Problem* problem;
  Range range;
  int64_t depth;
  bool first, last;  // of the blocks of depth
  const float* a;    // packed: tile after tile; else element (row0, first p)
  bool aPacked;
  const float* b;  // packed: panel after panel; else element (first p, column0)
  bool bPacked;
  const float*
      bTail;   // the last panel, packed, where it is part of a vector and loads are not masked; else null
  int tiles;   // the rows are cut into so many tiles of nearly equal height
  int widest;  // vectors of the widest tile
};

// Computes one tile of `vectors` vectors, of which the last `columns` columns count.
HWY_INLINE void ComputeTile(const Block& block, int64_t row, int rows, int64_t column, int columns) {
  const Problem& problem = *block.problem;
  const bool packedPanel =
      block.bPacked || (block.bTail != nullptr && column + columns == block.range.column1);
  const int vectors = (columns + kLanes - 1) / kLanes;
  Tile tile;
  tile.depth = block.depth;
  const int64_t localRow = row - block.range.row0, localColumn = column - block.range.column0;
  if (block.aPacked) {
    tile.a = block.a + localRow * block.depth;
    tile.aRow = 1;
    tile.aDepth = rows;
  } else {
    tile.a = block.a + localRow * problem.aRow;
    tile.aRow = problem.aRow;
    tile.aDepth = problem.aDepth;
  }
  if (block.bPacked) {
    tile.b = block.b + localColumn * block.depth;
    tile.bDepth = kPanel;
  } else if (packedPanel) {
    tile.b = block.bTail;
    tile.bDepth = kPanel;
  } else {
    tile.b = block.b + localColumn;
    tile.bDepth = problem.bRow;
  }
  const int rest = columns - (vectors - 1) * kLanes;
  const bool whole = rest == kLanes || kMasked;
  tile.last = kMasked ? rest : kLanes;
  tile.alpha = problem.alpha;
  tile.add = problem.accumulate || !block.first;
  tile.relu = block.last && problem.activation == Activation::kRelu;
  float* out = problem.outTurned ? problem.out + column * problem.outRow + row
                                 : problem.out + row * problem.outRow + column;
  const bool biased = block.first && problem.bias != nullptr;
  const float* bias = biased ? problem.bias + (problem.outTurned ? row : column) : nullptr;
  tile.raw = problem.outTurned || !whole;
  tile.bias = tile.raw ? nullptr : bias;
  const TileFn run = FindTile(rows, vectors);
  if (!tile.raw) {
    tile.out = out;
    tile.outRow = problem.outRow;
    run(tile);
  } else {
    HWY_ALIGN float bare[kTileRows * kPanel];
    tile.out = bare;
    tile.outRow = kPanel;
    run(tile);
    const Finish finish{out, problem.outRow, bias, tile.alpha, tile.add, tile.relu};
    if (problem.outTurned) {
      FinishTurned(bare, rows, columns, finish);
    } else {
      FinishStraight(bare, rows, columns, finish);
    }
  }
  if (block.last && (problem.activation == Activation::kSigmoid || problem.activation == Activation::kTanh)) {
    ActivateBlock(out, problem.outRow, problem.outTurned ? columns : rows, problem.outTurned ? rows : columns,
                  problem.activation);
  }
}

HWY_INLINE int64_t TileBegin(const Range& range, int tiles, int tile) {
  return range.row0 + (range.row1 - range.row0) * tile / tiles;
}

// Columns of the tile that begins at `column`: whole vectors, as many as a tile may have, or the last few
// columns.
HWY_INLINE int ColumnsAt(const Block& block, int64_t column) {
  const int64_t left = block.range.column1 - column;
  if (block.bTail != nullptr && left <= kPanel) return static_cast<int>(left);
  int vectors = block.widest;
  while (vectors > kPanelVectors && left < vectors * kLanes) vectors /= 2;
  return static_cast<int>(HWY_MIN(left, vectors * kLanes));
}

HWY_NOINLINE void ComputeBlock(const Block& block) {
  const Range& range = block.range;
  const int64_t columns = range.column1 - range.column0;
  // The smaller working set goes inside: all of b below half the first cache's size, or else the tiles of a.
  if (block.depth * columns <= 8192) {
    for (int t = 0; t < block.tiles; t++) {
      const int64_t row = TileBegin(range, block.tiles, t);
      const int rows = static_cast<int>(TileBegin(range, block.tiles, t + 1) - row);
      for (int64_t column = range.column0; column < range.column1;) {
        const int count = ColumnsAt(block, column);
        ComputeTile(block, row, rows, column, count);
        column += count;
      }
    }
  } else {
    for (int64_t column = range.column0; column < range.column1;) {
      const int count = ColumnsAt(block, column);
      for (int t = 0; t < block.tiles; t++) {
        const int64_t row = TileBegin(range, block.tiles, t);
        ComputeTile(block, row, static_cast<int>(TileBegin(range, block.tiles, t + 1) - row), column, count);
      }
      column += count;
    }
  }
}

// Packs the columns of `range` from `from` on and the depth [p0, p0 + depth), panel after panel.
HWY_NOINLINE void PackColumns(const Problem& problem, const Range& range, int64_t from, int64_t p0,
                              int64_t depth, float* to) {
  // Rows are read some at a time over all panels, since memory is fastest in long runs; turned, a panel's
  // rows are long runs.
  const int64_t step = problem.bTurned ? depth : 16;
  for (int64_t p = 0; p < depth; p += step) {
    const int64_t some = HWY_MIN(step, depth - p);
    for (int64_t column = from; column < range.column1; column += kPanel) {
      const int count = static_cast<int>(HWY_MIN(range.column1 - column, kPanel));
      float* panel = to + (column - from) * depth + p * kPanel;
      if (problem.bTurned) {
        PackTurned(problem.b + column * problem.bRow + p0, problem.bRow, count, depth, panel, kPanel);
      } else {
        PackStraight(problem.b + (p0 + p) * problem.bRow + column, problem.bRow, count, some, panel, kPanel);
      }
    }
  }
}

HWY_NOINLINE void PackRows(const Problem& problem, const Range& range, int tiles, int64_t p0, int64_t depth,
                           float* to) {
  for (int t = 0; t < tiles; t++) {
    const int64_t row = TileBegin(range, tiles, t);
    const int rows = static_cast<int>(TileBegin(range, tiles, t + 1) - row);
    const float* from = problem.a + row * problem.aRow + p0 * problem.aDepth;
    if (problem.aDepth == 1) {
      PackTurned(from, problem.aRow, rows, depth, to, rows);
    } else {
      PackStraight(from, problem.aDepth, rows, depth, to, rows);
    }
    to += rows * depth;
  }
}

// Computes a rectangle of the output on one thread. Packing pays where what is packed is read often enough.
HWY_NOINLINE void ComputeRange(const Problem& problem, const Range& range, float* rowBuffer,
                               float* columnBuffer) {
  const int64_t rows = range.row1 - range.row0, columns = range.column1 - range.column0;
  const bool packB = problem.bTurned || (rows >= 96 && columns * problem.depth > kUnpacked);
  const bool packA = columns >= 256 && (rows * problem.depth > kUnpacked || problem.aRow % 1024 == 0);
  const int64_t depthOfBlock = DepthOfBlock(problem.depth);
  int64_t p = 0;
  do {
    Block block{};
    block.problem = &problem;
    block.depth = HWY_MIN(depthOfBlock, problem.depth - p);
    block.first = p == 0;
    block.last = p + block.depth >= problem.depth;
    block.aPacked = packA;
    block.bPacked = packB;
    for (int64_t column = range.column0; column < range.column1; column += kColumnBlock) {
      block.range.column0 = column;
      block.range.column1 = HWY_MIN(column + kColumnBlock, range.column1);
      const int64_t part = (block.range.column1 - column) % kLanes;
      if (packB) {
        PackColumns(problem, block.range, column, p, block.depth, columnBuffer);
        block.b = columnBuffer;
      } else {
        block.b = problem.b + p * problem.bRow + column;
        if (part != 0 && !kMasked) {
          const int64_t tail = (block.range.column1 - column) % kPanel;
          PackColumns(problem, block.range, block.range.column1 - tail, p, block.depth, columnBuffer);
          block.bTail = columnBuffer;
        }
      }
      for (int64_t row = range.row0; row < range.row1; row += kRowBlock) {
        block.range.row0 = row;
        block.range.row1 = HWY_MIN(row + kRowBlock, range.row1);
        const int64_t height = block.range.row1 - row;
        block.tiles = static_cast<int>((height + kTileRows - 1) / kTileRows);
        const int tallest = static_cast<int>((height + block.tiles - 1) / block.tiles);
        block.widest = packB || problem.outTurned ? kPanelVectors : WidestTile(tallest);
        if (packA) {
          PackRows(problem, block.range, block.tiles, p, block.depth, rowBuffer);
          block.a = rowBuffer;
        } else {
          block.a = problem.a + row * problem.aRow + p * problem.aDepth;
        }
        ComputeBlock(block);
      }
    }
    p += block.depth;
  } while (p < problem.depth);
}

// All the matrices of an instruction, seen as units that threads share: rows, or panels of columns, of matrix
// after matrix.
struct Shared {
  Problem problem;
  int64_t strideA, strideB, strideOut;  // of the problem's a, b, out
  bool byRows;
  int64_t unitsEach;
  float* scratch;
  int64_t scratchEach, rowBuffer;

  void Compute(int64_t begin, int64_t end, int part) const {
    float* buffer = scratch + part * scratchEach;
    for (int64_t unit = begin; unit < end;) {
      const int64_t matrix = unit / unitsEach, from = unit % unitsEach;
      const int64_t to = HWY_MIN(unitsEach, from + end - unit);
      Problem one = problem;
      one.a += matrix * strideA;
      one.b += matrix * strideB;
      one.out += matrix * strideOut;
      const Range range = byRows ? Range{from, to, 0, one.columns}
                                 : Range{0, one.rows, from * kPanel, HWY_MIN(to * kPanel, one.columns)};
      ComputeRange(one, range, buffer, buffer + rowBuffer);
      unit += to - from;
    }
  }
};

// Every block of depth makes an output of its own, `partials`, and the sums of these are the output. Threads
// then read rows of b, which are weights that they also update by rows: each keeps its own in its cache.
void ComputeByDepth(const Problem& problem, ThreadPool& pool, float* scratch, int64_t scratchEach,
                    int64_t rowBuffer, float* partials) {
  const int64_t size = problem.rows * problem.columns;
  const int64_t blocks = DepthBlocks(problem.depth), each = DepthOfBlock(problem.depth);
  ParallelFor(pool, blocks, 1, [&](int64_t begin, int64_t end, int part) {
    float* const buffer = scratch + part * scratchEach;
    for (int64_t block = begin; block < end; block++) {
      Problem one = problem;
      one.depth = HWY_MIN(each, problem.depth - block * each);
      one.a += block * each * problem.aDepth;
      one.b += block * each * problem.bRow;
      one.out = partials + block * size;
      one.bias = block == 0 ? problem.bias : nullptr;
      one.activation = Activation::kNone;
      ComputeRange(one, {0, one.rows, 0, one.columns}, buffer, buffer + rowBuffer);
    }
  });
  const D d;
  const bool relu = problem.activation == Activation::kRelu;
  const auto sum = [&](int64_t i, int64_t count) {
    V v = LoadPart(partials + i, static_cast<int>(count));
    for (int64_t block = 1; block < blocks; block++) {
      v = hn::Add(v, LoadPart(partials + block * size + i, static_cast<int>(count)));
    }
    return relu ? Relu(v) : v;
  };
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) hn::StoreU(sum(i, kLanes), d, problem.out + i);
  if (i < size) StorePart(sum(i, size - i), problem.out + i, static_cast<int>(size - i));
  if (problem.activation == Activation::kSigmoid || problem.activation == Activation::kTanh) {
    ActivateBlock(problem.out, problem.columns, problem.rows, problem.columns, problem.activation);
  }
}

}  // namespace gemm

void RunGemm(const Call& call) {
  using nabla::gemm::ColumnBuffer;
  using nabla::gemm::DepthBlocks;
  using nabla::gemm::MakeProblem;
  using nabla::gemm::MayShareDepth;
  using nabla::gemm::RowBuffer;
  gemm::Shared shared{};
  shared.problem = MakeProblem(call);
  const nabla::gemm::Problem& problem = shared.problem;
  const int64_t batch = call.attr(0);
  if (batch == 0 || problem.rows == 0 || problem.columns == 0) return;
  const bool read = problem.depth > 0;
  shared.strideA = read ? call.attr(problem.outTurned ? 7 : 6) : 0;
  shared.strideB = read ? call.attr(problem.outTurned ? 6 : 7) : 0;
  shared.strideOut = call.attr(8);

  const int64_t panels = (problem.columns + gemm::kPanel - 1) / gemm::kPanel;
  shared.byRows = problem.rows >= panels * gemm::kTileRows;
  shared.unitsEach = shared.byRows ? problem.rows : panels;
  shared.scratch = reinterpret_cast<float*>(call.scratch);
  shared.rowBuffer = RowBuffer(problem.rows, problem.depth);
  shared.scratchEach = shared.rowBuffer + ColumnBuffer(problem.columns, problem.depth);

  // As many blocks as threads or more: fewer would leave threads idle.
  const int threads = call.pool.threads();
  const bool mayShareDepth =
      !problem.accumulate && MayShareDepth(batch, problem.rows, problem.columns, problem.depth,
                                           problem.bTurned || problem.outTurned, problem.alpha);
  if (mayShareDepth && threads > 1 && !shared.byRows && DepthBlocks(problem.depth) >= threads) {
    gemm::ComputeByDepth(problem, call.pool, shared.scratch, shared.scratchEach, shared.rowBuffer,
                         shared.scratch + threads * shared.scratchEach);
    return;
  }

  // A tile costs about as much as 16 steps of depth before and after its loop.
  const int64_t unitWork =
      (problem.depth + 16) * (shared.byRows ? problem.columns : problem.rows * gemm::kPanel);
  const int64_t grain = (gemm::kThreadWork + unitWork - 1) / unitWork;
  ParallelFor(call.pool, batch * shared.unitsEach, grain,
              [&shared](int64_t begin, int64_t end, int part) { shared.Compute(begin, end, part); });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchGemm(const Instruction& instruction, int threads) {
  const int64_t m = instruction.attr(1), n = instruction.attr(2), k = instruction.attr(3);
  const int64_t rows = std::max(m, n);  // a and b may swap their parts
  const bool sharesDepth =
      gemm::MayShareDepth(instruction.attr(0), m, n, k, instruction.attr(5) == 1, instruction.attrFloat(11));
  const int64_t partials = threads > 1 && sharesDepth ? gemm::DepthBlocks(k) * m * n : 0;
  return sizeof(float) * (static_cast<size_t>(threads) *
                              static_cast<size_t>(gemm::RowBuffer(rows, k) + gemm::ColumnBuffer(rows, k)) +
                          static_cast<size_t>(partials));
}

}  // namespace nabla
#endif  // HWY_ONCE
