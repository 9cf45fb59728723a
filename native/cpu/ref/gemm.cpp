// The matrix product in plain loops and double precision: what the fast kernels are compared with.
#include <cmath>

#include "cpu/kernel.h"

namespace nabla {
namespace ref {
namespace {

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

void RunGemm(const Call& call) {
  const int64_t batch = call.attr(0), m = call.attr(1), n = call.attr(2), k = call.attr(3);
  const bool transA = call.attr(4) == 1, transB = call.attr(5) == 1, accumulate = call.attr(10) == 1;
  const int64_t strideA = call.attr(6), strideB = call.attr(7), strideOut = call.attr(8);
  const Activation activation = static_cast<Activation>(call.attr(9));
  const double alpha = call.attrFloat(11);
  const float* bias = call.operand(3).present ? call.operand(3).as<float>() : nullptr;

  for (int64_t t = 0; t < batch; t++) {
    const float* a = call.operand(1).as<float>() + t * strideA;
    const float* b = call.operand(2).as<float>() + t * strideB;
    float* out = call.operand(0).as<float>() + t * strideOut;
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t p = 0; p < k; p++) {
          const double left = transA ? a[p * m + i] : a[i * k + p];
          const double right = transB ? b[j * k + p] : b[p * n + j];
          sum += left * right;
        }
        double value = k == 0 ? 0 : alpha * sum;
        if (bias != nullptr) value += bias[j];
        if (accumulate) value += out[i * n + j];
        out[i * n + j] = static_cast<float>(Activate(value, activation));
      }
    }
  }
}

}  // namespace ref
}  // namespace nabla
