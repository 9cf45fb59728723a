// Maximum and average pooling and their gradients: vectors run over channels.
#include <cstring>

#include "cpu/kernel.h"
#include "cpu/kernels/conv-plan.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/pool.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "cpu/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
using nabla::conv::Shape;
using nabla::conv::Span;
using nabla::conv::TapsInside;

constexpr int64_t kLanes = hn::MaxLanes(D());
// Elements read that are worth a thread of their own.
constexpr int64_t kGrain = 32768;

int64_t GrainOf(int64_t each) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, each)); }

HWY_INLINE V LoadSome(const float* from, int64_t count) {
  const D d;
  return count >= kLanes ? hn::LoadU(d, from) : LoadFirst(d, from, static_cast<size_t>(count), 0.0f);
}

HWY_INLINE void StoreSome(V v, float* to, int64_t count) {
  const D d;
  if (count >= kLanes) {
    hn::StoreU(v, d, to);
  } else {
    StoreFirst(v, d, to, static_cast<size_t>(count));
  }
}

// The part of a window that lies inside the input, and where its first element is.
struct Window {
  int64_t size[3];  // in elements of the input
  int64_t begin;    // pixel in the image
  int64_t pixels() const { return size[0] * size[1] * size[2]; }
};

HWY_INLINE Window WindowAt(const Shape& s, int64_t d, int64_t h, int64_t w) {
  const int64_t at[3] = {d, h, w};
  Window window{};
  for (int i = 0; i < 3; i++) {
    const int64_t start = at[i] * s.stride[i] - s.pad[i];
    const Span taps = TapsInside(start, s.kernel[i], 1, s.in[i]);
    window.size[i] = taps.size();
    window.begin = window.begin * s.in[i] + start + taps.begin;
  }
  return window;
}

// Calls body(pixel) for every pixel of the window, in order.
template <class Body>
HWY_INLINE void ForEachPixel(const Shape& s, const Window& window, Body body) {
  for (int64_t d = 0; d < window.size[0]; d++) {
    for (int64_t h = 0; h < window.size[1]; h++) {
      const int64_t row = window.begin + (d * s.in[1] + h) * s.in[2];
      for (int64_t w = 0; w < window.size[2]; w++) body(row + w);
    }
  }
}

// NaN wins over numbers.
HWY_INLINE V Larger(V a, V b) { return hn::IfThenElse(hn::Or(hn::Gt(b, a), hn::IsNaN(b)), b, a); }

HWY_NOINLINE void PoolRow(const Call& call, const Shape& s, bool average, int64_t row) {
  const D d;
  const int64_t h = row % s.out[1], slab = row / s.out[1] % s.out[0], image = row / (s.out[1] * s.out[0]);
  const float* input = call.operand(1).as<float>() + image * s.inImage();
  float* out = call.operand(0).as<float>() + row * s.out[2] * s.inC;
  for (int64_t w = 0; w < s.out[2]; w++, out += s.inC) {
    const Window window = WindowAt(s, slab, h, w);
    const V scale = hn::Set(d, 1.0f / static_cast<float>(window.pixels()));
    for (int64_t c = 0; c < s.inC; c += kLanes) {
      const int64_t count = s.inC - c;
      V v = average ? hn::Zero(d) : LoadSome(input + window.begin * s.inC + c, count);
      ForEachPixel(s, window, [&](int64_t pixel) HWY_ATTR {
        const V x = LoadSome(input + pixel * s.inC + c, count);
        v = average ? hn::Add(v, x) : Larger(v, x);
      });
      StoreSome(average ? hn::Mul(v, scale) : v, out + c, count);
    }
  }
}

// Do windows cover the input exactly once? Then each gradient is stored when it is met, and nothing is zeroed before.
bool IsTiling(const Shape& s) {
  bool tiling = true;
  for (int i = 0; i < 3; i++) {
    tiling = tiling && s.pad[i] == 0 && s.stride[i] == s.kernel[i] && s.out[i] * s.kernel[i] == s.in[i];
  }
  return tiling;
}

