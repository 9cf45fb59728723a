// What rnn and rnnGrad share for one instruction set: rows cut into tiles, and loads and stores of a vector
// of units.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_RNN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_RNN_INL_H_
#undef NABLA_CPU_KERNELS_RNN_INL_H_
#else
#define NABLA_CPU_KERNELS_RNN_INL_H_
#endif

#include "cpu/kernels/gemm-tile.h"
#include "cpu/kernels/micro-math.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace rnn {

using gemm::kLanes;
using gemm::kPanel;
using gemm::kPanelVectors;
using gemm::kTileRows;

// A vector of units: all of them, or the last `count`.
template <bool kWhole>
HWY_INLINE VecF Load(const float* from, int count) {
  if constexpr (kWhole) return hn::LoadU(TagF(), from);
  return gemm::LoadPart(from, count);
}

template <bool kWhole>
HWY_INLINE void Store(VecF v, float* to, int count) {
  if constexpr (kWhole) {
    hn::StoreU(v, TagF(), to);
  } else {
    gemm::StorePart(v, to, count);
  }
}

// Calls body(row, rows) for tiles of nearly equal height.
template <class Body>
HWY_INLINE void ForTiles(int64_t begin, int64_t end, const Body& body) {
  const int64_t tiles = (end - begin + kTileRows - 1) / kTileRows;
  for (int64_t i = 0; i < tiles; i++) {
    const int64_t row = begin + (end - begin) * i / tiles;
    body(row, static_cast<int>(begin + (end - begin) * (i + 1) / tiles - row));
  }
}

// Vectors that a panel beginning at `unit` fills.
HWY_INLINE int VectorsAt(int64_t unit, int64_t units) {
  return static_cast<int>(HWY_MIN((units - unit + kLanes - 1) / kLanes, kPanelVectors));
}

}  // namespace rnn
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
