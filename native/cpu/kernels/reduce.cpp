// reduce: sums, products, extremes and their positions over the middle of [outer, count, inner].
#include <type_traits>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/reduce.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "cpu/kernels/lanes-inl.h"
#include "cpu/kernels/reduce-inl.h"
#include "cpu/kernels/reduce-plan.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

// Longer rows are reduced in halves: the rounding error of a sum then grows with the logarithm of its length.
constexpr int64_t kRowBlock = 4096;
constexpr int64_t kColumnBlock = 128;

// The first half of a length above the block: a multiple of the block.
constexpr int64_t HalfOf(int64_t count, int64_t block) { return (count / block + 1) / 2 * block; }

template <class Op, class T>
T ReduceRow(const T* x, int64_t count) {
  if (count > kRowBlock) {
    const int64_t half = HalfOf(count, kRowBlock);
    return JoinOne<Op>(ReduceRow<Op>(x, half), ReduceRow<Op>(x + half, count - half));
  }
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a0 = hn::Set(d, Op::kNothing);
  auto a1 = a0, a2 = a0, a3 = a0;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    a0 = Op::Take(a0, hn::LoadU(d, x + i));
    a1 = Op::Take(a1, hn::LoadU(d, x + i + lanes));
    a2 = Op::Take(a2, hn::LoadU(d, x + i + 2 * lanes));
    a3 = Op::Take(a3, hn::LoadU(d, x + i + 3 * lanes));
  }
  for (; i + lanes <= count; i += lanes) a0 = Op::Take(a0, hn::LoadU(d, x + i));
  T result = Op::kNothing;
  if (count >= lanes) result = JoinLanes<Op>(d, Op::Join(Op::Join(a0, a1), Op::Join(a2, a3)));
  for (; i < count; ++i) result = TakeOne<Op>(result, x[i]);
  return result;
}

// Reduces `count` rows, `stride` elements apart, of four vectors.
template <class Op, class D, class T>
void ReduceTile4(D d, const T* x, int64_t count, int64_t stride, T* out) {
  const size_t lanes = hn::Lanes(d);
  if (count > kColumnBlock) {
    const int64_t half = HalfOf(count, kColumnBlock);
    HWY_ALIGN T second[4 * hn::MaxLanes(D())];
    ReduceTile4<Op>(d, x, half, stride, out);
    ReduceTile4<Op>(d, x + half * stride, count - half, stride, second);
    for (size_t i = 0; i < 4 * lanes; i += lanes) {
      hn::StoreU(Op::Join(hn::LoadU(d, out + i), hn::Load(d, second + i)), d, out + i);
    }
    return;
  }
  auto a0 = hn::Set(d, Op::kNothing);
  auto a1 = a0, a2 = a0, a3 = a0;
  for (int64_t row = 0; row < count; ++row, x += stride) {
    a0 = Op::Take(a0, hn::LoadU(d, x));
    a1 = Op::Take(a1, hn::LoadU(d, x + lanes));
    a2 = Op::Take(a2, hn::LoadU(d, x + 2 * lanes));
    a3 = Op::Take(a3, hn::LoadU(d, x + 3 * lanes));
  }
  hn::StoreU(a0, d, out);
  hn::StoreU(a1, d, out + lanes);
  hn::StoreU(a2, d, out + 2 * lanes);
  hn::StoreU(a3, d, out + 3 * lanes);
}

// The same for one vector, of which only the first `used` lanes are in memory.
template <class Op, class D, class T>
void ReduceTile(D d, const T* x, int64_t count, int64_t stride, T* out, size_t used) {
  if (count > kColumnBlock) {
    const int64_t half = HalfOf(count, kColumnBlock);
    T second[hn::MaxLanes(D())];
    ReduceTile<Op>(d, x, half, stride, out, used);
    ReduceTile<Op>(d, x + half * stride, count - half, stride, second, used);
    for (size_t i = 0; i < used; ++i) out[i] = JoinOne<Op>(out[i], second[i]);
    return;
  }
  auto a = hn::Set(d, Op::kNothing);
  if (used == hn::Lanes(d)) {
    for (int64_t row = 0; row < count; ++row, x += stride) a = Op::Take(a, hn::LoadU(d, x));
    hn::StoreU(a, d, out);
  } else if constexpr (sizeof(T) == 4) {
    for (int64_t row = 0; row < count; ++row, x += stride) a = Op::Take(a, LoadFirst(d, x, used, T{0}));
    StoreFirst(a, d, out, used);
  }
}

