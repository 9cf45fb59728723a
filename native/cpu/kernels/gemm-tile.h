// The matrix product's innermost part for one instruction set: a tile of the output held in registers, and
// how it is stored.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_GEMM_TILE_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_GEMM_TILE_H_
#undef NABLA_CPU_KERNELS_GEMM_TILE_H_
#else
#define NABLA_CPU_KERNELS_GEMM_TILE_H_
#endif

#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "program/program.h"

// Accumulators live in arrays, which stay in registers only if the loops over them are unrolled whole.
#if defined(__clang__)
#define NABLA_GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NABLA_GEMM_UNROLL _Pragma("GCC unroll 16")
#endif

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace gemm {

namespace hn = hwy::HWY_NAMESPACE;
using D = HWY_FULL(float);
using V = hn::Vec<D>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kPanelVectors = 2;
constexpr int kPanel = kPanelVectors * kLanes;  // columns of a packed panel of b

constexpr int kUnroll = 4;  // steps of depth

constexpr int kLineVectors = kLanes >= 16 ? 1 : 16 / kLanes;  // vectors a cache line

// Rows of a tile: as many as the registers hold with two vectors a row, two for b, and one or two for a.
// kMasked: loads and stores of part of a vector cost nothing extra and never touch what is masked out.
#if HWY_TARGET == HWY_AVX3
constexpr int kTileRows = 14;
constexpr bool kMasked = true;
#elif HWY_TARGET == HWY_NEON
constexpr int kTileRows = 12;
constexpr bool kMasked = false;
#elif HWY_TARGET == HWY_AVX2
constexpr int kTileRows = 6;
constexpr bool kMasked = false;
#else
constexpr int kTileRows = 4;
constexpr bool kMasked = false;
#endif

// One tile of `out`: alpha * a * b + (bias, or what `out` holds), then relu if asked for.
struct Tile {
  int64_t depth;
  const float* a;  // element (i, p) is a[i * aRow + p * aDepth]
  int64_t aRow;
  int64_t aDepth;
  const int64_t* aSteps;  // in place of aDepth where tiles are stepped: from element p to p + 1, for each p
  const float* b;         // row p begins at b[p * bDepth]
  int64_t bDepth;
  float* out;  // row i begins at out[i * outRow]
  int64_t outRow;
  const float* bias;  // null for none
  float alpha;
  bool add;  // to what `out` holds
  bool relu;
  bool raw;  // store the bare product: no alpha, no bias, no partial vector
  int last;  // columns of the last vector, 1 .. kLanes; below kLanes only where kMasked
};

// The greater of both, and NaN where x is. Of two numbers of which one is NaN x86 takes the second.
HWY_INLINE V AtLeast(V floor, V x) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Max(floor, x);
#else
  return hn::IfThenElse(hn::Lt(x, floor), floor, x);
#endif
}

HWY_INLINE V Relu(V x) { return AtLeast(hn::Zero(D()), x); }

// Lanes of a part vector: masked where that is free, else through a copy, since emulated masks touch the
// whole vector.
HWY_INLINE V LoadPart(const float* from, int count) {
  const D d;
  if constexpr (kMasked) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
  } else {
    HWY_ALIGN float lanes[kLanes] = {};
    for (int i = 0; i < count; i++) lanes[i] = from[i];
    return hn::Load(d, lanes);
  }
}

HWY_INLINE void StorePart(V v, float* to, int count) {
  const D d;
  if constexpr (kMasked) {
    hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, to);
  } else {
    HWY_ALIGN float lanes[kLanes];
    hn::Store(v, d, lanes);
    for (int i = 0; i < count; i++) to[i] = lanes[i];
  }
}

// sum += the column of a at `a` times the row of b at `b`. Three rows of a share one pointer (x86 addresses
// base, base + s and base + 2s), so that 14 rows need five registers.
template <int kRows, int kVectors>
HWY_INLINE void MulAddRank1(V (&sum)[kRows][kVectors], const float* const (&a)[(kRows + 2) / 3], int64_t aRow,
                            int64_t aOffset, const V (&row)[kVectors]) {
  NABLA_GEMM_UNROLL
  for (int i = 0; i < kRows; i++) {
    const V value = hn::Set(D(), a[i / 3][(i % 3) * aRow + aOffset]);
    NABLA_GEMM_UNROLL
    for (int j = 0; j < kVectors; j++) sum[i][j] = hn::MulAdd(value, row[j], sum[i][j]);
  }
}

