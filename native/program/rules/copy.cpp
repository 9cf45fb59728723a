// The rule of the copy kernel: every address it can form lies inside its operand, and no element is written
// twice.
#include <algorithm>
#include <utility>
#include <vector>

#include "program/rules/rule.h"

namespace nabla {
namespace {

// Whether offset + sum(i * strides) stays in [0, size) for all indices i. No dimension is 0.
// Sums cannot overflow: each term is below 2^62 and the check stops at the first sum that leaves the operand.
bool StaysInside(int64_t size, int64_t offset, int rank, const int32_t* dims, const int32_t* strides) {
  int64_t low = offset, high = offset;
  if (low < 0 || high >= size) return false;
  for (int i = 0; i < rank; ++i) {
    const int64_t reach = (int64_t{dims[i]} - 1) * strides[i];
    (reach < 0 ? low : high) += reach;
    if (low < 0 || high >= size) return false;
  }
  return true;
}

// Whether the addresses of different indices differ, by the sufficient condition that each stride steps over
// everything that the smaller strides reach: true for slices, permutations, flips and diagonals of a
// row-major tensor. Threads then never write the same element, and the work is bounded by the size of the
// operand.
bool IsInjective(int rank, const int32_t* dims, const int32_t* strides) {
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, dimension
  for (int i = 0; i < rank; ++i) {
    const int64_t stride = strides[i];
    if (dims[i] > 1) axes.emplace_back(stride < 0 ? -stride : stride, dims[i]);
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 0;
  for (const auto& [stride, dim] : axes) {
    if (stride <= reach) return false;
    reach += (dim - 1) * stride;
  }
  return true;
}

}  // namespace

std::string CheckCopy(const Instruction& instruction) {
  const size_t words = instruction.attributes.size();
  if (words < 3) return "wrong number of attributes";
  const int32_t rank = instruction.attr(0);
  if (rank < 0 || rank > kMaxRank) return "rank is outside [0, 8]";
  if (std::string wrong = CheckCounts(instruction, 2, 3 + 3 * static_cast<size_t>(rank)); !wrong.empty()) {
    return wrong;
  }
  const int32_t* dims = instruction.attributes.data() + 3;
  const int32_t* outStrides = dims + rank;
  const int32_t* inStrides = outStrides + rank;
  if (std::any_of(dims, dims + rank, [](int32_t dim) { return dim < 0; })) return "a dimension is below 0";
  if (std::any_of(dims, dims + rank, [](int32_t dim) { return dim == 0; })) return {};

  if (!StaysInside(instruction.operands[0].size, instruction.attr(1), rank, dims, outStrides)) {
    return "the strides lead outside out";
  }
  if (!StaysInside(instruction.operands[1].size, instruction.attr(2), rank, dims, inStrides)) {
    return "the strides lead outside input";
  }
  if (!IsInjective(rank, dims, outStrides)) return "the strides of out write an element more than once";
  return {};
}

}  // namespace nabla