// Reduces `count` rows, `stride` elements apart, to one row of `columns`.
template <class Op, class T>
void ReduceColumns(const T* x, int64_t count, int64_t stride, T* out, int64_t columns) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t column = 0;
  for (; column + 4 * lanes <= columns; column += 4 * lanes)
    ReduceTile4<Op>(d, x + column, count, stride, out + column);
  for (; column + lanes <= columns; column += lanes) {
    ReduceTile<Op>(d, x + column, count, stride, out + column, static_cast<size_t>(lanes));
  }
  if constexpr (sizeof(T) == 4) {
    if (column < columns) {
      ReduceTile<Op>(d, x + column, count, stride, out + column, static_cast<size_t>(columns - column));
    }
  } else {
    for (; column < columns; ++column) ReduceTile<Op>(One<T>(), x + column, count, stride, out + column, 1);
  }
}

// [outer, count, inner] to [outer, inner], for the columns [columnBegin, columnEnd) of each.
template <class Op, class T>
void ReduceBox(const T* x, T* out, const ReduceShape& shape, int64_t outerBegin, int64_t outerEnd,
               int64_t columnBegin, int64_t columnEnd) {
  for (int64_t o = outerBegin; o < outerEnd; ++o) {
    const T* from = x + o * shape.count * shape.inner;
    if (shape.inner == 1) {
      out[o] = ReduceRow<Op>(from, shape.count);
    } else {
      ReduceColumns<Op>(from + columnBegin, shape.count, shape.inner, out + o * shape.inner + columnBegin,
                        columnEnd - columnBegin);
    }
  }
}

// Each thread reduces a part of the count into a row of its own; the rows are then joined in order.
template <class Op, class T>
void ReduceCountSplit(const Call& call, const ReduceShape& shape, const ReducePlan& plan, const T* x,
                      T* out) {
  const int64_t results = shape.outer * shape.inner;
  T* partial = reinterpret_cast<T*>(call.scratch);
  const int64_t parts = call.pool.threads();
  std::fill(partial, partial + parts * results, Op::kNothing);
  ParallelFor(call.pool, shape.count, plan.grain, [&](int64_t begin, int64_t end, int part) {
    for (int64_t o = 0; o < shape.outer; ++o) {
      const T* from = x + (o * shape.count + begin) * shape.inner;
      T* to = partial + part * results + o * shape.inner;
      const ReduceShape slice = {1, end - begin, shape.inner};
      ReduceBox<Op>(from, to, slice, 0, 1, 0, shape.inner);
    }
  });
  for (int64_t i = 0; i < results; ++i) {
    T result = partial[i];
    for (int64_t part = 1; part < parts; ++part) result = JoinOne<Op>(result, partial[part * results + i]);
    out[i] = result;
  }
}

template <class Op, class T>
void ReduceAll(const Call& call, const ReduceShape& shape) {
  const T* x = call.operand(1).as<T>();
  T* out = call.operand(0).as<T>();
  const ReducePlan plan = PlanReduce(call.instruction, call.pool.threads());
  switch (plan.split) {
    case ReduceSplit::kOuter:
      ParallelFor(call.pool, shape.outer, plan.grain, [&](int64_t begin, int64_t end, int) {
        ReduceBox<Op>(x, out, shape, begin, end, 0, shape.inner);
      });
      break;
    case ReduceSplit::kInner:
      ParallelFor(call.pool, (shape.inner + kInnerUnit - 1) / kInnerUnit, plan.grain,
                  [&](int64_t begin, int64_t end, int) {
                    ReduceBox<Op>(x, out, shape, 0, shape.outer, begin * kInnerUnit,
                                  std::min(shape.inner, end * kInnerUnit));
                  });
      break;
    case ReduceSplit::kCount:
      ReduceCountSplit<Op>(call, shape, plan, x, out);
      break;
  }
  if constexpr (std::is_same_v<T, float>) {
    const float scale = call.attrFloat(4);
    if (scale == 1.0f) return;
    for (int64_t i = 0; i < shape.outer * shape.inner; ++i) out[i] *= scale;
  }
}

// Whether x takes the place of the best so far: strictly better, or the first NaN.
template <bool kMax, class T>
HWY_INLINE bool Better(T x, T best) {
  if constexpr (std::is_same_v<T, float>) {
    if (best != best) return false;
    if (x != x) return true;
  }
  return kMax ? x > best : x < best;
}

// Position of the first element that equals the extreme, or is NaN where that is NaN.
template <class T>
int32_t FindFirst(const T* x, int64_t count, T extreme) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const bool nan = extreme != extreme;
  const auto wanted = hn::Set(d, extreme);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    auto hit = hn::Eq(v, wanted);
    if constexpr (std::is_same_v<T, float>) {
      if (nan) hit = hn::IsNaN(v);
    }
    if (!hn::AllFalse(d, hit)) return static_cast<int32_t>(i + hn::FindFirstTrue(d, hit));
  }
  while (i < count - 1 && !(nan ? x[i] != x[i] : x[i] == extreme)) ++i;
  return static_cast<int32_t>(i);
}

