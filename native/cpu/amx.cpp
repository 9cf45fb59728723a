// Matrix products of bfloat16 by tiles: both operands are packed into tiles of 16 rows of 64 bytes, with
// zeros at the edges, and 32 x 32 numbers of the output are summed in four tile registers.
#include "cpu/amx.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

// The compiler takes its own intrinsics' undefined operands for mistakes.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "cpu/bfloat16.h"

#define NABLA_TILES __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl")))

namespace nabla {
namespace {

constexpr int kRows = 16;   // of a tile
constexpr int kDepth = 32;  // numbers of a tile's row
constexpr int kWords = 16;  // pairs of numbers of a tile's row
constexpr int64_t kTileBytes = 1024;
constexpr int64_t kBlock = 2 * kRows;  // rows and columns of the output at a time
// Smaller products are done before the tiles are set up.
constexpr int64_t kLeastWork = int64_t{1} << 19;

bool Detect() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & kTile) == 0 || (edx & kBf16) == 0)
    return false;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return false;
  // Linux saves the tiles of those who ask first: ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA.
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

bool HasTiles() {
  static const bool has = Detect();
  return has;
}

struct Product {
  int64_t m, n, k;
  bool transA, transB;
  const Operand &out, &a, &b, &bias;
  float alpha;
  bool relu, accumulate;

  explicit Product(const Instruction& gemm)
      : m(gemm.attr(1)),
        n(gemm.attr(2)),
        k(gemm.attr(3)),
        transA(gemm.attr(4) == 1),
        transB(gemm.attr(5) == 1),
        out(gemm.operands[0]),
        a(gemm.operands[1]),
        b(gemm.operands[2]),
        bias(gemm.operands[3]),
        alpha(gemm.attrFloat(11)),
        relu(gemm.attr(9) == static_cast<int32_t>(Activation::kRelu)),
        accumulate(gemm.attr(10) == 1) {}

  int64_t depthTiles() const { return (k + kDepth - 1) / kDepth; }
  int64_t rowBlocks() const { return (m + kBlock - 1) / kBlock; }
  int64_t columnBlocks() const { return (n + kBlock - 1) / kBlock; }
  // Two tiles beside each other, all the way down.
  int64_t blockBytes() const { return 2 * depthTiles() * kTileBytes; }
};

// Up to 16 numbers of bfloat16 or float32 as bfloat16 in the low halves of 32-bit words; zeros after them.
NABLA_TILES inline __m512i LoadWords(const Operand& operand, int64_t at, int64_t count) {
  const __mmask16 mask = count >= 16 ? 0xffff : static_cast<__mmask16>((1u << (count < 0 ? 0 : count)) - 1);
  if (operand.dtype == DType::kBfloat16)
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, operand.as<uint16_t>() + at));
  const __m512i word = _mm512_maskz_loadu_epi32(mask, operand.as<int32_t>() + at);
  const __m512i even = _mm512_and_si512(_mm512_srli_epi32(word, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(word, _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff)));
  const __m512 value = _mm512_castsi512_ps(word);
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  const __m512i kept = _mm512_mask_or_epi32(rounded, nan, word, _mm512_set1_epi32(0x400000));
  return _mm512_srli_epi32(kept, 16);
}

// A tile whose words are pairs of numbers below each other: word (p, j) holds rows 2 p and 2 p + 1 of column
// j. The matrix has `rows` and `columns` left from its element `at` on, and rows of `stride`.
NABLA_TILES inline void PackPairs(const Operand& operand, int64_t at, int64_t stride, int64_t rows,
                                  int64_t columns, __m512i* words) {
  for (int64_t p = 0; p < kWords; p++) {
    __m512i low = _mm512_setzero_si512(), high = low;
    if (2 * p < rows) low = LoadWords(operand, at + 2 * p * stride, columns);
    if (2 * p + 1 < rows) high = LoadWords(operand, at + (2 * p + 1) * stride, columns);
    words[p] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
  }
}

