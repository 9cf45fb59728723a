// The inner loop of products of bfloat16 on tensor cores: stages of tiles in shared memory, filled by copies
// that are under way while warps multiply the stages before.
#pragma once

#include "cuda/kernels/async.h"
#include "cuda/kernels/mma.h"

namespace nabla::cuda {

// How a factor's tile lies in memory and in shared memory, kDepth of the sum by kAlong rows or columns of the
// product: lines of either, cut into chunks of 8 numbers, whose places in a line are exchanged so that lanes
// that read the same chunk of 8 lines find them in different banks.
template <int kTileAlong, int kTileDepth, bool kAlongFirst, int kThreads>
struct HalfFactor {
  static constexpr int kAlong = kTileAlong, kDepth = kTileDepth;
  static constexpr int kLine = kAlongFirst ? kAlong : kDepth, kLines = kAlongFirst ? kDepth : kAlong;
  static constexpr int kChunks = kLine / 8, kSize = kAlong * kDepth;
  // Chunks that one thread brings: `kPieces` lines, kApart apart, the same place in each.
  static constexpr int kPieces = kSize / 8 / kThreads, kApart = kThreads / kChunks;
  static_assert(kSize % (8 * kThreads) == 0 && kThreads % kChunks == 0 && kLine % 32 == 0);

  __device__ static __forceinline__ int Place(int line, int chunk) {
    const int turn = kChunks >= 8 ? line % 8 : line / 2 % 4;
    return line * kLine + (chunk ^ turn) * 8;
  }
  // Of this thread's piece: its first number along the product, and of the sum.
  __device__ static __forceinline__ int Line(int piece) {
    return static_cast<int>(threadIdx.x) / kChunks + piece * kApart;
  }
  __device__ static __forceinline__ int Chunk() { return static_cast<int>(threadIdx.x) % kChunks; }
  __device__ static __forceinline__ int Along(int piece) { return kAlongFirst ? Chunk() * 8 : Line(piece); }
  __device__ static __forceinline__ int Depth(int piece) { return kAlongFirst ? Line(piece) : Chunk() * 8; }
};

// Eight numbers on their way through registers.
struct HalfChunk {
  uint32_t words[4];
};

// A block computes kM x kN sums, kK products of each at a time; kDown x kAcross warps share the tile.
// kLeftAlong: the left factor lies with rows of the product next to each other, kRightAlong: the right one
// with columns; else with numbers of one sum. kAligned: every chunk of 8 numbers lies at a multiple of 16
// bytes and is there as a whole or not at all.
template <int kTileM, int kTileN, int kTileDown, int kTileAcross, bool kLeftAlong, bool kRightAlong,
          bool kTileAligned>
struct HalfTile {
  static constexpr int kM = kTileM, kN = kTileN, kK = 32, kDown = kTileDown, kAcross = kTileAcross;
  static constexpr int kThreads = 32 * kDown * kAcross, kStages = 3;
  static constexpr int kWarpRows = kM / kDown, kWarpColumns = kN / kAcross;
  static constexpr int kRowTiles = kWarpRows / Bf16::kRows, kColumnTiles = kWarpColumns / Bf16::kColumns;
  static constexpr bool kAligned = kTileAligned;
  using Left = HalfFactor<kM, kK, kLeftAlong, kThreads>;
  using Right = HalfFactor<kN, kK, kRightAlong, kThreads>;
  static_assert(kWarpRows % 16 == 0 && kWarpColumns % 16 == 0);

  struct Stage {
    alignas(16) uint16_t left[Left::kSize];
    alignas(16) uint16_t right[Right::kSize];
  };

  float sum[kRowTiles][kColumnTiles][4] = {};

  // Of sum[i][j][c].
  __device__ static __forceinline__ int Row(int i, int c) {
    return Warp() / kAcross * kWarpRows + i * Bf16::kRows + Lane() / 4 + c / 2 * 8;
  }
  __device__ static __forceinline__ int Column(int j, int c) {
    return Warp() % kAcross * kWarpColumns + j * Bf16::kColumns + Lane() % 4 * 2 + c % 2;
  }

  __device__ __forceinline__ void Accumulate(const Stage& stage) {
    const int row = Warp() / kAcross * kWarpRows, column = Warp() % kAcross * kWarpColumns;
    const int matrix = Lane() / 8, line = Lane() % 8;
#pragma unroll
    for (int q = 0; q < kK; q += Bf16::kDepth) {
      uint32_t y[kColumnTiles][2];
#pragma unroll
      for (int j = 0; j < kColumnTiles; j += 2) {
        // Of two tiles next to each other: the upper and the lower half of the first, then of the second.
        const int n = column + j * Bf16::kColumns + matrix / 2 * 8, k = q + matrix % 2 * 8;
        const int at = kRightAlong ? Right::Place(k + line, n / 8) : Right::Place(n + line, k / 8);
        uint32_t both[4];
        LoadMatrices<kRightAlong>(both, stage.right + at);
        y[j][0] = both[0];
        y[j][1] = both[1];
        y[j + 1][0] = both[2];
        y[j + 1][1] = both[3];
      }
#pragma unroll
      for (int i = 0; i < kRowTiles; i++) {
        const int m = row + i * Bf16::kRows + matrix % 2 * 8, k = q + matrix / 2 * 8;
        const int at = kLeftAlong ? Left::Place(k + line, m / 8) : Left::Place(m + line, k / 8);
        uint32_t x[4];
        LoadMatrices<kLeftAlong>(x, stage.left + at);
#pragma unroll
        for (int j = 0; j < kColumnTiles; j++) Bf16::Multiply(sum[i][j], x, y[j]);
      }
    }
  }

