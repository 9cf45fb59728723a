// The plain double-precision twins of resize and resizeGrad.
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

struct Sample {
  int64_t lower, upper;
  double fraction;
};

// Where an output position lies among `in` input positions, as a fraction of whole numbers, so that no
// rounding moves it.
Sample SampleAt(const Call& call, int64_t at, int64_t in, int64_t out) {
  const bool align = call.attr(7) != 0 && out > 1, half = call.attr(8) != 0;
  const bool nearest = call.attr(0) == static_cast<int32_t>(ResizeMode::kNearest);
  int64_t numerator = align ? at * (in - 1) : at * in, denominator = align ? out - 1 : out;
  if (half) {
    numerator = (2 * at + 1) * in - (nearest ? 0 : out);
    denominator = 2 * out;
  }
  if (nearest) {
    int64_t index = align ? (2 * numerator + denominator) / (2 * denominator) : numerator / denominator;
    index = std::min(index, in - 1);
    return {index, index, 0};
  }
  if (numerator < 0) return {0, 0, 0};
  const int64_t lower = numerator / denominator;
  if (lower >= in - 1) return {in - 1, in - 1, 0};
  return {lower, lower + 1, static_cast<double>(numerator % denominator) / static_cast<double>(denominator)};
}

}  // namespace

void RunResize(const Call& call) {
  const int64_t batch = call.attr(1), inH = call.attr(2), inW = call.attr(3), channels = call.attr(4);
  const int64_t outH = call.attr(5), outW = call.attr(6);
  const int64_t bytes = SizeOf(call.operand(0).dtype);
  for (int64_t i = 0; i < batch * outH * outW * channels; ++i) {
    const int64_t c = i % channels, x = i / channels % outW, y = i / channels / outW % outH;
    const int64_t image = i / channels / outW / outH;
    const Sample v = SampleAt(call, y, inH, outH), h = SampleAt(call, x, inW, outW);
    const auto from = [&](int64_t row, int64_t column) {
      return ((image * inH + row) * inW + column) * channels + c;
    };
    if (call.attr(0) == static_cast<int32_t>(ResizeMode::kNearest)) {
      std::memcpy(call.operand(0).data + i * bytes, call.operand(1).data + from(v.lower, h.lower) * bytes,
                  static_cast<size_t>(bytes));
      continue;
    }
    const float* in = call.operand(1).as<float>();
    const auto row = [&](int64_t r) {
      const double left = in[from(r, h.lower)], right = in[from(r, h.upper)];
      return left + (right - left) * h.fraction;
    };
    const double top = row(v.lower), bottom = row(v.upper);
    call.operand(0).as<float>()[i] = static_cast<float>(top + (bottom - top) * v.fraction);
  }
}

void RunResizeGrad(const Call& call) {
  const int64_t batch = call.attr(1), inH = call.attr(2), inW = call.attr(3), channels = call.attr(4);
  const int64_t outH = call.attr(5), outW = call.attr(6);
  std::vector<double> sums(static_cast<size_t>(batch * inH * inW * channels));
  for (int64_t i = 0; i < batch * outH * outW * channels; ++i) {
    const int64_t c = i % channels, x = i / channels % outW, y = i / channels / outW % outH;
    const int64_t image = i / channels / outW / outH;
    const Sample v = SampleAt(call, y, inH, outH), h = SampleAt(call, x, inW, outW);
    const double gradient = call.operand(1).as<float>()[i];
    const auto add = [&](int64_t row, int64_t column, double weight) {
      sums[static_cast<size_t>(((image * inH + row) * inW + column) * channels + c)] += gradient * weight;
    };
    add(v.lower, h.lower, (1 - v.fraction) * (1 - h.fraction));
    add(v.lower, h.upper, (1 - v.fraction) * h.fraction);
    add(v.upper, h.lower, v.fraction * (1 - h.fraction));
    add(v.upper, h.upper, v.fraction * h.fraction);
  }
  for (size_t i = 0; i < sums.size(); ++i) call.operand(0).as<float>()[i] = static_cast<float>(sums[i]);
}

}  // namespace nabla::ref
