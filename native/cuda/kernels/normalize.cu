// normalize and normalizeGrad: a warp or a block for each row; sums over rows in a fixed order.
#include "cuda/kernels/normalize.h"

#include "cuda/kernels/block.h"
#include "cuda/kernels/half.h"

namespace nabla::cuda {
namespace {

template <int kThreads>
__device__ __forceinline__ int64_t Row() {
  return blockIdx.x * int64_t{kNormalizeThreads / kThreads} + threadIdx.x / kThreads;
}
template <int kThreads>
__device__ __forceinline__ int32_t First() {
  return static_cast<int32_t>(threadIdx.x % kThreads);
}

template <int kThreads>
__device__ __forceinline__ void Normalize(const NormalizeParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const Floats x = From(p.input, row * p.columns), out = From(p.out, row * p.columns);
  const float share = 1.0f / static_cast<float>(p.columns > 0 ? p.columns : 1);
  float mean = 0;
  if (p.center != 0) {
    for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) mean += Get(x, i);
    mean = JoinBlock<JoinSum, kThreads>(mean, 0.0f) * share;
  }
  float squares = 0;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float away = Get(x, i) - mean;
    squares += away * away;
  }
  squares = JoinBlock<JoinSum, kThreads>(squares, 0.0f);
  const float rstd = 1.0f / sqrtf(squares * share + p.epsilon);
  if (First<kThreads>() == 0) {
    if (p.mean.data != nullptr) Set(p.mean, row, mean);
    if (p.rstd.data != nullptr) Set(p.rstd, row, rstd);
  }
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    float y = (Get(x, i) - mean) * rstd;
    if (p.scale.data != nullptr) y *= Get(p.scale, i);
    if (p.offset.data != nullptr) y += Get(p.offset, i);
    Set(out, i, y);
  }
}

__device__ __forceinline__ float Mean(const NormalizeGradParams& p, int64_t row) {
  return p.mean.data == nullptr ? 0.0f : Get(p.mean, row);
}
__device__ __forceinline__ float Scaled(const NormalizeGradParams& p, const Floats& dy, int32_t column) {
  return p.scale.data == nullptr ? Get(dy, column) : Get(dy, column) * Get(p.scale, column);
}

template <int kThreads>
__device__ __forceinline__ void NormalizeGrad(const NormalizeGradParams& p) {
  const int64_t row = Row<kThreads>();
  if (row >= p.rows) return;
  const Floats dy = From(p.dy, row * p.columns), x = From(p.input, row * p.columns);
  const Floats dx = From(p.dx, row * p.columns);
  const float mean = Mean(p, row), rstd = Get(p.rstd, row);
  const float share = 1.0f / static_cast<float>(p.columns > 0 ? p.columns : 1);
  float flow = 0, along = 0;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float g = Scaled(p, dy, i);
    flow += g;
    along += g * ((Get(x, i) - mean) * rstd);
  }
  flow = p.mean.data == nullptr ? 0.0f : JoinBlock<JoinSum, kThreads>(flow, 0.0f) * share;
  along = JoinBlock<JoinSum, kThreads>(along, 0.0f) * share;
  for (int32_t i = First<kThreads>(); i < p.columns; i += kThreads) {
    const float g = Scaled(p, dy, i);
    Set(dx, i, rstd * (g - flow - (Get(x, i) - mean) * rstd * along));
  }
}

}  // namespace

NABLA_ENTRY(normalizeWarp, NormalizeParams, kNormalizeThreads) { Normalize<32>(p); }
NABLA_ENTRY(normalizeBlock, NormalizeParams, kNormalizeThreads) { Normalize<kNormalizeThreads>(p); }
NABLA_ENTRY(normalizeGradWarp, NormalizeGradParams, kNormalizeThreads) { NormalizeGrad<32>(p); }
NABLA_ENTRY(normalizeGradBlock, NormalizeGradParams, kNormalizeThreads) {
  NormalizeGrad<kNormalizeThreads>(p);
}

// Sums over a stretch of the rows for some columns, of dy * u and of dy.
NABLA_ENTRY(normalizeSums, NormalizeGradParams, kNormalizeThreads) {
  constexpr int kDown = kNormalizeThreads / kNormalizeAcross;
  const int across = static_cast<int>(threadIdx.x) % kNormalizeAcross,
            down = static_cast<int>(threadIdx.x) / kNormalizeAcross;
  const int32_t column = static_cast<int32_t>(blockIdx.x) * kNormalizeAcross + across;
  const int32_t split = static_cast<int32_t>(blockIdx.y);
  float scale = 0, offset = 0;
  if (column < p.columns) {
    const int64_t end = p.rows * (split + 1) / p.splits;
    for (int64_t row = p.rows * split / p.splits + down; row < end; row += kDown) {
      const float dy = Get(p.dy, row * p.columns + column);
      scale += dy * ((Get(p.input, row * p.columns + column) - Mean(p, row)) * Get(p.rstd, row));
      offset += dy;
    }
  }
  __shared__ float scales[kNormalizeThreads], offsets[kNormalizeThreads];
  scales[threadIdx.x] = scale;
  offsets[threadIdx.x] = offset;
  __syncthreads();
  if (down != 0 || column >= p.columns) return;
  for (int other = 1; other < kDown; other++) {
    scale += scales[across + other * kNormalizeAcross];
    offset += offsets[across + other * kNormalizeAcross];
  }
  p.partial[int64_t{split} * p.columns + column] = scale;
  p.partial[(int64_t{p.splits} + split) * p.columns + column] = offset;
}

NABLA_ENTRY(normalizeFinish, NormalizeGradParams, kNormalizeThreads) {
  const int32_t column = static_cast<int32_t>(blockIdx.x * kNormalizeThreads + threadIdx.x);
  if (column >= p.columns) return;
  float scale = 0, offset = 0;
  for (int32_t split = 0; split < p.splits; split++) {
    scale += p.partial[int64_t{split} * p.columns + column];
    offset += p.partial[(int64_t{p.splits} + split) * p.columns + column];
  }
  if (p.dscale.data != nullptr) Set(p.dscale, column, scale);
  if (p.doffset.data != nullptr) Set(p.doffset, column, offset);
}

}  // namespace nabla::cuda
