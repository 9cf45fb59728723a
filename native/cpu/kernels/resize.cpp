// resize and resizeGrad: images in other sizes by the nearest pixel or by bilinear interpolation, channels
// last.
#include <cstring>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/resize.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#ifndef NABLA_CPU_KERNELS_RESIZE_SAMPLES_
#define NABLA_CPU_KERNELS_RESIZE_SAMPLES_
namespace nabla {

// What an output position reads: lower * (1 - fraction) + upper * fraction.
struct ResizeSample {
  int32_t lower, upper;
  float fraction;
};

// The samples of the output's rows, then those of its columns, into the scratch memory.
void FillResizeSamples(const Call& call);

}  // namespace nabla
#endif

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 16384;

// Calls body(i, d) for whole vectors of [0, count), then for single elements.
template <class Body>
HWY_INLINE void ForLanes(int64_t count, const Body& body) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, d);
  for (; i < count; ++i) body(i, one);
}

template <class V>
HWY_INLINE V Between(V a, V b, V fraction) {
  return hn::MulAdd(hn::Sub(b, a), fraction, a);
}

void BilinearRow(const float* top, const float* bottom, float* out, const ResizeSample* columns,
                 int64_t width, int64_t channels, float fraction) {
  for (int64_t x = 0; x < width; ++x, out += channels) {
    const int64_t left = columns[x].lower * channels, right = columns[x].upper * channels;
    ForLanes(channels, [=](int64_t c, auto d) HWY_ATTR {
      const auto across = hn::Set(d, columns[x].fraction);
      const auto above = Between(hn::LoadU(d, top + left + c), hn::LoadU(d, top + right + c), across);
      const auto below = Between(hn::LoadU(d, bottom + left + c), hn::LoadU(d, bottom + right + c), across);
      hn::StoreU(Between(above, below, hn::Set(d, fraction)), d, out + c);
    });
  }
}

void NearestRow(const std::byte* in, std::byte* out, const ResizeSample* columns, int64_t width,
                int64_t pixelBytes) {
  for (int64_t x = 0; x < width; ++x) {
    std::memcpy(out + x * pixelBytes, in + columns[x].lower * pixelBytes, static_cast<size_t>(pixelBytes));
  }
}

// to[i] += from[i] * weight
void AddScaled(float* to, const float* from, int64_t count, float weight) {
  ForLanes(count, [=](int64_t i, auto d) HWY_ATTR {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, from + i), hn::Set(d, weight), hn::LoadU(d, to + i)), d, to + i);
  });
}

void AddRow(float* to, const float* from, const ResizeSample* columns, int64_t width, int64_t channels,
            float weight) {
  for (int64_t x = 0; x < width; ++x, from += channels) {
    const ResizeSample& sample = columns[x];
    AddScaled(to + sample.lower * channels, from, channels, weight * (1 - sample.fraction));
    if (sample.fraction != 0)
      AddScaled(to + sample.upper * channels, from, channels, weight * sample.fraction);
  }
}

int64_t RowGrain(int64_t rowElements) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, rowElements));
}

}  // namespace

void RunResize(const Call& call) {
  const int64_t batch = call.attr(1), inH = call.attr(2), inW = call.attr(3), channels = call.attr(4);
  const int64_t outH = call.attr(5), outW = call.attr(6);
  if (batch * channels == 0 || outH * outW == 0) return;
  FillResizeSamples(call);
  const ResizeSample* rows = reinterpret_cast<const ResizeSample*>(call.scratch);
  const ResizeSample* columns = rows + outH;
  const bool nearest = call.attr(0) == static_cast<int32_t>(ResizeMode::kNearest);
  const int64_t pixelBytes = channels * SizeOf(call.operand(0).dtype);
  ParallelFor(call.pool, batch * outH, RowGrain(outW * channels), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const ResizeSample& sample = rows[row % outH];
      const int64_t image = row / outH * inH;
      if (nearest) {
        NearestRow(call.operand(1).data + (image + sample.lower) * inW * pixelBytes,
                   call.operand(0).data + row * outW * pixelBytes, columns, outW, pixelBytes);
      } else {
        const float* in = call.operand(1).as<float>();
        BilinearRow(
            in + (image + sample.lower) * inW * channels, in + (image + sample.upper) * inW * channels,
            call.operand(0).as<float>() + row * outW * channels, columns, outW, channels, sample.fraction);
      }
    }
  });
}

