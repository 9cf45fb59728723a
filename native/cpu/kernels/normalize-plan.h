// How the gradient of normalize sums over rows; the same for every instruction set.
#pragma once

#include <cstdint>

namespace nabla {
namespace normalize_plan {

// Rows whose sums over columns are added up before they join the total, so that rounding grows slowly.
constexpr int64_t kRowBlock = 64;

// Floats of one sum over rows: a number a column.
inline int64_t SumSize(int64_t columns) { return (columns + 31) / 32 * 32; }

}  // namespace normalize_plan
}  // namespace nabla
