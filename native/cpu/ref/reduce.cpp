// The plain double-precision twin of reduce.
#include <cstdint>
#include <limits>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

// Elements of one reduction: x[0], x[stride], ...
template <class T>
struct Line {
  const T* x;
  int64_t count, stride;
  T at(int64_t i) const { return x[i * stride]; }
};

template <class T>
bool IsNaN(T x) {
  return x != x;
}

// Position of the first extreme; NaN wins.
template <class T>
int64_t Position(const Line<T>& line, bool max) {
  int64_t best = 0;
  for (int64_t i = 1; i < line.count; ++i) {
    if (IsNaN(line.at(best))) break;
    const T x = line.at(i), old = line.at(best);
    if (IsNaN(x) || (max ? x > old : x < old)) best = i;
  }
  return best;
}

template <class T>
T Extreme(const Line<T>& line, bool max) {
  if (line.count > 0) return line.at(Position(line, max));
  using Limits = std::numeric_limits<T>;
  if (Limits::has_infinity) return max ? -Limits::infinity() : Limits::infinity();
  return max ? Limits::lowest() : Limits::max();
}

float Number(const Line<float>& line, ReduceKind kind, float scale) {
  double sum = 0, product = 1;
  for (int64_t i = 0; i < line.count; ++i) {
    const double x = line.at(i);
    sum += kind == ReduceKind::kSumSquares ? x * x : x;
    product *= x;
  }
  return static_cast<float>(kind == ReduceKind::kProd ? product : sum * scale);
}

int32_t Number(const Line<int32_t>& line, ReduceKind kind, float) {
  uint32_t sum = 0, product = 1;
  for (int64_t i = 0; i < line.count; ++i) {
    sum += static_cast<uint32_t>(line.at(i));
    product *= static_cast<uint32_t>(line.at(i));
  }
  return static_cast<int32_t>(kind == ReduceKind::kProd ? product : sum);
}

// uint8 and bool have no sums.
uint8_t Number(const Line<uint8_t>&, ReduceKind, float) { return 0; }

template <class T>
void Reduce(const Call& call) {
  const ReduceKind kind = static_cast<ReduceKind>(call.attr(0));
  const int64_t outer = call.attr(1), count = call.attr(2), inner = call.attr(3);
  const Operand& out = call.operand(0);
  for (int64_t i = 0; i < outer * inner; ++i) {
    const Line<T> line = {call.operand(1).as<T>() + i / inner * count * inner + i % inner, count, inner};
    switch (kind) {
      case ReduceKind::kArgMax:
      case ReduceKind::kArgMin:
        out.as<int32_t>()[i] = static_cast<int32_t>(Position(line, kind == ReduceKind::kArgMax));
        break;
      case ReduceKind::kMax:
      case ReduceKind::kMin:
      case ReduceKind::kAny:
      case ReduceKind::kAll:
        out.as<T>()[i] = Extreme(line, kind == ReduceKind::kMax || kind == ReduceKind::kAny);
        if (out.dtype == DType::kBool) out.as<uint8_t>()[i] = out.as<uint8_t>()[i] != 0;
        break;
      default:
        out.as<T>()[i] = Number(line, kind, call.attrFloat(4));
    }
  }
}

}  // namespace

void RunReduce(const Call& call) {
  switch (call.operand(1).dtype) {
    case DType::kFloat32:
      return Reduce<float>(call);
    case DType::kInt32:
      return Reduce<int32_t>(call);
    case DType::kUint8:
    case DType::kBool:
      return Reduce<uint8_t>(call);
    case DType::kBfloat16:  // come as float32 (widen.h)
    case DType::kFloat16:
      break;
  }
}

}  // namespace nabla::ref