template <int kVectors>
HWY_INLINE void LoadRow(const float* b, V (&row)[kVectors]) {
  NABLA_GEMM_UNROLL
  for (int j = 0; j < kVectors; j++) row[j] = hn::LoadU(D(), b + j * kLanes);
}

// Every element is one chain of multiply-adds in the order of depth, whatever the tile's size, so that
// results do not depend on how the output is cut into tiles or shared among threads. kStepped: a is walked by
// a table, as a convolution walks its windows.
template <int kRows, int kVectors, bool kStepped>
HWY_NOINLINE void RunTile(const Tile& tile) {
  const D d;
  V sum[kRows][kVectors];
  NABLA_GEMM_UNROLL
  for (int i = 0; i < kRows; i++) {
    NABLA_GEMM_UNROLL
    for (int j = 0; j < kVectors; j++) sum[i][j] = hn::Zero(d);
  }
#if HWY_TARGET == HWY_AVX3
  const auto mask = hn::FirstN(d, static_cast<size_t>(tile.last));
#endif

  // The output's lines come from far away, and are not needed before the loop below has run.
  NABLA_GEMM_UNROLL
  for (int i = 0; i < kRows; i++) {
    NABLA_GEMM_UNROLL
    for (int j = 0; j < kVectors; j += kLineVectors)
      __builtin_prefetch(tile.out + i * tile.outRow + j * kLanes, 1);
  }

  constexpr int kGroups = (kRows + 2) / 3;
  const int64_t aRow = tile.aRow;
  const float* a[kGroups];
  NABLA_GEMM_UNROLL
  for (int g = 0; g < kGroups; g++) a[g] = tile.a + 3 * g * aRow;
  const float* HWY_RESTRICT b = tile.b;
  const int64_t bDepth = tile.bDepth;
  [[maybe_unused]] const int64_t* HWY_RESTRICT step = tile.aSteps;
  int64_t p = tile.depth;
  // The multiply-adds' ports are the limit, and additions to pointers take some of their slots. Where a lies
  // along the depth, several steps share them: the steps are constants in the addresses. WebAssembly, which
  // computes its addresses apart, loses by it.
  if constexpr (!kStepped && kVectors == kPanelVectors && !HWY_ARCH_WASM) {
    if (tile.aDepth == 1 && tile.last == kLanes) {
      for (; p >= kUnroll; p -= kUnroll) {
        NABLA_GEMM_UNROLL
        for (int q = 0; q < kUnroll; q++) {
          V row[kVectors];
          LoadRow(b + q * bDepth, row);
          MulAddRank1(sum, a, aRow, q, row);
        }
        NABLA_GEMM_UNROLL
        for (int g = 0; g < kGroups; g++) a[g] += kUnroll;
        b += kUnroll * bDepth;
      }
    } else if (aRow == 1 && tile.last == kLanes) {
      const float* HWY_RESTRICT column = tile.a;
      for (; p > 0; p--) {
        V row[kVectors];
        LoadRow(b, row);
        NABLA_GEMM_UNROLL
        for (int i = 0; i < kRows; i++) {
          const V value = hn::Set(d, column[i]);
          NABLA_GEMM_UNROLL
          for (int j = 0; j < kVectors; j++) sum[i][j] = hn::MulAdd(value, row[j], sum[i][j]);
        }
        column += tile.aDepth;
        b += bDepth;
      }
    }
  }
  for (; p > 0; p--) {
    V row[kVectors];
    NABLA_GEMM_UNROLL
    for (int j = 0; j < kVectors; j++) {
#if HWY_TARGET == HWY_AVX3
      row[j] = j + 1 == kVectors ? hn::MaskedLoad(mask, d, b + j * kLanes) : hn::LoadU(d, b + j * kLanes);
#else
      row[j] = hn::LoadU(d, b + j * kLanes);
#endif
    }
    MulAddRank1(sum, a, aRow, 0, row);
    const int64_t aDepth = kStepped ? *step : tile.aDepth;
    if constexpr (kStepped) step++;
    NABLA_GEMM_UNROLL
    for (int g = 0; g < kGroups; g++) a[g] += aDepth;
    b += bDepth;
  }

  if (tile.raw) {
    NABLA_GEMM_UNROLL
    for (int i = 0; i < kRows; i++) {
      NABLA_GEMM_UNROLL
      for (int j = 0; j < kVectors; j++) hn::StoreU(sum[i][j], d, tile.out + i * tile.outRow + j * kLanes);
    }
    return;
  }
  const V alpha = hn::Set(d, tile.alpha);
  // Numbers below `floor` become it: relu, or nothing; NaN is below nothing.
  const V floor = hn::Set(d, tile.relu ? 0.0f : -std::numeric_limits<float>::infinity());
  NABLA_GEMM_UNROLL
  for (int j = 0; j < kVectors; j++) {
    const bool part = kMasked && j + 1 == kVectors;
    V bias = hn::Zero(d);
    if (tile.bias != nullptr) {
      bias = part ? LoadPart(tile.bias + j * kLanes, tile.last) : hn::LoadU(d, tile.bias + j * kLanes);
    }
    NABLA_GEMM_UNROLL
    for (int i = 0; i < kRows; i++) {
      float* to = tile.out + i * tile.outRow + j * kLanes;
      V addend = bias;
      if (tile.add) addend = part ? LoadPart(to, tile.last) : hn::LoadU(d, to);
      V v = hn::MulAdd(sum[i][j], alpha, addend);
      v = AtLeast(floor, v);
      if (part) {
        StorePart(v, to, tile.last);
      } else {
        hn::StoreU(v, d, to);
      }
    }
  }
}

