// Pooling and its gradient in plain loops and double precision: what the fast kernels are compared with.
#include <cmath>
#include <vector>

#include "cpu/kernel.h"
#include "cpu/kernels/conv-plan.h"

namespace nabla {
namespace ref {
namespace {

// The input indices of the window of one output number, in order.
std::vector<int64_t> Window(const conv::Shape& s, int64_t output) {
  const int64_t c = output % s.inC, position = output / s.inC;
  const int64_t ow = position % s.out[2], oh = position / s.out[2] % s.out[1];
  const int64_t od = position / (s.out[2] * s.out[1]) % s.out[0], n = position / (s.out[2] * s.out[1] * s.out[0]);
  std::vector<int64_t> indices;
  for (int64_t kd = 0; kd < s.kernel[0]; kd++) {
    for (int64_t kh = 0; kh < s.kernel[1]; kh++) {
      for (int64_t kw = 0; kw < s.kernel[2]; kw++) {
        const int64_t id = od * s.stride[0] + kd - s.pad[0];
        const int64_t ih = oh * s.stride[1] + kh - s.pad[1];
        const int64_t iw = ow * s.stride[2] + kw - s.pad[2];
        if (id < 0 || id >= s.in[0] || ih < 0 || ih >= s.in[1] || iw < 0 || iw >= s.in[2]) continue;
        indices.push_back((((n * s.in[0] + id) * s.in[1] + ih) * s.in[2] + iw) * s.inC + c);
      }
    }
  }
  return indices;
}

}  // namespace

void RunPool(const Call& call) {
  const conv::Shape s = conv::ReadPool(call.instruction);
  const bool average = static_cast<PoolKind>(call.attr(0)) == PoolKind::kAverage;
  const float* input = call.operand(1).as<float>();
  for (int64_t o = 0; o < call.operand(0).size; o++) {
    const std::vector<int64_t> window = Window(s, o);
    double value = average ? 0 : input[window[0]];
    for (int64_t i : window) {
      const double x = input[i];
      if (average) {
        value += x;
      } else if (x > value || std::isnan(x)) {
        value = x;
      }
      if (!average && std::isnan(value)) break;
    }
    if (average) value /= static_cast<double>(window.size());
    call.operand(0).as<float>()[o] = static_cast<float>(value);
  }
}

void RunPoolGrad(const Call& call) {
  const conv::Shape s = conv::ReadPool(call.instruction);
  const bool average = static_cast<PoolKind>(call.attr(0)) == PoolKind::kAverage;
  const float* input = call.operand(1).as<float>();
  const float* y = call.operand(2).as<float>();
  const float* dy = call.operand(3).as<float>();
  std::vector<double> sums(static_cast<size_t>(call.operand(0).size));
  for (int64_t o = 0; o < call.operand(2).size; o++) {
    const std::vector<int64_t> window = Window(s, o);
    for (int64_t i : window) {
      if (average) {
        sums[static_cast<size_t>(i)] += double{dy[o]} / static_cast<double>(window.size());
      } else if (input[i] == y[o] || (std::isnan(input[i]) && std::isnan(y[o]))) {
        sums[static_cast<size_t>(i)] += double{dy[o]};
        break;
      }
    }
  }
  for (size_t i = 0; i < sums.size(); i++) call.operand(0).as<float>()[i] = static_cast<float>(sums[i]);
}

}  // namespace ref
}  // namespace nabla
