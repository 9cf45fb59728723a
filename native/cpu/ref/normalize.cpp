// The plain double-precision twins of normalize and normalizeGrad.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {

void RunNormalize(const Call& call) {
  const int64_t rows = call.attr(0), columns = call.attr(1);
  const bool center = call.attr(2) != 0;
  const double epsilon = call.attrFloat(3);
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = call.operand(3).as<float>() + row * columns;
    double mean = 0, squares = 0;
    for (int64_t i = 0; center && i < columns; ++i) mean += x[i] / static_cast<double>(columns);
    for (int64_t i = 0; i < columns; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double rstd = 1 / std::sqrt(squares / static_cast<double>(std::max<int64_t>(1, columns)) + epsilon);
    if (call.operand(1).present) call.operand(1).as<float>()[row] = static_cast<float>(mean);
    if (call.operand(2).present) call.operand(2).as<float>()[row] = static_cast<float>(rstd);
    for (int64_t i = 0; i < columns; ++i) {
      double y = (x[i] - mean) * rstd;
      if (call.operand(4).present) y *= call.operand(4).as<float>()[i];
      if (call.operand(5).present) y += call.operand(5).as<float>()[i];
      call.operand(0).as<float>()[row * columns + i] = static_cast<float>(y);
    }
  }
}

void RunNormalizeGrad(const Call& call) {
  const int64_t rows = call.attr(0), columns = call.attr(1);
  const bool center = call.operand(5).present;
  std::vector<double> dscale(static_cast<size_t>(columns)), doffset(static_cast<size_t>(columns));
  std::vector<double> unit(static_cast<size_t>(columns)), flow(static_cast<size_t>(columns));
  for (int64_t row = 0; row < rows; ++row) {
    const float* dy = call.operand(3).as<float>() + row * columns;
    const float* x = call.operand(4).as<float>() + row * columns;
    const double mean = center ? call.operand(5).as<float>()[row] : 0,
                 rstd = call.operand(6).as<float>()[row];
    double flowMean = 0, along = 0;
    for (int64_t i = 0; i < columns; ++i) {
      const size_t at = static_cast<size_t>(i);
      unit[at] = (x[i] - mean) * rstd;
      dscale[at] += dy[i] * unit[at];
      doffset[at] += dy[i];
      flow[at] = call.operand(7).present ? double{dy[i]} * call.operand(7).as<float>()[i] : dy[i];
      flowMean += flow[at] / static_cast<double>(columns);
      along += flow[at] * unit[at] / static_cast<double>(columns);
    }
    float* dx = call.operand(0).as<float>() + row * columns;
    for (int64_t i = 0; i < columns; ++i) {
      const size_t at = static_cast<size_t>(i);
      dx[i] = static_cast<float>(rstd * (flow[at] - (center ? flowMean : 0) - unit[at] * along));
    }
  }
  for (int64_t i = 0; i < columns; ++i) {
    const size_t at = static_cast<size_t>(i);
    if (call.operand(1).present) call.operand(1).as<float>()[i] = static_cast<float>(dscale[at]);
    if (call.operand(2).present) call.operand(2).as<float>()[i] = static_cast<float>(doffset[at]);
  }
}

}  // namespace nabla::ref
