// resize and resizeGrad: a thread for each number that is written; places are fractions of whole numbers, so
// that no rounding moves them.
#include "cuda/kernels/resize.h"

#include "cuda/kernels/entry.h"

namespace nabla::cuda {
namespace {

struct Sample {
  int32_t lower, upper;
  float fraction;

  // What the sample takes of an input's place.
  __device__ __forceinline__ float Weight(int32_t place) const {
    return (place == lower ? 1 - fraction : 0.0f) + (place == upper ? fraction : 0.0f);
  }
};

// Where an output's place lies among `in` places; Int is wide enough for products of both sizes.
template <class Int>
__device__ __forceinline__ Sample SampleAt(const ResizeParams& p, int32_t place, int32_t inSize,
                                           int32_t outSize) {
  const Int at = place, in = inSize, out = outSize;
  const bool align = p.align != 0 && out > 1, nearest = p.mode == ResizeMode::kNearest;
  Int numerator = align ? at * (in - 1) : at * in, denominator = align ? out - 1 : out;
  if (p.half != 0) {
    numerator = (2 * at + 1) * in - (nearest ? 0 : out);
    denominator = 2 * out;
  }
  if (nearest) {
    const Int index = align ? (2 * numerator + denominator) / (2 * denominator) : numerator / denominator;
    const int32_t lower = static_cast<int32_t>(min(index, in - 1));
    return {lower, lower, 0.0f};
  }
  if (numerator < 0) return {0, 0, 0.0f};
  const Int lower = numerator / denominator;
  if (lower >= in - 1) return {inSize - 1, inSize - 1, 0.0f};
  const float fraction =
      static_cast<float>(numerator - lower * denominator) / static_cast<float>(denominator);
  return {static_cast<int32_t>(lower), static_cast<int32_t>(lower) + 1, fraction};
}

// The thread's number of what is written, taken apart by its image's size. False behind the end.
struct Pixel {
  int64_t number, image;
  int32_t y, x, channel;

  __device__ __forceinline__ bool Locate(const ResizeParams& p, int32_t height, int32_t width) {
    number = blockIdx.x * int64_t{kResizeThreads} + threadIdx.x;
    if (number >= p.size) return false;
    int64_t rest = number / p.channels;
    channel = static_cast<int32_t>(number - rest * p.channels);
    const int64_t row = rest / width;
    x = static_cast<int32_t>(rest - row * width);
    image = row / height;
    y = static_cast<int32_t>(row - image * height);
    return true;
  }
};

// Of a size in bytes.
template <class Number, class Int>
__device__ __forceinline__ void Nearest(const ResizeParams& p) {
  Pixel pixel;
  if (!pixel.Locate(p, p.outH, p.outW)) return;
  const int64_t y = SampleAt<Int>(p, pixel.y, p.inH, p.outH).lower,
                x = SampleAt<Int>(p, pixel.x, p.inW, p.outW).lower;
  static_cast<Number*>(p.out)[pixel.number] = static_cast<const Number*>(
      p.input)[((pixel.image * p.inH + y) * p.inW + x) * p.channels + pixel.channel];
}

template <class Int>
__device__ __forceinline__ void Bilinear(const ResizeParams& p) {
  Pixel pixel;
  if (!pixel.Locate(p, p.outH, p.outW)) return;
  const Sample v = SampleAt<Int>(p, pixel.y, p.inH, p.outH), h = SampleAt<Int>(p, pixel.x, p.inW, p.outW);
  const float* const image =
      static_cast<const float*>(p.input) + pixel.image * p.inH * p.inW * p.channels + pixel.channel;
  const auto row = [&](int64_t y) {
    const float left = image[(y * p.inW + h.lower) * p.channels],
                right = image[(y * p.inW + h.upper) * p.channels];
    return left + (right - left) * h.fraction;
  };
  const float top = row(v.lower), bottom = row(v.upper);
  static_cast<float*>(p.out)[pixel.number] = top + (bottom - top) * v.fraction;
}

// The first output whose sample reaches `place`, or, with kBehind, is behind it. Samples grow with outputs.
template <class Int, bool kBehind>
__device__ __forceinline__ int32_t FirstReader(const ResizeParams& p, int32_t place, int32_t in,
                                               int32_t out) {
  int32_t begin = 0, end = out;
  while (begin < end) {
    const int32_t middle = begin + (end - begin) / 2;
    const Sample sample = SampleAt<Int>(p, middle, in, out);
    const bool reached = kBehind ? sample.lower > place : sample.upper >= place;
    if (reached) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return begin;
}

// Every input asks the outputs that read it, in their order.
template <class Int>
__device__ __forceinline__ void Gradient(const ResizeParams& p) {
  Pixel pixel;
  if (!pixel.Locate(p, p.inH, p.inW)) return;
  const int32_t firstX = FirstReader<Int, false>(p, pixel.x, p.inW, p.outW),
                endX = FirstReader<Int, true>(p, pixel.x, p.inW, p.outW),
                endY = FirstReader<Int, true>(p, pixel.y, p.inH, p.outH);
  const float* const dOut =
      static_cast<const float*>(p.input) + pixel.image * p.outH * p.outW * p.channels + pixel.channel;
  float sum = 0;
  for (int32_t y = FirstReader<Int, false>(p, pixel.y, p.inH, p.outH); y < endY; y++) {
    const float weight = SampleAt<Int>(p, y, p.inH, p.outH).Weight(pixel.y);
    for (int32_t x = firstX; x < endX; x++) {
      const float share = weight * SampleAt<Int>(p, x, p.inW, p.outW).Weight(pixel.x);
      sum = fmaf(dOut[(int64_t{y} * p.outW + x) * p.channels], share, sum);
    }
  }
  static_cast<float*>(p.out)[pixel.number] = sum;
}

}  // namespace

// The second of each for images whose sizes' products need 64 bits.
NABLA_ENTRY(resizeNearest1, ResizeParams, kResizeThreads) { Nearest<uint8_t, int32_t>(p); }
NABLA_ENTRY(resizeNearest1Wide, ResizeParams, kResizeThreads) { Nearest<uint8_t, int64_t>(p); }
NABLA_ENTRY(resizeNearest4, ResizeParams, kResizeThreads) { Nearest<uint32_t, int32_t>(p); }
NABLA_ENTRY(resizeNearest4Wide, ResizeParams, kResizeThreads) { Nearest<uint32_t, int64_t>(p); }
NABLA_ENTRY(resizeBilinear, ResizeParams, kResizeThreads) { Bilinear<int32_t>(p); }
NABLA_ENTRY(resizeBilinearWide, ResizeParams, kResizeThreads) { Bilinear<int64_t>(p); }
NABLA_ENTRY(resizeGrad, ResizeParams, kResizeThreads) { Gradient<int32_t>(p); }
NABLA_ENTRY(resizeGradWide, ResizeParams, kResizeThreads) { Gradient<int64_t>(p); }

}  // namespace nabla::cuda
