// The plain twin of sort: a stable sort of indices by value.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

template <class T>
void SortRows(const Call& call) {
  const Operand &values = call.operand(0), &indices = call.operand(1);
  const int64_t rows = call.attr(0), columns = call.attr(1);
  const bool descending = call.attr(2) != 0;
  for (int64_t row = 0; row < rows; ++row) {
    const T* in = call.operand(2).as<T>() + row * columns;
    std::vector<int32_t> order(static_cast<size_t>(columns));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [=](int32_t a, int32_t b) {
      const double x = in[a], y = in[b];
      if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
      return descending ? x > y : x < y;
    });
    for (int64_t i = 0; i < columns; ++i) {
      const int32_t from = order[static_cast<size_t>(i)];
      if (values.present) values.as<T>()[row * columns + i] = in[from];
      if (indices.present) indices.as<int32_t>()[row * columns + i] = from;
    }
  }
}

}  // namespace

void RunSort(const Call& call) {
  if (call.operand(2).dtype == DType::kFloat32) return SortRows<float>(call);
  if (call.operand(2).dtype == DType::kInt32) return SortRows<int32_t>(call);
  SortRows<uint8_t>(call);
}

}  // namespace nabla::ref
