// Convolution and its gradients in plain loops and double precision: what the fast kernels are compared with.
#include <cmath>
#include <vector>

#include "cpu/kernel.h"
#include "cpu/kernels/conv-plan.h"

namespace nabla {
namespace ref {
namespace {

// Calls body(input index, filter index, output index) for every product of the convolution.
template <class Body>
void ForEachProduct(const conv::Shape& s, Body body) {
  const int64_t inGroup = s.inGroup(), outGroup = s.outGroup();
  for (int64_t n = 0; n < s.batch; n++) {
    for (int64_t position = 0; position < s.out[0] * s.out[1] * s.out[2]; position++) {
      const int64_t od = position / (s.out[1] * s.out[2]), oh = position / s.out[2] % s.out[1];
      const int64_t ow = position % s.out[2];
      for (int64_t tap = 0; tap < s.taps(); tap++) {
        const int64_t kd = tap / (s.kernel[1] * s.kernel[2]), kh = tap / s.kernel[2] % s.kernel[1];
        const int64_t kw = tap % s.kernel[2];
        const int64_t id = od * s.stride[0] + kd * s.dilation[0] - s.pad[0];
        const int64_t ih = oh * s.stride[1] + kh * s.dilation[1] - s.pad[1];
        const int64_t iw = ow * s.stride[2] + kw * s.dilation[2] - s.pad[2];
        if (id < 0 || id >= s.in[0] || ih < 0 || ih >= s.in[1] || iw < 0 || iw >= s.in[2]) continue;
        const int64_t pixel = ((n * s.in[0] + id) * s.in[1] + ih) * s.in[2] + iw;
        for (int64_t c = 0; c < inGroup; c++) {
          for (int64_t o = 0; o < s.outC; o++) {
            body(pixel * s.inC + o / outGroup * inGroup + c, (tap * inGroup + c) * s.outC + o,
                 (n * s.out[0] * s.out[1] * s.out[2] + position) * s.outC + o);
          }
        }
      }
    }
  }
}

void Store(const std::vector<double>& from, const Operand& to) {
  for (size_t i = 0; i < from.size(); i++) to.as<float>()[i] = static_cast<float>(from[i]);
}

double Activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    default:
      return x;
  }
}

}  // namespace

void RunConv(const Call& call) {
  const conv::Shape s = conv::ReadShape(call.instruction);
  const float* input = call.operand(1).as<float>();
  const float* filter = call.operand(2).as<float>();
  std::vector<double> sums(static_cast<size_t>(call.operand(0).size));
  if (call.operand(3).present) {
    for (size_t i = 0; i < sums.size(); i++) {
      sums[i] = call.operand(3).as<float>()[i % static_cast<size_t>(s.outC)];
    }
  }
  ForEachProduct(s, [&](int64_t i, int64_t f, int64_t o) { sums[static_cast<size_t>(o)] += double{input[i]} * filter[f]; });
  for (double& sum : sums) sum = Activate(sum, static_cast<Activation>(call.attr(22)));
  Store(sums, call.operand(0));
}

void RunConvInputGrad(const Call& call) {
  const float* dy = call.operand(1).as<float>();
  const float* filter = call.operand(2).as<float>();
  std::vector<double> sums(static_cast<size_t>(call.operand(0).size));
  ForEachProduct(conv::ReadShape(call.instruction), [&](int64_t i, int64_t f, int64_t o) {
    sums[static_cast<size_t>(i)] += double{dy[o]} * filter[f];
  });
  Store(sums, call.operand(0));
}

void RunConvFilterGrad(const Call& call) {
  const float* input = call.operand(1).as<float>();
  const float* dy = call.operand(2).as<float>();
  std::vector<double> sums(static_cast<size_t>(call.operand(0).size));
  ForEachProduct(conv::ReadShape(call.instruction), [&](int64_t i, int64_t f, int64_t o) {
    sums[static_cast<size_t>(f)] += double{dy[o]} * input[i];
  });
  Store(sums, call.operand(0));
}

}  // namespace ref
}  // namespace nabla