using TileFn = void (*)(const Tile&);

// Few rows take more vectors a row instead, so that enough multiply-adds are under way to hide their latency.
constexpr int WidestTile(int rows) {
  constexpr int registers = kTileRows > 6 ? 32 : 16;
  if (rows * 8 + 8 + (rows > 1) <= registers) return 8;
  return rows * 4 + 4 + (rows > 1) <= registers ? 4 : kPanelVectors;
}

template <int kRows, bool kStepped>
HWY_INLINE TileFn TileOfRows(int vectors) {
  if constexpr (WidestTile(kRows) >= 8) {
    if (vectors == 8) return &RunTile<kRows, 8, kStepped>;
  }
  if constexpr (WidestTile(kRows) >= 4) {
    if (vectors == 4) return &RunTile<kRows, 4, kStepped>;
  }
  return vectors == 2 ? &RunTile<kRows, 2, kStepped> : &RunTile<kRows, 1, kStepped>;
}

// The function for a tile of so many rows (1 .. kTileRows) and vectors (1, 2, 4, 8; at most
// WidestTile(rows)).
template <bool kStepped = false>
HWY_INLINE TileFn FindTile(int rows, int vectors) {
  switch (rows) {
    case 1:
      return TileOfRows<1, kStepped>(vectors);
    case 2:
      return TileOfRows<2, kStepped>(vectors);
    case 3:
      return TileOfRows<3, kStepped>(vectors);
    case 4:
      return TileOfRows<4, kStepped>(vectors);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
    case 5:
      return TileOfRows<5, kStepped>(vectors);
    case 6:
      return TileOfRows<6, kStepped>(vectors);
#endif
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
    case 7:
      return TileOfRows<7, kStepped>(vectors);
    case 8:
      return TileOfRows<8, kStepped>(vectors);
    case 9:
      return TileOfRows<9, kStepped>(vectors);
    case 10:
      return TileOfRows<10, kStepped>(vectors);
    case 11:
      return TileOfRows<11, kStepped>(vectors);
    case 12:
      return TileOfRows<12, kStepped>(vectors);
#endif
#if HWY_TARGET == HWY_AVX3
    case 13:
      return TileOfRows<13, kStepped>(vectors);
    case 14:
      return TileOfRows<14, kStepped>(vectors);
#endif
    default:
      return nullptr;
  }
}

}  // namespace gemm
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