  // Adds up `steps` times kK products of each sum. What a factor's source says of a piece of this thread at a
  // step: Chunk, where its eight numbers lie, null where they count as 0; Number, one of them, where they are
  // not aligned.
  template <class LeftSource, class RightSource>
  __device__ __forceinline__ void Run(Stage* stages, int32_t steps, const LeftSource& left,
                                      const RightSource& right) {
    if constexpr (kAligned) {
      RunAsync(stages, steps, left, right);
    } else {
      RunPlain(stages, steps, left, right);
    }
    // The next product takes the same memory.
    __syncthreads();
  }

 private:
  __device__ static __forceinline__ int Warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static __forceinline__ int Lane() { return static_cast<int>(threadIdx.x) % 32; }

  template <class Factor, class Source>
  __device__ static __forceinline__ void Bring(uint16_t* to, int32_t step, const Source& source) {
#pragma unroll
    for (int piece = 0; piece < Factor::kPieces; piece++) {
      const uint16_t* const from = source.Chunk(piece, step);
      uint16_t* const at = to + Factor::Place(Factor::Line(piece), Factor::Chunk());
      CopyAsync(at, from == nullptr ? source.Any() : from, from == nullptr ? 0 : 16);
    }
  }

  template <class LeftSource, class RightSource>
  __device__ __forceinline__ void RunAsync(Stage* stages, int32_t steps, const LeftSource& left,
                                           const RightSource& right) {
#pragma unroll
    for (int32_t ahead = 0; ahead < kStages - 1; ahead++) {
      if (ahead < steps) {
        Bring<Left>(stages[ahead].left, ahead, left);
        Bring<Right>(stages[ahead].right, ahead, right);
      }
      EndCopies();
    }
    int at = 0, free = kStages - 1;
    for (int32_t step = 0; step < steps; step++) {
      AwaitCopies<kStages - 2>();
      // All threads' copies of this step are here, and all have read the stage before it.
      __syncthreads();
      if (step + kStages - 1 < steps) {
        Bring<Left>(stages[free].left, step + kStages - 1, left);
        Bring<Right>(stages[free].right, step + kStages - 1, right);
      }
      EndCopies();
      Accumulate(stages[at]);
      at = at + 1 == kStages ? 0 : at + 1;
      free = free + 1 == kStages ? 0 : free + 1;
    }
    AwaitCopies<0>();
  }

  template <class Factor, class Source>
  __device__ static __forceinline__ void Fetch(HalfChunk (&to)[Factor::kPieces], int32_t step,
                                               const Source& source) {
#pragma unroll
    for (int piece = 0; piece < Factor::kPieces; piece++) {
#pragma unroll
      for (int pair = 0; pair < 4; pair++) {
        to[piece].words[pair] =
            source.Number(piece, step, 2 * pair) | source.Number(piece, step, 2 * pair + 1) << 16;
      }
    }
  }

  template <class Factor>
  __device__ static __forceinline__ void Put(uint16_t* to, const HalfChunk (&from)[Factor::kPieces]) {
#pragma unroll
    for (int piece = 0; piece < Factor::kPieces; piece++) {
      const uint32_t(&words)[4] = from[piece].words;
      *reinterpret_cast<uint4*>(to + Factor::Place(Factor::Line(piece), Factor::Chunk())) =
          make_uint4(words[0], words[1], words[2], words[3]);
    }
  }

  // Through registers, two stages in turn.
  template <class LeftSource, class RightSource>
  __device__ __forceinline__ void RunPlain(Stage* stages, int32_t steps, const LeftSource& left,
                                           const RightSource& right) {
    HalfChunk nextLeft[Left::kPieces], nextRight[Right::kPieces];
    if (steps > 0) {
      Fetch<Left>(nextLeft, 0, left);
      Fetch<Right>(nextRight, 0, right);
    }
    for (int32_t step = 0; step < steps; step++) {
      Stage& stage = stages[step % 2];
      Put<Left>(stage.left, nextLeft);
      Put<Right>(stage.right, nextRight);
      // All have read the other stage, too.
      __syncthreads();
      if (step + 1 < steps) {
        Fetch<Left>(nextLeft, step + 1, left);
        Fetch<Right>(nextRight, step + 1, right);
      }
      Accumulate(stage);
    }
  }
};

}  // namespace nabla::cuda
