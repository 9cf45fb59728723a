// Around the matrix product's tiles, for one instruction set: packing operands into panels, and storing odd
// tiles.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_GEMM_PACK_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_GEMM_PACK_H_
#undef NABLA_CPU_KERNELS_GEMM_PACK_H_
#else
#define NABLA_CPU_KERNELS_GEMM_PACK_H_
#endif

#include "cpu/kernels/gemm-tile.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace gemm {

// Columns turned into vectors at a time.
#if HWY_TARGET == HWY_SCALAR
constexpr int kTurn = 1;
#else
constexpr int kTurn = 4;
#endif

// Reads kLanes rows of kTurn numbers and gives kTurn vectors, one a column. Row i is from + i * stride; rows
// from `rows` on repeat the last one.
HWY_INLINE void LoadTurned(const float* from, int64_t stride, int rows, V* columns) {
#if HWY_TARGET == HWY_SCALAR
  (void)stride, (void)rows;
  columns[0] = hn::LoadU(D(), from);
#else
  const D d;
  const hn::Full128<float> block;
  const auto row = [=](int i) HWY_ATTR { return hn::LoadU(block, from + HWY_MIN(i, rows - 1) * stride); };
  // Vector i holds rows i, i + 4, i + 8 ... so that turning 4x4 inside the 128-bit blocks puts the rows in
  // order.
  V v[4];
  NABLA_GEMM_UNROLL
  for (int i = 0; i < 4; i++) {
#if HWY_TARGET == HWY_AVX3
    const hn::Full256<float> half;
    v[i] = hn::Combine(d, hn::Combine(half, row(i + 12), row(i + 8)), hn::Combine(half, row(i + 4), row(i)));
#elif HWY_TARGET == HWY_AVX2
    v[i] = hn::Combine(d, row(i + 4), row(i));
#else
    v[i] = row(i);
#endif
  }
  const hn::Repartition<uint64_t, D> pairs;
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, v[0], v[1]));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, v[2], v[3]));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, v[0], v[1]));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, v[2], v[3]));
  columns[0] = hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23));
  columns[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23));
  columns[2] = hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23));
  columns[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23));
#endif
}

// to[p * width + i] = from[i * stride + p] for i < rows, p < depth. Writes whole vectors: up to kLanes - 1
// numbers after the end of `to`; between `rows` and a vector's end lie copies (never stale memory, whose
// denormal numbers would be slow).
HWY_NOINLINE inline void PackTurned(const float* from, int64_t stride, int rows, int64_t depth, float* to,
                             int width) {
  const D d;
  const int lastGroup = (rows - 1) / kLanes * kLanes;
  int64_t p = 0;
  for (; p + kTurn <= depth; p += kTurn) {
    // The last group comes first: where it is not full, it spills over the next p, which is written after it.
    for (int group = lastGroup; group >= 0; group -= kLanes) {
      V columns[kTurn];
      LoadTurned(from + group * stride + p, stride, rows - group, columns);
      for (int q = 0; q < kTurn; q++) hn::StoreU(columns[q], d, to + (p + q) * width + group);
    }
  }
  for (; p < depth; p++) {
    for (int i = 0; i < lastGroup + kLanes; i++) to[p * width + i] = from[HWY_MIN(i, rows - 1) * stride + p];
  }
}

// to[p * width + j] = from[p * stride + j] for j < count, p < depth. Writes whole vectors: up to kLanes - 1
// numbers after the end of `to`; between `count` and a vector's end lie other numbers of the matrix or zeros.
HWY_NOINLINE inline void PackStraight(const float* from, int64_t stride, int count, int64_t depth, float* to,
                               int width) {
  const D d;
  const int whole = count / kLanes * kLanes;
  for (int64_t p = 0; p < depth; p++, from += stride, to += width) {
    for (int j = 0; j < whole; j += kLanes) hn::StoreU(hn::LoadU(d, from + j), d, to + j);
    if (whole == count) continue;
    // A vector that runs over the row's end stays inside the matrix as long as the next row is as long.
    const bool readable = p + 1 < depth && whole + kLanes <= stride + count;
    hn::StoreU(readable ? hn::LoadU(d, from + whole) : LoadPart(from + whole, count - whole), d, to + whole);
  }
}

// Where finished tiles go and what is done to them there.
struct Finish {
  float* out;
  int64_t outRow;
  const float* bias;  // null for none; one number a column of `out`
  float alpha;
  bool add;
  bool relu;
};

HWY_INLINE void FinishVector(V v, const Finish& finish, float* to, const float* bias, int count) {
  const D d;
  const bool whole = count >= kLanes;
  V addend = hn::Zero(d);
  const float* from = finish.add ? to : bias;
  if (from != nullptr) addend = whole ? hn::LoadU(d, from) : LoadPart(from, count);
  v = hn::MulAdd(v, hn::Set(d, finish.alpha), addend);
  if (finish.relu) v = Relu(v);
  if (whole) {
    hn::StoreU(v, d, to);
  } else {
    StorePart(v, to, count);
  }
}

// Stores a bare tile of `rows` x `columns` (a row is kPanel numbers).
HWY_NOINLINE inline void FinishStraight(const float* tile, int rows, int columns, const Finish& finish) {
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < columns; j += kLanes) {
      const float* bias = finish.bias == nullptr ? nullptr : finish.bias + j;
      FinishVector(hn::LoadU(D(), tile + i * kPanel + j), finish, finish.out + i * finish.outRow + j, bias,
                   columns - j);
    }
  }
}

// Stores a bare tile of `rows` x `columns` turned: column j of the tile becomes row j of `out`.
HWY_NOINLINE inline void FinishTurned(const float* tile, int rows, int columns, const Finish& finish) {
  for (int j = 0; j < columns; j += kTurn) {
    for (int i = 0; i < rows; i += kLanes) {
      V turned[kTurn];
      LoadTurned(tile + i * kPanel + j, kPanel, rows - i, turned);
      const float* bias = finish.bias == nullptr ? nullptr : finish.bias + i;
      for (int q = 0; q < HWY_MIN(kTurn, columns - j); q++) {
        FinishVector(turned[q], finish, finish.out + (j + q) * finish.outRow + i, bias, rows - i);
      }
    }
  }
}

// 1 / (1 + exp(-x)) through exp(-|x|), which neither overflows nor loses the small end.
HWY_INLINE V Sigmoid(V x) {
  const D d;
  const V one = hn::Set(d, 1.0f);
  const V e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

HWY_INLINE V Activate(V x, Activation activation) {
  const D d;
  const auto number = hn::Eq(x, x);
  const V safe = hn::IfThenElseZero(number, x);
  const V y = activation == Activation::kSigmoid ? Sigmoid(safe) : hn::Tanh(d, safe);
  return hn::IfThenElse(number, y, x);
}

// Sigmoid or tanh in place, while the numbers are still in the first cache.
HWY_NOINLINE inline void ActivateBlock(float* out, int64_t outRow, int64_t rows, int64_t columns,
                                Activation activation) {
  const D d;
  for (int64_t i = 0; i < rows; i++, out += outRow) {
    int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes)
      hn::StoreU(Activate(hn::LoadU(d, out + j), activation), d, out + j);
    const int rest = static_cast<int>(columns - j);
    if (rest > 0) StorePart(Activate(LoadPart(out + j, rest), activation), out + j, rest);
  }
}

}  // namespace gemm
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
