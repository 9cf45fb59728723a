// The tiles of Winograd's minimal filtering for one instruction set: where they lie, and how those of the
// input are transformed.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_CONV_WINOGRAD_TILE_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_CONV_WINOGRAD_TILE_H_
#undef NABLA_CPU_KERNELS_CONV_WINOGRAD_TILE_H_
#else
#define NABLA_CPU_KERNELS_CONV_WINOGRAD_TILE_H_
#endif

#include "cpu/kernel.h"
#include "cpu/kernels/conv-rows.h"
#include "cpu/kernels/conv-winograd-plan.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {

namespace hn = hwy::HWY_NAMESPACE;
using gemm::D;
using gemm::kLanes;
using gemm::kPanel;
using gemm::V;
using nabla::conv::kWinogradPoints;
using nabla::conv::WinogradImages;

// A tile of an image, counted through the batch.
struct Place {
  int64_t image, row, column;

  Place(const WinogradImages& images, int64_t tile)
      : image(tile / images.imageTiles()),
        row(tile % images.imageTiles() / images.tiles[1]),
        column(tile % images.tiles[1]) {}

  void Next(const WinogradImages& images) {
    if (++column < images.tiles[1]) return;
    column = 0;
    if (++row < images.tiles[0]) return;
    row = 0;
    image++;
  }
};

// Rows [kFirst, kEnd) of B^T d B for all channels: pixel (i, j) is at(i, j), and point 4 * i + j goes to
// to + (4 * (i - kFirst) + j) * pitch. There are a vector's channels at least; the last vector ends with
// them, and so meets the one before.
template <int kFirst, int kEnd, class At>
HWY_INLINE void TransformPixels(const At& at, int64_t channels, float* HWY_RESTRICT to, int64_t pitch) {
  const D d;
  for (int64_t next = 0; next < channels; next += kLanes) {
    const int64_t c = HWY_MIN(next, channels - kLanes);
    NABLA_GEMM_UNROLL
    for (int i = kFirst; i < kEnd; i++) {
      // Rows 0 - 2, 1 + 2, 2 - 1, 1 - 3, and then columns likewise.
      V t[4];
      NABLA_GEMM_UNROLL
      for (int j = 0; j < 4; j++) {
        const V a = hn::LoadU(d, at(i == 0 ? 0 : i == 2 ? 2 : 1, j) + c);
        const V b = hn::LoadU(d, at(i == 3 ? 3 : i == 2 ? 1 : 2, j) + c);
        t[j] = i == 1 ? hn::Add(a, b) : hn::Sub(a, b);
      }
      float* point = to + 4 * (i - kFirst) * pitch + c;
      hn::StoreU(hn::Sub(t[0], t[2]), d, point);
      hn::StoreU(hn::Add(t[1], t[2]), d, point + pitch);
      hn::StoreU(hn::Sub(t[2], t[1]), d, point + 2 * pitch);
      hn::StoreU(hn::Sub(t[1], t[3]), d, point + 3 * pitch);
    }
  }
}

// Transforms the tiles [begin, end) of the input: rows [kFirst, kEnd) of their points, tile after tile at a
// distance of images.rowPitch(). `zeros` is a pixel for what lies outside the image.
template <int kFirst, int kEnd>
HWY_NOINLINE void TransformTiles(const WinogradImages& images, const float* input, int64_t begin, int64_t end,
                                 const float* zeros, float* to, int64_t pitch) {
  const int64_t channels = images.inC, rowFloats = images.in[1] * channels, step = images.rowPitch();
  Place place(images, begin);
  for (int64_t tile = begin; tile < end; tile++, to += step, place.Next(images)) {
    const int64_t row = 2 * place.row - images.pad[0], column = 2 * place.column - images.pad[1];
    const float* from = input + (place.image * images.in[0] + row) * rowFloats + column * channels;
    if (row >= 0 && row + 4 <= images.in[0] && column >= 0 && column + 4 <= images.in[1]) {
      const auto at = [=](int i, int j) HWY_ATTR { return from + i * rowFloats + j * channels; };
      TransformPixels<kFirst, kEnd>(at, channels, to, pitch);
    } else {
      const float* pixels[4][4];
      for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
          const bool inside =
              row + i >= 0 && row + i < images.in[0] && column + j >= 0 && column + j < images.in[1];
          pixels[i][j] = inside ? from + i * rowFloats + j * channels : zeros;
        }
      }
      const auto at = [&pixels](int i, int j) HWY_ATTR { return pixels[i][j]; };
      TransformPixels<kFirst, kEnd>(at, channels, to, pitch);
    }
  }
}

}  // namespace conv
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
