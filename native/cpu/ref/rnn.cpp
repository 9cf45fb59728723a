// The plain double-precision twins of rnn and rnnGrad, one unit of one sample at a time.
#include "program/rnn.h"

#include <cmath>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const float* Optional(const Call& call, size_t i) {
  return call.operand(i).present ? call.operand(i).as<float>() : nullptr;
}

bool Counts(const Call& call, size_t i, int64_t at) {
  return !call.operand(i).present || call.operand(i).as<uint8_t>()[at] != 0;
}

}  // namespace

void RunRnn(const Call& call) {
  const RnnShape s(call.instruction);
  const int64_t units = s.units, sums = s.sums();
  const auto out = [&](size_t i) { return call.operand(i).present ? call.operand(i).as<float>() : nullptr; };
  float *y = out(0), *hLast = out(1), *cLast = out(2), *reserve = out(3);
  const float *input = Optional(call, 4), *h0 = Optional(call, 5), *c0 = Optional(call, 6);
  const float *recurrent = Optional(call, 7), *bias = Optional(call, 8);
  for (int64_t b = 0; b < s.batch; ++b) {
    std::vector<double> h(static_cast<size_t>(units)), c(h), former(h), product(static_cast<size_t>(sums));
    for (int64_t u = 0; u < units; ++u) {
      h[u] = h0 != nullptr ? h0[b * units + u] : 0;
      c[u] = c0 != nullptr ? c0[b * units + u] : 0;
      if (reserve != nullptr && s.kind == RnnKind::kLstm)
        reserve[s.cellsAt() + b * units + u] = static_cast<float>(c[u]);
    }
    for (int64_t step = 0; step < s.time; ++step) {
      const int64_t t = s.timeOf(step);
      const bool counts = Counts(call, 9, b * s.time + t);
      former = h;
      for (int64_t j = 0; j < sums; ++j) {
        product[j] = 0;
        for (int64_t p = 0; p < units; ++p) product[j] += former[p] * recurrent[p * sums + j];
      }
      const float* x = input + (b * s.time + t) * sums;
      for (int64_t u = 0; u < units; ++u) {
        double saved[4] = {};
        const auto sum = [&](int64_t g) {
          return x[g * units + u] + product[g * units + u] + (bias != nullptr ? bias[g * units + u] : 0);
        };
        double next = 0, cell = 0;
        if (s.kind == RnnKind::kLstm) {
          saved[0] = Sigmoid(sum(0)), saved[1] = Sigmoid(sum(1)), saved[2] = std::tanh(sum(2)),
          saved[3] = Sigmoid(sum(3));
          cell = saved[1] * c[u] + saved[0] * saved[2];
          next = saved[3] * std::tanh(cell);
        } else if (s.kind == RnnKind::kGru) {
          const auto second = [&](int64_t g) { return bias != nullptr ? bias[(3 + g) * units + u] : 0; };
          saved[0] = Sigmoid(sum(0) + second(0)), saved[1] = Sigmoid(sum(1) + second(1));
          saved[3] = product[2 * units + u] + second(2);
          saved[2] =
              std::tanh(x[2 * units + u] + (bias != nullptr ? bias[2 * units + u] : 0) + saved[1] * saved[3]);
          next = saved[0] * former[u] + (1 - saved[0]) * saved[2];
        } else {
          next = s.kind == RnnKind::kSimpleTanh ? std::tanh(sum(0)) : sum(0) < 0 ? 0 : sum(0);
          saved[0] = next;
        }
        if (counts) {
          h[u] = next;
          c[u] = cell;
        }
        if (y != nullptr) y[(b * s.time + t) * units + u] = static_cast<float>(h[u]);
        if (reserve == nullptr) continue;
        reserve[(b * s.time + t) * units + u] = static_cast<float>(former[u]);
        for (int64_t i = 0; i < RnnSaved(s.kind); ++i) {
          reserve[s.savedAt() + (t * s.batch + b) * s.saved() + i * units + u] = static_cast<float>(saved[i]);
        }
        if (s.kind == RnnKind::kLstm) {
          reserve[s.cellsAt() + ((step + 1) * s.batch + b) * units + u] = static_cast<float>(c[u]);
        }
      }
    }
    for (int64_t u = 0; u < units; ++u) {
      hLast[b * units + u] = static_cast<float>(h[u]);
      if (cLast != nullptr) cLast[b * units + u] = static_cast<float>(c[u]);
    }
  }
}

