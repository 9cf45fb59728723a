// The attributes of attention and attentionGrad, as their rule, kernels and reference read them.
#pragma once

#include <cstdint>

#include "program/program.h"

namespace nabla {

// Query (b, t, h) begins at qOffset + (b * queries + t) * qRow + h * dim, a key at kOffset + (b * keys + t) *
// kRow + h * dim, a value at vOffset + (b * keys + t) * vRow + h * valueDim, so that all three may lie in the
// rows of one product.
struct AttentionSizes {
  int64_t batch, heads, kvHeads, queries, keys, dim, valueDim;
  int64_t qRow, qOffset, kRow, kOffset, vRow, vOffset;
  bool maskBatch, maskHeads;  // whether the mask differs from sample to sample, from head to head
  bool causal;                // query t sees keys 0 .. t
  float scale;

  explicit AttentionSizes(const Instruction& instruction)
      : batch(instruction.attr(0)),
        heads(instruction.attr(1)),
        kvHeads(instruction.attr(2)),
        queries(instruction.attr(3)),
        keys(instruction.attr(4)),
        dim(instruction.attr(5)),
        valueDim(instruction.attr(6)),
        qRow(instruction.attr(7)),
        qOffset(instruction.attr(8)),
        kRow(instruction.attr(9)),
        kOffset(instruction.attr(10)),
        vRow(instruction.attr(11)),
        vOffset(instruction.attr(12)),
        maskBatch(instruction.attr(13) != 0),
        maskHeads(instruction.attr(14) != 0),
        causal(instruction.attr(15) != 0),
        scale(instruction.attrFloat(16)) {}

  // Heads of queries that share one head of keys.
  int64_t group() const { return heads / kvHeads; }
  int64_t query(int64_t b, int64_t t, int64_t h) const {
    return qOffset + (b * queries + t) * qRow + h * dim;
  }
  int64_t key(int64_t b, int64_t t, int64_t h) const { return kOffset + (b * keys + t) * kRow + h * dim; }
  int64_t value(int64_t b, int64_t t, int64_t h) const {
    return vOffset + (b * keys + t) * vRow + h * valueDim;
  }
  int64_t outRow() const { return heads * valueDim; }
  int64_t output(int64_t b, int64_t t, int64_t h) const {
    return (b * queries + t) * outRow() + h * valueDim;
  }
  // Of a query's number, [batch, heads, queries].
  int64_t statistic(int64_t b, int64_t t, int64_t h) const { return (b * heads + h) * queries + t; }
  int64_t mask(int64_t b, int64_t t, int64_t h) const {
    const int64_t sheet = (maskBatch ? b : 0) * (maskHeads ? heads : 1) + (maskHeads ? h : 0);
    return (sheet * queries + t) * keys;
  }
};

}  // namespace nabla
