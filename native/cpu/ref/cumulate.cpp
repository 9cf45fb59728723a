// The plain double-precision twin of cumulate.
#include <cmath>
#include <limits>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

double Start(CumulateKind kind) {
  switch (kind) {
    case CumulateKind::kSum:
      return 0;
    case CumulateKind::kProd:
      return 1;
    case CumulateKind::kMax:
    case CumulateKind::kLogSumExp:
    case CumulateKind::kCount:
      break;
  }
  return -std::numeric_limits<double>::infinity();
}

double Join(CumulateKind kind, double sofar, double x) {
  switch (kind) {
    case CumulateKind::kSum:
      return sofar + x;
    case CumulateKind::kProd:
      return sofar * x;
    case CumulateKind::kMax:
      return std::isnan(sofar) || sofar > x ? sofar : x;
    case CumulateKind::kLogSumExp: {
      if (std::isnan(sofar) || std::isnan(x)) return sofar + x;
      const double high = std::fmax(sofar, x), low = std::fmin(sofar, x);
      return std::isinf(high) ? high : high + std::log1p(std::exp(low - high));
    }
    case CumulateKind::kCount:
      break;
  }
  return 0;
}

// Sums and products that wrap, as 32-bit integers do.
int32_t JoinInt(CumulateKind kind, int32_t sofar, int32_t x) {
  const uint32_t a = static_cast<uint32_t>(sofar), b = static_cast<uint32_t>(x);
  if (kind == CumulateKind::kSum) return static_cast<int32_t>(a + b);
  if (kind == CumulateKind::kProd) return static_cast<int32_t>(a * b);
  return sofar > x ? sofar : x;
}

}  // namespace

void RunCumulate(const Call& call) {
  const CumulateKind kind = static_cast<CumulateKind>(call.attr(0));
  const int64_t outer = call.attr(1), count = call.attr(2), inner = call.attr(3);
  const bool exclusive = call.attr(4) != 0, reverse = call.attr(5) != 0;
  const bool isFloat = call.operand(1).dtype == DType::kFloat32;
  for (int64_t line = 0; line < outer * inner; ++line) {
    const int64_t base = line / inner * count * inner + line % inner;
    double sofar = Start(kind);
    int32_t whole = kind == CumulateKind::kMax    ? std::numeric_limits<int32_t>::min()
                    : kind == CumulateKind::kProd ? 1
                                                  : 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = base + (reverse ? count - 1 - i : i) * inner;
      if (isFloat) {
        const double next = Join(kind, sofar, call.operand(1).as<float>()[at]);
        call.operand(0).as<float>()[at] = static_cast<float>(exclusive ? sofar : next);
        sofar = next;
      } else {
        const int32_t next = JoinInt(kind, whole, call.operand(1).as<int32_t>()[at]);
        call.operand(0).as<int32_t>()[at] = exclusive ? whole : next;
        whole = next;
      }
    }
  }
}

}  // namespace nabla::ref
