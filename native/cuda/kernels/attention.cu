// attention: a block for a tile of queries, which meets the keys tile by tile and keeps the softmax's maximum
// and sum as it goes (Milakov and Gimelshein 2018; Dao et al. 2022).
#include "cuda/kernels/attention.h"

#include "cuda/kernels/attention_tile.h"

namespace nabla::cuda {
namespace {

// The threads that hold one row of a tile are neighbours in half a warp.
static_assert(AttentionTile::kAcross == 16);

template <class By>
__device__ __forceinline__ float JoinRow(float value) {
#pragma unroll
  for (int bits = 8; bits > 0; bits >>= 1) value = By::Join(value, __shfl_xor_sync(kAllLanes, value, bits));
  return value;
}

// A NaN does not count, as long as there are numbers.
struct JoinLargest {
  __device__ static float Join(float a, float b) { return fmaxf(a, b); }
};

template <int kChunks>
__device__ __forceinline__ void Attend(const AttentionParams& p, const AttentionHead& head) {
  __shared__ AttentionShared shared;
  const AttentionShape& s = p.shape;
  const int32_t firstQuery =
      static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(p.rowBlocks)) * kAttentionTile;
  const int32_t firstColumn =
      static_cast<int32_t>(blockIdx.x / static_cast<unsigned>(p.rowBlocks)) * kAttentionTile * kChunks;
  const int64_t maskAt = head.MaskAt(s);
  AttentionTile out[kChunks];
  float most[AttentionTile::kRows], total[AttentionTile::kRows];
#pragma unroll
  for (int i = 0; i < AttentionTile::kRows; i++) {
    most[i] = -kAttentionInfinity;
    total[i] = 0;
  }
  const int32_t end = s.causal != 0 ? min(s.keys, firstQuery + kAttentionTile) : s.keys;
  for (int32_t key = 0; key < end; key += kAttentionTile) {
    AttentionTile scores;
    MultiplyRows(scores, shared, head.Queries(s, p.q), head.Keys(s, p.k), firstQuery, key);
#pragma unroll
    for (int i = 0; i < AttentionTile::kRows; i++) {
      float largest = most[i];
#pragma unroll
      for (int j = 0; j < AttentionTile::kColumns; j++) {
        scores.sum[i][j] = Score(s, p.mask, p.sight, maskAt, firstQuery + AttentionTile::Row(i),
                                 key + AttentionTile::Column(j), scores.sum[i][j]);
        largest = fmaxf(largest, scores.sum[i][j]);
      }
      largest = JoinRow<JoinLargest>(largest);
      const float shrink = largest == most[i] ? 1.0f : expf(most[i] - largest);
      most[i] = largest;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < AttentionTile::kColumns; j++) {
        const float weight = largest == -kAttentionInfinity ? 0.0f : expf(scores.sum[i][j] - largest);
        sum += weight;
        shared.weights[AttentionTile::Column(j)][AttentionTile::Row(i)] = weight;
      }
      total[i] = total[i] * shrink + JoinRow<JoinSum>(sum);
#pragma unroll
      for (int chunk = 0; chunk < kChunks; chunk++) {
#pragma unroll
        for (int j = 0; j < AttentionTile::kColumns; j++) out[chunk].sum[i][j] *= shrink;
      }
    }
    AddWeighed(out, shared, head.Values(s, p.v), key, firstColumn);
  }
#pragma unroll
  for (int i = 0; i < AttentionTile::kRows; i++) {
    // A query that sees nothing gives zeros.
    const bool blind = most[i] == -kAttentionInfinity;
#pragma unroll
    for (int chunk = 0; chunk < kChunks; chunk++) {
#pragma unroll
      for (int j = 0; j < AttentionTile::kColumns; j++)
        out[chunk].sum[i][j] = blind ? 0.0f : out[chunk].sum[i][j] / total[i];
    }
    const int32_t query = firstQuery + AttentionTile::Row(i);
    if (p.logSumExp.data != nullptr && firstColumn == 0 && AttentionTile::Column(0) == 0 && query < s.queries)
      Set(p.logSumExp, head.StatisticAt(s) + query, blind ? kAttentionInfinity : most[i] + logf(total[i]));
  }
  StoreTiles(out, From(p.out, head.OutAt(s)), head.OutRow(s), s.queries, s.valueDim, firstQuery, firstColumn);
}

template <int kChunks>
__device__ __forceinline__ void Run(const AttentionParams& p) {
  const int64_t heads = int64_t{p.shape.batch} * p.shape.heads;
  for (int64_t head = blockIdx.y; head < heads; head += gridDim.y)
    Attend<kChunks>(p, AttentionHead(p.shape, head));
}

}  // namespace

NABLA_ENTRY(attention, AttentionParams, kAttentionThreads) { Run<1>(p); }
NABLA_ENTRY(attentionWide, AttentionParams, kAttentionThreads) { Run<2>(p); }

}  // namespace nabla::cuda
