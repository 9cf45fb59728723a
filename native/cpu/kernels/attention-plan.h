// How attention is cut into blocks, and the buffers of one thread; the same for every instruction set.
#pragma once

#include <algorithm>
#include <cstdint>

#include "program/attention.h"

namespace nabla {
namespace attention {

// Queries and keys of a block: its scores, queries, keys and values stay in the first cache for heads up to
// 64 wide.
constexpr int64_t kBlock = 64;

// Enough for whole vectors and whole panels of packed keys on every instruction set.
constexpr int64_t Padded(int64_t n) { return (n + 31) / 32 * 32; }

inline int64_t Blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

// Offsets of one thread's buffers, in floats, for the forward pass.
struct ForwardBuffers {
  int64_t keys, values, scores, sums, size;

  explicit ForwardBuffers(const AttentionSizes& s) {
    keys = 0;                                     // all keys of a head, turned, by panels
    values = keys + Padded(s.keys) * s.dim + 32;  // a block of values, where they have to be copied
    scores = values + kBlock * Padded(s.valueDim);
    sums = scores + kBlock * kBlock;  // a block of weighted values
    size = sums + kBlock * Padded(s.valueDim);
    size = Padded(size);
  }
};

// The same for the gradient.
struct BackwardBuffers {
  int64_t turnedKeys, turnedValues;        // one block, by panels
  int64_t keyRows, queryRows, outputRows;  // one block as rows, where they have to be copied
  int64_t dKeys, dValues;                  // one block
  int64_t weights, dScores;
  int64_t along;     // one number for each query of the group
  int64_t dQueries;  // all queries of the group
  int64_t size;

  explicit BackwardBuffers(const AttentionSizes& s) {
    const int64_t row = kBlock * Padded(s.dim), valueRow = kBlock * Padded(s.valueDim);
    turnedKeys = 0;
    turnedValues = turnedKeys + row + 32;
    keyRows = turnedValues + valueRow + 32;
    queryRows = keyRows + row;
    outputRows = queryRows + row;
    dKeys = outputRows + valueRow;
    dValues = dKeys + row;
    weights = dValues + valueRow;
    dScores = weights + kBlock * kBlock;
    along = dScores + kBlock * kBlock;
    dQueries = along + Padded(s.group() * s.queries);
    size = Padded(dQueries + s.group() * s.queries * Padded(s.dim));
  }
};

// The largest number of keys that a block of queries [from, to) sees.
inline int64_t KeysSeen(const AttentionSizes& s, int64_t to) {
  return s.causal ? std::min(s.keys, to) : s.keys;
}

}  // namespace attention
}  // namespace nabla
