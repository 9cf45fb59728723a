// attentionGrad: the weights are computed again, once for each tile of queries, which take the keys' share,
// and once for each tile of keys, which take the queries' (Dao et al. 2022).
#include "cuda/kernels/attention.h"
#include "cuda/kernels/attention_tile.h"

namespace nabla::cuda {
namespace {

// The weights of a tile of queries and keys, and the gradients of their scores.
struct Weighed {
  AttentionTile weights, scores;
};

__device__ __forceinline__ Weighed Weigh(const AttentionGradParams& p, const AttentionHead& head,
                                         AttentionShared& shared, int32_t firstQuery, int32_t firstKey) {
  const AttentionShape& s = p.shape;
  Weighed w;
  MultiplyRows(w.weights, shared, head.Queries(s, p.q), head.Keys(s, p.k), firstQuery, firstKey);
  MultiplyRows(w.scores, shared, head.Outputs(s, p.dout), head.Values(s, p.v), firstQuery, firstKey);
  const int64_t maskAt = head.MaskAt(s), statisticAt = head.StatisticAt(s);
#pragma unroll
  for (int i = 0; i < AttentionTile::kRows; i++) {
    const int32_t query = firstQuery + AttentionTile::Row(i);
    // Of a query that saw nothing, infinity: its weights are 0.
    const float logSumExp = query < s.queries ? Get(p.logSumExp, statisticAt + query) : kAttentionInfinity;
    const float along = query < s.queries ? p.along[statisticAt + query] : 0.0f;
#pragma unroll
    for (int j = 0; j < AttentionTile::kColumns; j++) {
      const float score =
          Score(s, p.mask, p.sight, maskAt, query, firstKey + AttentionTile::Column(j), w.weights.sum[i][j]);
      const float weight = logSumExp == kAttentionInfinity ? 0.0f : expf(score - logSumExp);
      w.weights.sum[i][j] = weight;
      w.scores.sum[i][j] = weight * (w.scores.sum[i][j] - along) * s.scale;
    }
  }
  return w;
}

// To shared memory, as [query][key] or turned.
template <bool kTurned>
__device__ __forceinline__ void Share(AttentionShared& shared, const AttentionTile& tile) {
#pragma unroll
  for (int i = 0; i < AttentionTile::kRows; i++) {
#pragma unroll
    for (int j = 0; j < AttentionTile::kColumns; j++) {
      const int query = AttentionTile::Row(i), key = AttentionTile::Column(j);
      shared.weights[kTurned ? key : query][kTurned ? query : key] = tile.sum[i][j];
    }
  }
}

template <int kChunks>
__device__ __forceinline__ void GradientOfQueries(const AttentionGradParams& p, const AttentionHead& head) {
  __shared__ AttentionShared shared;
  const AttentionShape& s = p.shape;
  const int32_t firstQuery =
      static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(p.rowBlocks)) * kAttentionTile;
  const int32_t firstColumn =
      static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * kAttentionTile * kChunks;
  AttentionTile dq[kChunks];
  const int32_t end = s.causal != 0 ? min(s.keys, firstQuery + kAttentionTile) : s.keys;
  for (int32_t key = 0; key < end; key += kAttentionTile) {
    const Weighed w = Weigh(p, head, shared, firstQuery, key);
    Share<true>(shared, w.scores);
    AddWeighed(dq, shared, head.Keys(s, p.k), key, firstColumn);
  }
  StoreTiles(dq, From(p.dq, head.QueryAt(s)), s.qRow, s.queries, s.dim, firstQuery, firstColumn);
}

// All heads of queries that share a head of keys, in their order.
template <int kChunks>
__device__ __forceinline__ void GradientOfKeys(const AttentionGradParams& p, int64_t sample, int32_t kvHead) {
  __shared__ AttentionShared shared;
  const AttentionShape& s = p.shape;
  const int32_t firstKey =
      static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(p.rowBlocks)) * kAttentionTile;
  const int32_t firstColumn =
      static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * kAttentionTile * kChunks;
  AttentionTile dk[kChunks], dv[kChunks];
  for (int32_t member = 0; member < s.group; member++) {
    const AttentionHead head(sample, kvHead * s.group + member);
    for (int32_t query = s.causal != 0 ? firstKey : 0; query < s.queries; query += kAttentionTile) {
      const Weighed w = Weigh(p, head, shared, query, firstKey);
      Share<false>(shared, w.weights);
      AddWeighed(dv, shared, head.Outputs(s, p.dout), query, firstColumn);
      Share<false>(shared, w.scores);
      AddWeighed(dk, shared, head.Queries(s, p.q), query, firstColumn);
    }
  }
  const AttentionHead head(sample, kvHead * s.group);
  StoreTiles(dk, From(p.dk, head.KeyAt(s)), s.kRow, s.keys, s.dim, firstKey, firstColumn);
  StoreTiles(dv, From(p.dv, head.ValueAt(s)), s.vRow, s.keys, s.valueDim, firstKey, firstColumn);
}

template <int kChunks>
__device__ __forceinline__ void AllQueries(const AttentionGradParams& p) {
  const int64_t heads = int64_t{p.shape.batch} * p.shape.heads;
  for (int64_t head = blockIdx.y; head < heads; head += gridDim.y)
    GradientOfQueries<kChunks>(p, AttentionHead(p.shape, head));
}

template <int kChunks>
__device__ __forceinline__ void AllKeys(const AttentionGradParams& p) {
  const int64_t heads = int64_t{p.shape.batch} * p.shape.kvHeads;
  for (int64_t head = blockIdx.y; head < heads; head += gridDim.y)
    GradientOfKeys<kChunks>(p, head / p.shape.kvHeads, static_cast<int32_t>(head % p.shape.kvHeads));
}

}  // namespace

// What all scores of a query lose together: a warp for each query.
NABLA_ENTRY(attentionAlong, AttentionGradParams, kAttentionThreads) {
  const AttentionShape& s = p.shape;
  const int64_t row = blockIdx.x * int64_t{kAttentionThreads / 32} + threadIdx.x / 32;
  const int64_t count = int64_t{s.batch} * s.queries * s.heads;
  if (row >= count) return;
  // Rows are numbered as they lie in the output.
  const int64_t query = row / s.heads % s.queries, at = row * s.valueDim;
  const AttentionHead head(row / s.heads / s.queries, static_cast<int32_t>(row % s.heads));
  float sum = 0;
  for (int32_t i = static_cast<int32_t>(threadIdx.x % 32); i < s.valueDim; i += 32)
    sum = fmaf(Get(p.dout, at + i), Get(p.out, at + i), sum);
  sum = JoinWarp<JoinSum>(sum);
  if (threadIdx.x % 32 == 0) p.along[head.StatisticAt(s) + query] = sum;
}

NABLA_ENTRY(attentionGradQueries, AttentionGradParams, kAttentionThreads) { AllQueries<1>(p); }
NABLA_ENTRY(attentionGradQueriesWide, AttentionGradParams, kAttentionThreads) { AllQueries<2>(p); }
NABLA_ENTRY(attentionGradKeys, AttentionGradParams, kAttentionThreads) { AllKeys<1>(p); }
NABLA_ENTRY(attentionGradKeysWide, AttentionGradParams, kAttentionThreads) { AllKeys<2>(p); }

}  // namespace nabla::cuda
