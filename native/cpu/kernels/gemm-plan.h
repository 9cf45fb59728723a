// How a matrix product is cut up, the same for every instruction set: the blocks, the buffers, and which
// operand plays which part.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/kernel.h"

namespace nabla {
namespace gemm {

// The product as the tiles see it: rows from `a` by broadcasting, columns from `b` as vectors.
struct Problem {
  int64_t rows, columns, depth;
  const float* a;  // element (i, p) is a[i * aRow + p * aDepth]
  int64_t aRow, aDepth;
  const float* b;  // element (p, j) is b[p * bRow + j], or b[j * bRow + p] where bTurned
  int64_t bRow;
  bool bTurned;
  float* out;  // element (i, j) is out[i * outRow + j], or out[j * outRow + i] where outTurned
  int64_t outRow;
  bool outTurned;
  const float* bias;  // one number a column of `out` as it lies in memory; null for none
  float alpha;
  bool accumulate;
  Activation activation;
};

// A packed block of a (kRowBlock x kDepthBlock) and a panel of b stay in the second cache (2 MiB), from where
// the tiles read as fast as from the first; deeper blocks read and write the output less often.
constexpr int64_t kDepthBlock = 512;
constexpr int64_t kRowBlock = 256;
constexpr int64_t kColumnBlock = 1024;
// More than any instruction set's tile has rows, its panel has columns and its vector has lanes.
constexpr int64_t kPadding = 32;

inline int64_t DepthBlocks(int64_t depth) { return (depth + kDepthBlock - 1) / kDepthBlock; }

// Blocks of nearly equal depth. Depends on k alone, so that results do not depend on the number of threads.
inline int64_t DepthOfBlock(int64_t depth) {
  const int64_t blocks = DepthBlocks(depth);
  return blocks == 0 ? 0 : (depth + blocks - 1) / blocks;
}

// Floats of one thread's buffer for packed rows of a, and for packed columns of b; multiples of 16, so that
// both are aligned.
inline int64_t RowBuffer(int64_t rows, int64_t depth) {
  return (std::min(rows, kRowBlock) + kPadding) * ((DepthOfBlock(depth) + 15) / 16 * 16);
}
inline int64_t ColumnBuffer(int64_t columns, int64_t depth) {
  return (std::min(columns, kColumnBlock) + kPadding) * ((DepthOfBlock(depth) + 15) / 16 * 16);
}

// Where b is stored turned it must be packed, unless out^T = b a^T is computed instead: then b's rows are
// broadcast as they lie, a is packed, and the tiles are turned as they are stored. The cheaper way is the one
// that turns fewer numbers.
inline bool ShouldSwap(int64_t m, int64_t n, int64_t k, bool transA, bool transB) {
  return transB && m * n + (transA ? 0 : m * k) < n * k;
}

// Whether threads may share the blocks of depth of a single product, which then are added up: where the
// output is so small that this costs nothing. The sums are those of one thread to the bit, unless alpha comes
// between.
inline bool MayShareDepth(int64_t batch, int64_t m, int64_t n, int64_t k, bool transB, float alpha) {
  constexpr int64_t kMostOutput = 16384;
  return batch == 1 && !transB && alpha == 1.0f && k > kDepthBlock && m * n <= kMostOutput;
}

// The first matrices of an instruction.
inline Problem MakeProblem(const Call& call) {
  const int64_t m = call.attr(1), n = call.attr(2), k = call.attr(3);
  const bool transA = call.attr(4) == 1, transB = call.attr(5) == 1;
  const float* a = call.operand(1).as<float>();
  const float* b = call.operand(2).as<float>();
  Problem problem{};
  problem.depth = k;
  if (ShouldSwap(m, n, k, transA, transB)) {
    problem.rows = n, problem.columns = m;
    problem.a = b, problem.aRow = k, problem.aDepth = 1;
    problem.b = a, problem.bRow = transA ? m : k, problem.bTurned = !transA;
    problem.outTurned = true;
  } else {
    problem.rows = m, problem.columns = n;
    problem.a = a, problem.aRow = transA ? 1 : k, problem.aDepth = transA ? m : 1;
    problem.b = b, problem.bRow = transB ? k : n, problem.bTurned = transB;
  }
  problem.out = call.operand(0).as<float>();
  problem.outRow = n;
  problem.bias = call.operand(3).present ? call.operand(3).as<float>() : nullptr;
  problem.alpha = k == 0 ? 0.0f : call.attrFloat(11);
  problem.accumulate = call.attr(10) == 1;
  problem.activation = static_cast<Activation>(call.attr(9));
  return problem;
}

}  // namespace gemm
}  // namespace nabla