template <bool kMax, class T>
void PositionBox(const T* x, int32_t* out, const ReduceShape& shape, int64_t outerBegin, int64_t outerEnd) {
  using Op = std::conditional_t<kMax, Max<T>, Min<T>>;
  constexpr int64_t kTile = 64;
  T best[kTile];
  for (int64_t o = outerBegin; o < outerEnd; ++o) {
    const T* from = x + o * shape.count * shape.inner;
    if (shape.inner == 1) {
      out[o] = FindFirst(from, shape.count, ReduceRow<Op>(from, shape.count));
      continue;
    }
    for (int64_t begin = 0; begin < shape.inner; begin += kTile) {
      const int64_t columns = std::min(kTile, shape.inner - begin);
      int32_t* to = out + o * shape.inner + begin;
      std::copy(from + begin, from + begin + columns, best);
      std::fill(to, to + columns, 0);
      for (int64_t row = 1; row < shape.count; ++row) {
        const T* values = from + row * shape.inner + begin;
        for (int64_t c = 0; c < columns; ++c) {
          const bool better = Better<kMax>(values[c], best[c]);
          best[c] = better ? values[c] : best[c];
          to[c] = better ? static_cast<int32_t>(row) : to[c];
        }
      }
    }
  }
}

template <bool kMax, class T>
void Position(const Call& call, const ReduceShape& shape) {
  const ReducePlan plan = PlanReduce(call.instruction, call.pool.threads());
  ParallelFor(call.pool, shape.outer, plan.grain, [&](int64_t begin, int64_t end, int) {
    PositionBox<kMax>(call.operand(1).as<T>(), call.operand(0).as<int32_t>(), shape, begin, end);
  });
}

// max and min of any dtype; any and all are those of bool. Stored bools become 0 or 1, also for a count of 0.
template <template <class> class Op>
void Extreme(const Call& call, const ReduceShape& shape) {
  const Operand& out = call.operand(0);
  if (out.dtype == DType::kFloat32) return ReduceAll<Op<float>, float>(call, shape);
  if (out.dtype == DType::kInt32) return ReduceAll<Op<int32_t>, int32_t>(call, shape);
  ReduceAll<Op<uint8_t>, uint8_t>(call, shape);
  if (out.dtype != DType::kBool) return;
  for (int64_t i = 0; i < out.size; ++i) out.as<uint8_t>()[i] = out.as<uint8_t>()[i] != 0;
}

template <bool kMax>
void Positions(const Call& call, const ReduceShape& shape) {
  const DType dtype = call.operand(1).dtype;
  if (dtype == DType::kFloat32) return Position<kMax, float>(call, shape);
  if (dtype == DType::kInt32) return Position<kMax, int32_t>(call, shape);
  Position<kMax, uint8_t>(call, shape);
}

}  // namespace

void RunReduce(const Call& call) {
  const ReduceShape shape = {call.attr(1), call.attr(2), call.attr(3)};
  const bool isFloat = call.operand(1).dtype == DType::kFloat32;
  switch (static_cast<ReduceKind>(call.attr(0))) {
    case ReduceKind::kSum:
      return isFloat ? ReduceAll<Sum<float>, float>(call, shape)
                     : ReduceAll<Sum<int32_t>, int32_t>(call, shape);
    case ReduceKind::kProd:
      return isFloat ? ReduceAll<Prod<float>, float>(call, shape)
                     : ReduceAll<Prod<int32_t>, int32_t>(call, shape);
    case ReduceKind::kSumSquares:
      return ReduceAll<SumSquares<float>, float>(call, shape);
    case ReduceKind::kMax:
    case ReduceKind::kAny:
      return Extreme<Max>(call, shape);
    case ReduceKind::kMin:
    case ReduceKind::kAll:
      return Extreme<Min>(call, shape);
    case ReduceKind::kArgMax:
      return Positions<true>(call, shape);
    case ReduceKind::kArgMin:
      return Positions<false>(call, shape);
    case ReduceKind::kCount:
      break;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchReduce(const Instruction& instruction, int threads) {
  const ReducePlan plan = PlanReduce(instruction, threads);
  if (plan.split != ReduceSplit::kCount) return 0;
  return static_cast<size_t>(threads) * static_cast<size_t>(instruction.attr(1)) *
         static_cast<size_t>(instruction.attr(3)) *
         static_cast<size_t>(SizeOf(instruction.operands[1].dtype));
}

}  // namespace nabla
#endif  // HWY_ONCE
