// The parameters of attention and its gradient.
#pragma once

#include <cstdint>

#include "cuda/kernels/floats.h"
#include "cuda/kernels/head.h"

namespace nabla::cuda {

// Where the operands' rows lie: docs/KERNELS.md.
struct AttentionShape {
  int64_t qRow, qOffset, kRow, kOffset, vRow, vOffset;
  int32_t batch, heads, kvHeads, group, queries, keys, dim, valueDim;
  int32_t maskBatch, maskHeads, causal;
  float scale;
};

struct AttentionParams {
  Head head;
  Floats out, logSumExp, q, k, v;
  Floats mask;           // added to the scores
  const uint8_t* sight;  // 0 where a query does not see a key
  AttentionShape shape;
  int32_t
      rowBlocks;  // blocks that cover the queries; the grid's x is those for the values' columns times these
  int32_t unused;
};

struct AttentionGradParams {
  Head head;
  Floats dq, dk, dv;
  float* along;  // [batch, heads, queries]: dout times out
  Floats q, k, v, out, logSumExp, dout, mask;
  const uint8_t* sight;
  AttentionShape shape;
  int32_t rowBlocks, unused;
};

constexpr int kAttentionThreads = 256;
// Queries and keys of a tile of scores; columns of values that one block has room for, times 1 or 2.
constexpr int kAttentionTile = 64;

}  // namespace nabla::cuda
