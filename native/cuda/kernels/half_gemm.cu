// gemm of bfloat16 on tensor cores, with sums in float32.
#include "cuda/kernels/activate.h"
#include "cuda/kernels/gemm.h"
#include "cuda/kernels/half_tile.h"

namespace nabla::cuda {
namespace {

// A factor that is stored [along, depth], or [depth, along] where kAlongFirst.
template <class Factor, bool kAlongFirst>
struct Matrix {
  const uint16_t* from;
  int32_t alongs, depths, endDepth, firstAlong, firstDepth;

  __device__ __forceinline__ const uint16_t* Any() const { return from; }
  __device__ __forceinline__ const uint16_t* At(int32_t along, int32_t depth) const {
    return from + (kAlongFirst ? int64_t{depth} * alongs + along : int64_t{along} * depths + depth);
  }
  __device__ __forceinline__ const uint16_t* Chunk(int piece, int32_t step) const {
    const int32_t along = firstAlong + Factor::Along(piece);
    const int32_t depth = firstDepth + step * Factor::kDepth + Factor::Depth(piece);
    return along < alongs && depth < endDepth ? At(along, depth) : nullptr;
  }
  __device__ __forceinline__ uint32_t Number(int piece, int32_t step, int number) const {
    const int32_t along = firstAlong + Factor::Along(piece) + (kAlongFirst ? number : 0);
    const int32_t depth =
        firstDepth + step * Factor::kDepth + Factor::Depth(piece) + (kAlongFirst ? 0 : number);
    return along < alongs && depth < endDepth ? *At(along, depth) : 0u;
  }
};

template <int kM, int kN, int kDown, int kAcross, bool kTransA, bool kTransB, bool kAligned>
__device__ __forceinline__ void Gemm(const GemmParams& p) {
  using Tile = HalfTile<kM, kN, kDown, kAcross, kTransA, !kTransB, kAligned>;
  __shared__ typename Tile::Stage stages[Tile::kStages];
  const int32_t firstRow = static_cast<int32_t>(blockIdx.x) % p.rowBlocks * kM;
  const int32_t firstColumn = static_cast<int32_t>(blockIdx.x) / p.rowBlocks * kN;
  const int32_t beginK = static_cast<int32_t>(blockIdx.z) * p.splitK, endK = min(p.k, beginK + p.splitK);
  const int32_t steps = (endK - beginK + Tile::kK - 1) / Tile::kK;
  for (int32_t matrix = static_cast<int32_t>(blockIdx.y); matrix < p.batch;
       matrix += static_cast<int32_t>(gridDim.y)) {
    const Matrix<typename Tile::Left, kTransA> left = {
        static_cast<const uint16_t*>(p.a) + matrix * p.strideA, p.m, p.k, endK, firstRow, beginK};
    const Matrix<typename Tile::Right, !kTransB> right = {
        static_cast<const uint16_t*>(p.b) + matrix * p.strideB, p.n, p.k, endK, firstColumn, beginK};
    Tile tile;
    tile.Run(stages, steps, left, right);
#pragma unroll
    for (int i = 0; i < Tile::kRowTiles; i++) {
#pragma unroll
      for (int j = 0; j < Tile::kColumnTiles; j++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
          const int32_t row = firstRow + Tile::Row(i, c), column = firstColumn + Tile::Column(j, c);
          if (row < p.m && column < p.n) StoreProduct(p, matrix, row, column, tile.sum[i][j][c]);
        }
      }
    }
  }
}

}  // namespace

#define NABLA_HALF_GEMM(name, transA, transB)                                                      \
  NABLA_ENTRY(halfLarge##name, GemmParams, 256) { Gemm<128, 128, 2, 4, transA, transB, true>(p); } \
  NABLA_ENTRY(halfSmall##name, GemmParams, 128) { Gemm<64, 64, 2, 2, transA, transB, true>(p); }   \
  NABLA_ENTRY(halfPlain##name, GemmParams, 128) { Gemm<64, 64, 2, 2, transA, transB, false>(p); }
// As their matrices are stored: a turned, b turned.
NABLA_HALF_GEMM(NN, false, false)
NABLA_HALF_GEMM(NT, false, true)
NABLA_HALF_GEMM(TN, true, false)
NABLA_HALF_GEMM(TT, true, true)
#undef NABLA_HALF_GEMM

}  // namespace nabla::cuda