// A tile whose rows are those of the matrix, 32 numbers each.
NABLA_TILES inline void PackRows(const Operand& operand, int64_t at, int64_t stride, int64_t rows,
                                 int64_t columns, __m512i* words) {
  for (int64_t i = 0; i < kRows; i++) {
    words[i] = _mm512_setzero_si512();
    if (i >= rows) continue;
    const __m256i front = _mm512_cvtepi32_epi16(LoadWords(operand, at + i * stride, columns));
    const __m256i back = columns > 16
                             ? _mm512_cvtepi32_epi16(LoadWords(operand, at + i * stride + 16, columns - 16))
                             : _mm256_setzero_si256();
    words[i] = _mm512_inserti64x4(_mm512_castsi256_si512(front), back, 1);
  }
}

// 16 x 16 words, rows and columns swapped.
NABLA_TILES inline void Turn(__m512i* w) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(w[i], w[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(w[i], w[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    w[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    w[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    w[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    w[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // Now 4 x 4 blocks are turned inside: w[4 r + c] holds column c of each block of block row r.
  for (int c = 0; c < 4; c++) {
    const __m512i even = _mm512_shuffle_i32x4(w[c], w[4 + c], 0x88);
    const __m512i odd = _mm512_shuffle_i32x4(w[c], w[4 + c], 0xdd);
    const __m512i even2 = _mm512_shuffle_i32x4(w[8 + c], w[12 + c], 0x88);
    const __m512i odd2 = _mm512_shuffle_i32x4(w[8 + c], w[12 + c], 0xdd);
    t[c] = _mm512_shuffle_i32x4(even, even2, 0x88);
    t[8 + c] = _mm512_shuffle_i32x4(even, even2, 0xdd);
    t[4 + c] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
  }
  for (int i = 0; i < 16; i++) w[i] = t[i];
}

NABLA_TILES inline void StoreTile(const __m512i* words, std::byte* to) {
  for (int i = 0; i < kRows; i++) _mm512_store_si512(to + i * 64, words[i]);
}

// 32 rows of a, tile beside tile down its depth.
NABLA_TILES void PackA(const Product& p, int64_t block, std::byte* to) {
  for (int64_t d = 0; d < p.depthTiles(); d++) {
    for (int64_t half = 0; half < 2; half++, to += kTileBytes) {
      const int64_t row = block * kBlock + half * kRows, depth = d * kDepth;
      __m512i words[16];
      if (p.transA) {
        PackPairs(p.a, depth * p.m + row, p.m, p.k - depth, p.m - row, words);
        Turn(words);
      } else {
        PackRows(p.a, row * p.k + depth, p.k, p.m - row, p.k - depth, words);
      }
      StoreTile(words, to);
    }
  }
}

// 32 columns of b.
NABLA_TILES void PackB(const Product& p, int64_t block, std::byte* to) {
  for (int64_t d = 0; d < p.depthTiles(); d++) {
    for (int64_t half = 0; half < 2; half++, to += kTileBytes) {
      const int64_t column = block * kBlock + half * kRows, depth = d * kDepth;
      __m512i words[16];
      if (p.transB) {
        PackRows(p.b, column * p.k + depth, p.k, p.n - column, p.k - depth, words);
        Turn(words);
      } else {
        PackPairs(p.b, depth * p.n + column, p.n, p.k - depth, p.n - column, words);
      }
      StoreTile(words, to);
    }
  }
}

// 16 numbers of a row: the product, times alpha, plus bias or what is there, and relu.
NABLA_TILES void FinishRow(const Product& p, const float* sums, int64_t row, int64_t column) {
  const int64_t count = p.n - column;
  const __mmask16 mask = count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1);
  const int64_t at = row * p.n + column;
  __m512 addend = _mm512_setzero_ps();
  if (p.accumulate) addend = _mm512_maskz_loadu_ps(mask, p.out.as<float>() + at);
  if (p.bias.present && p.bias.dtype == DType::kFloat32)
    addend = _mm512_maskz_loadu_ps(mask, p.bias.as<float>() + column);
  if (p.bias.present && p.bias.dtype == DType::kBfloat16)
    addend = _mm512_castsi512_ps(_mm512_slli_epi32(LoadWords(p.bias, column, count), 16));
  __m512 value = _mm512_fmadd_ps(_mm512_loadu_ps(sums), _mm512_set1_ps(p.alpha), addend);
  // NaN stays.
  if (p.relu)
    value = _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_LT_OQ),
                               _mm512_setzero_ps());
  if (p.out.dtype == DType::kFloat32) {
    _mm512_mask_storeu_ps(p.out.as<float>() + at, mask, value);
    return;
  }
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, value);
  Operand wide;
  wide.dtype = DType::kFloat32;
  wide.data = reinterpret_cast<std::byte*>(lanes);
  _mm256_mask_storeu_epi16(p.out.as<uint16_t>() + at, mask, _mm512_cvtepi32_epi16(LoadWords(wide, 0, 16)));
}

struct TileConfig {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};
};

// Rows of the output, 32 at a time. `packed` is all of b, `own` this thread's room.
NABLA_TILES void RunRows(const Product& p, const std::byte* packed, std::byte* own, int64_t begin,
                         int64_t end) {
  alignas(64) TileConfig config;
  for (int t = 0; t < 8; t++) config.rowBytes[t] = 64, config.rows[t] = kRows;
  _tile_loadconfig(&config);
  float* sums = reinterpret_cast<float*>(own + p.blockBytes());
  for (int64_t block = begin; block < end; block++) {
    PackA(p, block, own);
    for (int64_t c = 0; c < p.columnBlocks(); c++) {
      const std::byte* a = own;
      const std::byte* b = packed + c * p.blockBytes();
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      for (int64_t d = 0; d < p.depthTiles(); d++, a += 2 * kTileBytes, b += 2 * kTileBytes) {
        _tile_loadd(4, a, 64);
        _tile_loadd(5, a + kTileBytes, 64);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + kTileBytes, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, sums, 128);
      _tile_stored(1, sums + 16, 128);
      _tile_stored(2, sums + 512, 128);
      _tile_stored(3, sums + 528, 128);
      const int64_t rows = std::min(kBlock, p.m - block * kBlock);
      for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < kBlock && c * kBlock + j < p.n; j += 16)
          FinishRow(p, sums + i * kBlock + j, block * kBlock + i, c * kBlock + j);
      }
    }
  }
  _tile_release();
}

