// When convolutions of 3x3 are computed by Winograd's minimal filtering, F(2x2, 3x3) of Lavin and Gray
// (2016), and how they are cut up then; the same for every instruction set.
#pragma once

#include <algorithm>

#include "cpu/kernels/conv-pass.h"

namespace nabla {
namespace conv {

// Numbers of a transformed tile of the input, 4x4, which gives 2x2 outputs, and of a transformed filter.
constexpr int64_t kWinogradPoints = 16;
// Rows of the filter that are packed before they are transformed.
constexpr int64_t kWinogradPack = 16;

// Whether 2.25 times fewer multiplications pay for the transforms. That depends on the channels on both
// sides, on how many outputs of the tiles lie inside the image, and on how many tiles of an image share the
// transformed filter, which is larger than the filter. The size of the batch plays no part, so that a model
// predicts one sample as it was trained on many.
inline bool TakesWinograd(const Shape& s) {
  constexpr int64_t kLeastChannels = 16, kLeastExtent = 6, kLeastTiles = 16, kPairsOfTile = 2048;
  const auto plain = [](const int64_t* three) { return three[0] == 1 && three[1] == 1 && three[2] == 1; };
  if (s.kernel[0] != 1 || s.kernel[1] != 3 || s.kernel[2] != 3 || s.groups != 1) return false;
  if (!plain(s.stride) || !plain(s.dilation) || s.in[0] != 1 || s.out[0] != 1) return false;
  if (std::min(s.inC, s.outC) < kLeastChannels || std::min(s.out[1], s.out[2]) < kLeastExtent) return false;
  const int64_t tiles = ((s.out[1] + 1) / 2) * ((s.out[2] + 1) / 2);
  return tiles >= kLeastTiles && s.inC * s.outC <= kPairsOfTile * tiles;
}

// What the kernels have in common: images cut into tiles of 2x2 outputs. Arrays are height, width.
struct WinogradImages {
  int64_t batch;
  int64_t in[2], inC;
  int64_t out[2], outC;
  int64_t pad[2];
  int64_t tiles[2];

  int64_t imageTiles() const { return tiles[0] * tiles[1]; }
  int64_t allTiles() const { return batch * imageTiles(); }
  // Floats between the transformed inputs of two tiles. Distances that are multiples of 1 KiB would meet in
  // the same places of the first cache.
  int64_t rowPitch() const { return RoundUp(inC) + (RoundUp(inC) % 256 == 0 ? 16 : 0); }
  // The filter transformed, in panels.
  int64_t filterFloats() const { return kWinogradPoints * inC * RoundUp(outC + kWidestPanel); }
};

inline WinogradImages ImagesOf(const Shape& s, bool gradient) {
  WinogradImages w{};
  w.batch = s.batch;
  w.inC = gradient ? s.outC : s.inC, w.outC = gradient ? s.inC : s.outC;
  for (int i = 0; i < 2; i++) {
    w.in[i] = gradient ? s.out[i + 1] : s.in[i + 1];
    w.out[i] = gradient ? s.in[i + 1] : s.out[i + 1];
    w.pad[i] = gradient ? 2 - s.pad[i + 1] : s.pad[i + 1];
    w.tiles[i] = (w.out[i] + 1) / 2;
  }
  return w;
}

// A convolution, or the gradient of its input, which is a convolution with the filter turned.
struct Winograd : WinogradImages {
  bool turned;         // the filter is read backwards and with its channels exchanged
  int64_t blockTiles;  // tiles that are transformed and multiplied together

  int64_t pointPitch() const { return blockTiles * rowPitch() + 16; }  // from point to point of the tiles
  int64_t sumFloats() const { return blockTiles * (kWinogradPoints * kWidestPanel + 16); }
  int64_t threadFloats() const { return kWinogradPoints * pointPitch() + sumFloats() + RoundUp(inC); }
  int64_t floats(int threads) const { return filterFloats() + threads * threadFloats(); }
};

inline Winograd PlanWinograd(const Shape& s, bool gradient) {
  // 84 is a multiple of the rows of every instruction set's tile. A block stays in the second cache.
  constexpr int64_t kBlock = 84, kBlockFloats = 220'000;
  Winograd w{ImagesOf(s, gradient), gradient, kBlock};
  const int64_t each = kWinogradPoints * (w.rowPitch() + kWidestPanel);
  if (kBlock * each > kBlockFloats) w.blockTiles = kBlock / 2 * each > kBlockFloats ? kBlock / 3 : kBlock / 2;
  return w;
}

// The gradient of the filter: a row of points at a time.
struct WinogradFilter : WinogradImages {
  int64_t blockTiles;  // tiles that are summed in one go

  int64_t pointPitch() const { return blockTiles * rowPitch() + 16; }
  int64_t panelPitch() const { return blockTiles * kWidestPanel + 16; }
  int64_t threadFloats() const { return 4 * (pointPitch() + panelPitch()) + RoundUp(inC); }
  int64_t floats(int threads) const { return filterFloats() + threads * threadFloats(); }
};

inline WinogradFilter PlanWinogradFilter(const Shape& s) {
  // Long sums hide the way of the products through memory; a block stays in the second cache.
  constexpr int64_t kLeastBlock = 56, kMostBlock = 168, kBlockFloats = 110'000;
  WinogradFilter w{ImagesOf(s, false), kMostBlock};
  const int64_t each = 4 * (w.rowPitch() + kWidestPanel);
  w.blockTiles = std::clamp(kBlockFloats / each, kLeastBlock, kMostBlock);
  return w;
}

}  // namespace conv
}  // namespace nabla