// The gradient of some channels of one image.
template <bool kTiling>
HWY_NOINLINE void PoolGradImage(const Call& call, const Shape& s, bool average, int64_t image, const Span& channels) {
  const D d;
  float* out = call.operand(0).as<float>() + image * s.inImage();
  const float* input = call.operand(1).as<float>() + image * s.inImage();
  const float* y = call.operand(2).as<float>() + image * s.outImage();
  const float* dy = call.operand(3).as<float>() + image * s.outImage();
  if (!kTiling) {
    const size_t bytes = static_cast<size_t>(channels.size()) * sizeof(float);
    for (int64_t pixel = 0; pixel < s.in[0] * s.in[1] * s.in[2]; pixel++) {
      std::memset(out + pixel * s.inC + channels.begin, 0, bytes);
    }
  }
  const int64_t positions = s.out[0] * s.out[1] * s.out[2];
  for (int64_t position = 0; position < positions; position++, y += s.inC, dy += s.inC) {
    const Window window =
        WindowAt(s, position / (s.out[1] * s.out[2]), position / s.out[2] % s.out[1], position % s.out[2]);
    const V scale = hn::Set(d, 1.0f / static_cast<float>(window.pixels()));
    for (int64_t c = channels.begin; c < channels.end; c += kLanes) {
      const int64_t count = channels.end - c;
      V gradient = LoadSome(dy + c, count);
      if (average) gradient = hn::Mul(gradient, scale);
      const V largest = LoadSome(y + c, count);
      const auto isNaN = hn::IsNaN(largest);
      ForEachPixel(s, window, [&](int64_t pixel) HWY_ATTR {
        float* to = out + pixel * s.inC + c;
        V share = gradient;
        if (!average) {
          const V x = LoadSome(input + pixel * s.inC + c, count);
          const auto met = hn::Or(hn::Eq(x, largest), hn::And(isNaN, hn::IsNaN(x)));
          // The first maximum takes all of it: nothing is left for those that follow.
          share = hn::IfThenElseZero(met, gradient);
          gradient = hn::IfThenZeroElse(met, gradient);
        }
        StoreSome(kTiling ? share : hn::Add(LoadSome(to, count), share), to, count);
      });
    }
  }
}

}  // namespace

void RunPool(const Call& call) {
  const Shape s = nabla::conv::ReadPool(call.instruction);
  if (call.operand(0).size == 0) return;
  const bool average = static_cast<PoolKind>(call.attr(0)) == PoolKind::kAverage;
  const int64_t window = std::min(s.kernel[0], s.in[0]) * std::min(s.kernel[1], s.in[1]) * std::min(s.kernel[2], s.in[2]);
  ParallelFor(call.pool, s.batch * s.out[0] * s.out[1], GrainOf(s.out[2] * s.inC * window),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t row = begin; row < end; row++) PoolRow(call, s, average, row);
              });
}

void RunPoolGrad(const Call& call) {
  const Shape s = nabla::conv::ReadPool(call.instruction);
  if (call.operand(0).size == 0) return;
  const bool average = static_cast<PoolKind>(call.attr(0)) == PoolKind::kAverage;
  // Few images are shared among threads by their channels.
  const int64_t chunks = (s.inC + kLanes - 1) / kLanes;
  const int64_t pieces = s.batch >= call.pool.threads() ? 1 : std::min<int64_t>(chunks, call.pool.threads());
  const auto image = IsTiling(s) ? &PoolGradImage<true> : &PoolGradImage<false>;
  ParallelFor(call.pool, s.batch * pieces, GrainOf(s.inImage() / pieces), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t piece = unit % pieces;
      const Span channels = {chunks * piece / pieces * kLanes,
                             std::min<int64_t>(chunks * (piece + 1) / pieces * kLanes, s.inC)};
      image(call, s, average, unit / pieces, channels);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchPool(const Instruction&, int) { return 0; }
size_t ScratchPoolGrad(const Instruction&, int) { return 0; }

}  // namespace nabla
#endif  // HWY_ONCE