constexpr int64_t kSumBytes = kBlock * kBlock * 4;

}  // namespace

bool TakesAmx(const Instruction& gemm) {
  if (gemm.opcode != Opcode::kGemm || gemm.attr(0) != 1 ||
      gemm.attr(9) > static_cast<int32_t>(Activation::kRelu))
    return false;
  const Product p(gemm);
  const bool large = p.m * p.n * p.k >= kLeastWork && p.k > 0;
  for (const Operand& operand : gemm.operands) {
    if (operand.present && operand.dtype == DType::kFloat16) return false;
  }
  // What is float32 may be rounded where the result is.
  const bool bothHalves = p.a.dtype == DType::kBfloat16 && p.b.dtype == DType::kBfloat16;
  return large && (bothHalves || p.out.dtype == DType::kBfloat16) && HasTiles();
}

size_t ScratchAmx(const Instruction& gemm, int threads) {
  const Product p(gemm);
  return static_cast<size_t>(p.columnBlocks() * p.blockBytes() + threads * (p.blockBytes() + kSumBytes));
}

void RunAmx(const Call& call) {
  const Product p(call.instruction);
  std::byte* packed = call.scratch;
  std::byte* room = packed + p.columnBlocks() * p.blockBytes();
  const int64_t each = p.blockBytes() + kSumBytes;
  ParallelFor(call.pool, p.columnBlocks(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; c++) PackB(p, c, packed + c * p.blockBytes());
  });
  ParallelFor(call.pool, p.rowBlocks(), 1, [&](int64_t begin, int64_t end, int part) {
    RunRows(p, packed, room + part * each, begin, end);
  });
}

}  // namespace nabla

#else

namespace nabla {

bool TakesAmx(const Instruction&) { return false; }
size_t ScratchAmx(const Instruction&, int) { return 0; }
void RunAmx(const Call&) {}

}  // namespace nabla

#endif
