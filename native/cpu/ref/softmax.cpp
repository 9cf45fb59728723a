// The plain double-precision twins of softmax, softmaxGrad and softmaxCrossEntropy.
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

std::vector<double> LogSoftmax(const float* x, int64_t n) {
  double max = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) max = x[i] > max ? x[i] : max;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - max);
  std::vector<double> result;
  for (int64_t i = 0; i < n; ++i) result.push_back(x[i] - max - std::log(sum));
  return result;
}

}  // namespace

void RunSoftmax(const Call& call) {
  const int64_t rows = call.attr(0), columns = call.attr(1);
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<double> y = LogSoftmax(call.operand(1).as<float>() + row * columns, columns);
    float* out = call.operand(0).as<float>() + row * columns;
    for (int64_t i = 0; i < columns; ++i)
      out[i] = static_cast<float>(call.attr(2) != 0 ? y[i] : std::exp(y[i]));
  }
}

void RunSoftmaxGrad(const Call& call) {
  const int64_t rows = call.attr(0), columns = call.attr(1);
  const bool log = call.attr(2) != 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float* y = call.operand(1).as<float>() + row * columns;
    const float* dy = call.operand(2).as<float>() + row * columns;
    float* out = call.operand(0).as<float>() + row * columns;
    double sum = 0;
    for (int64_t i = 0; i < columns; ++i) sum += log ? dy[i] : double{dy[i]} * y[i];
    for (int64_t i = 0; i < columns; ++i) {
      out[i] = static_cast<float>(log ? dy[i] - std::exp(double{y[i]}) * sum : y[i] * (dy[i] - sum));
    }
  }
}

void RunSoftmaxCrossEntropy(const Call& call) {
  const Operand& labels = call.operand(3);
  const int64_t rows = call.attr(0), columns = call.attr(1);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t label = -1;
    if (labels.dtype != DType::kFloat32) {
      label = labels.dtype == DType::kInt32 ? labels.as<int32_t>()[row] : labels.as<uint8_t>()[row];
      if (label < 0 || label >= columns) {
        call.fault = {FaultCode::kLabelOutOfRange, label, columns};
        return;
      }
    }
    const auto labelOf = [&](int64_t i) -> double {
      return label < 0 ? labels.as<float>()[row * columns + i] : (i == label ? 1 : 0);
    };
    const std::vector<double> y = LogSoftmax(call.operand(2).as<float>() + row * columns, columns);
    double loss = 0, sum = 0;
    for (int64_t i = 0; i < columns; ++i) {
      sum += labelOf(i);
      // A class that is not the row's adds nothing, even where its logarithm is -infinity.
      if (label < 0 || i == label) loss -= labelOf(i) * y[i];
    }
    call.operand(0).as<float>()[row] = static_cast<float>(loss);
    if (!call.operand(1).present) continue;
    float* grad = call.operand(1).as<float>() + row * columns;
    for (int64_t i = 0; i < columns; ++i) grad[i] = static_cast<float>(std::exp(y[i]) * sum - labelOf(i));
  }
}

}  // namespace nabla::ref
