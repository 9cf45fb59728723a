// How a reduction is split between threads; the same for every instruction set, and known before it runs.
#pragma once

#include "cpu/kernel.h"

namespace nabla {

struct ReduceShape {
  int64_t outer, count, inner;
};

// What the threads divide: rows of outer, units of columns, or the count, which needs a partial result for
// each thread.
enum class ReduceSplit { kOuter, kInner, kCount };

struct ReducePlan {
  ReduceSplit split;
  int64_t grain;
};

// Columns that one thread takes at least: whole cache lines, whole vectors.
constexpr int64_t kInnerUnit = 64;

inline ReducePlan PlanReduce(const Instruction& instruction, int threads) {
  // Elements that are worth a thread of their own.
  constexpr int64_t kGrain = 65536;
  const int64_t outer = instruction.attr(1), count = instruction.attr(2), inner = instruction.attr(3);
  const auto grainFor = [](int64_t elements) {
    return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, elements));
  };
  const ReducePlan byOuter = {ReduceSplit::kOuter, grainFor(count * inner)};

  if (outer >= threads || outer * count * inner < 2 * kGrain) return byOuter;
  const ReduceKind kind = static_cast<ReduceKind>(instruction.attr(0));
  if (kind == ReduceKind::kArgMax || kind == ReduceKind::kArgMin) return byOuter;
  if (inner >= threads * kInnerUnit) return {ReduceSplit::kInner, grainFor(outer * count * kInnerUnit)};
  // Partial results must be few beside the input.
  if (count >= 16 * int64_t{threads}) return {ReduceSplit::kCount, grainFor(outer * inner)};
  return byOuter;
}

}  // namespace nabla