void RunRnnGrad(const Call& call) {
  const RnnShape s(call.instruction);
  const int64_t units = s.units, sums = s.sums(), biases = RnnBiases(s.kind);
  const auto out = [&](size_t i) { return call.operand(i).present ? call.operand(i).as<float>() : nullptr; };
  float *dInput = out(0), *dProduct = out(1), *dBias = out(2), *dh0 = out(3), *dc0 = out(4);
  const float *dy = Optional(call, 5), *dhLast = Optional(call, 6), *dcLast = Optional(call, 7);
  const float *reserve = Optional(call, 8), *recurrent = Optional(call, 9);
  std::vector<double> bias(static_cast<size_t>(biases * units));
  for (int64_t b = 0; b < s.batch; ++b) {
    std::vector<double> dh(static_cast<size_t>(units)), dc(dh), product(static_cast<size_t>(sums));
    for (int64_t u = 0; u < units; ++u) {
      dh[u] = dhLast != nullptr ? dhLast[b * units + u] : 0;
      dc[u] = dcLast != nullptr ? dcLast[b * units + u] : 0;
    }
    for (int64_t step = s.time - 1; step >= 0; --step) {
      const int64_t t = s.timeOf(step), row = b * s.time + t;
      const bool counts = Counts(call, 10, row);
      for (int64_t u = 0; u < units; ++u) {
        const auto saved = [&](int64_t i) -> double {
          return reserve[s.savedAt() + (t * s.batch + b) * s.saved() + i * units + u];
        };
        const auto cell = [&](int64_t at) -> double {
          return reserve[s.cellsAt() + (at * s.batch + b) * units + u];
        };
        const double former = reserve[row * units + u];
        const double d = dh[u] + (dy != nullptr ? dy[row * units + u] : 0);
        double grads[4] = {}, candidate = 0, carried = 0;
        if (!counts) {
          carried = d;
        } else if (s.kind == RnnKind::kLstm) {
          const double i = saved(0), f = saved(1), g = saved(2), o = saved(3),
                       squashed = std::tanh(cell(step + 1));
          const double dCell = dc[u] + d * o * (1 - squashed * squashed);
          grads[0] = dCell * g * i * (1 - i);
          grads[1] = dCell * cell(step) * f * (1 - f);
          grads[2] = dCell * i * (1 - g * g);
          grads[3] = d * squashed * o * (1 - o);
          dc[u] = dCell * f;
        } else if (s.kind == RnnKind::kGru) {
          const double z = saved(0), r = saved(1), n = saved(2);
          grads[0] = d * (former - n) * z * (1 - z);
          grads[2] = d * (1 - z) * (1 - n * n);
          grads[1] = grads[2] * saved(3) * r * (1 - r);
          candidate = grads[2] * r;
          carried = d * z;
        } else {
          const double h = saved(0);
          grads[0] = s.kind == RnnKind::kSimpleTanh ? d * (1 - h * h) : h > 0 ? d : 0;
        }
        for (int64_t g = 0; g < RnnGates(s.kind); ++g) {
          const double ofProduct = s.kind == RnnKind::kGru && g == 2 ? candidate : grads[g];
          dInput[row * sums + g * units + u] = static_cast<float>(grads[g]);
          if (dProduct != nullptr) dProduct[row * sums + g * units + u] = static_cast<float>(ofProduct);
          product[g * units + u] = ofProduct;
          bias[g * units + u] += grads[g];
          if (s.kind == RnnKind::kGru) bias[(3 + g) * units + u] += ofProduct;
        }
        dh[u] = carried;
      }
      for (int64_t p = 0; p < units; ++p) {
        for (int64_t j = 0; j < sums; ++j) dh[p] += product[j] * recurrent[p * sums + j];
      }
    }
    for (int64_t u = 0; u < units; ++u) {
      if (dh0 != nullptr) dh0[b * units + u] = static_cast<float>(dh[u]);
      if (dc0 != nullptr) dc0[b * units + u] = static_cast<float>(dc[u]);
    }
  }
  for (size_t i = 0; dBias != nullptr && i < bias.size(); ++i) dBias[i] = static_cast<float>(bias[i]);
}

}  // namespace nabla::ref