void RunResizeGrad(const Call& call) {
  const int64_t batch = call.attr(1), inH = call.attr(2), inW = call.attr(3), channels = call.attr(4);
  const int64_t outH = call.attr(5), outW = call.attr(6);
  float* to = call.operand(0).as<float>();
  if (outH * outW == 0) {
    std::fill(to, to + call.operand(0).size, 0.0f);
    return;
  }
  if (batch * channels == 0) return;
  FillResizeSamples(call);
  const ResizeSample* rows = reinterpret_cast<const ResizeSample*>(call.scratch);
  const ResizeSample* columns = rows + outH;
  const float* from = call.operand(1).as<float>();
  // Each thread owns input rows and looks for the output rows that read them: no two add to one place.
  ParallelFor(call.pool, batch * inH, RowGrain(outW * channels), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t image = row / inH, at = row % inH;
      float* mine = to + row * inW * channels;
      std::fill(mine, mine + inW * channels, 0.0f);
      for (int64_t y = 0; y < outH; ++y) {
        const ResizeSample& sample = rows[y];
        const float weight =
            (sample.lower == at ? 1 - sample.fraction : 0.0f) + (sample.upper == at ? sample.fraction : 0.0f);
        if (weight != 0)
          AddRow(mine, from + (image * outH + y) * outW * channels, columns, outW, channels, weight);
      }
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {
namespace {

// Positions are fractions of whole numbers, so that no rounding moves a sample to the next pixel.
ResizeSample SampleAt(const Call& call, int64_t at, int64_t in, int64_t out) {
  const bool align = call.attr(7) != 0 && out > 1, half = call.attr(8) != 0;
  const bool nearest = call.attr(0) == static_cast<int32_t>(ResizeMode::kNearest);
  int64_t numerator = align ? at * (in - 1) : at * in;
  int64_t denominator = align ? out - 1 : out;
  if (half) {
    numerator = (2 * at + 1) * in - (nearest ? 0 : out);
    denominator = 2 * out;
  }
  if (nearest) {
    const int64_t whole = align ? (2 * numerator + denominator) / (2 * denominator) : numerator / denominator;
    const int32_t index = static_cast<int32_t>(std::min(whole, in - 1));
    return {index, index, 0};
  }
  if (numerator < 0) return {0, 0, 0};
  const int64_t lower = numerator / denominator;
  const int32_t last = static_cast<int32_t>(in - 1);
  if (lower >= last) return {last, last, 0};
  const double fraction = static_cast<double>(numerator % denominator) / static_cast<double>(denominator);
  return {static_cast<int32_t>(lower), static_cast<int32_t>(lower + 1), static_cast<float>(fraction)};
}

size_t SampleBytes(const Instruction& instruction) {
  return sizeof(ResizeSample) *
         (static_cast<size_t>(instruction.attr(5)) + static_cast<size_t>(instruction.attr(6)));
}

}  // namespace

void FillResizeSamples(const Call& call) {
  const int64_t inH = call.attr(2), inW = call.attr(3), outH = call.attr(5), outW = call.attr(6);
  ResizeSample* samples = reinterpret_cast<ResizeSample*>(call.scratch);
  for (int64_t y = 0; y < outH; ++y) samples[y] = SampleAt(call, y, inH, outH);
  for (int64_t x = 0; x < outW; ++x) samples[outH + x] = SampleAt(call, x, inW, outW);
}

size_t ScratchResize(const Instruction& instruction, int) { return SampleBytes(instruction); }
size_t ScratchResizeGrad(const Instruction& instruction, int) { return SampleBytes(instruction); }

}  // namespace nabla
#endif  // HWY_ONCE
