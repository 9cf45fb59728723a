// The plain double-precision twins of attention and attentionGrad, one query at a time.
#include "program/attention.h"

#include <cmath>
#include <limits>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The scores of one query with every key; -infinity where it does not see the key.
std::vector<double> Scores(const AttentionSizes& s, const float* q, const float* k, const Operand& mask,
                           int64_t b, int64_t t, int64_t h) {
  std::vector<double> scores;
  const float* query = q + s.query(b, t, h);
  for (int64_t j = 0; j < s.keys; ++j) {
    const float* key = k + s.key(b, j, h / s.group());
    double score = 0;
    for (int64_t i = 0; i < s.dim; ++i) score += double{query[i]} * key[i];
    score *= s.scale;
    const int64_t at = s.mask(b, t, h) + j;
    if (mask.present && mask.dtype == DType::kFloat32) score += mask.as<float>()[at];
    if (mask.present && mask.dtype == DType::kBool && mask.as<uint8_t>()[at] == 0) score = -kInfinity;
    scores.push_back(s.causal && j > t ? -kInfinity : score);
  }
  return scores;
}

}  // namespace

void RunAttention(const Call& call) {
  const AttentionSizes s(call.instruction);
  const float* v = call.operand(4).as<float>();
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t t = 0; t < s.queries; ++t) {
        std::vector<double> p =
            Scores(s, call.operand(2).as<float>(), call.operand(3).as<float>(), call.operand(5), b, t, h);
        double most = -kInfinity, sum = 0;
        for (const double score : p) most = score > most ? score : most;
        // A query that sees nothing gives zeros.
        const bool blind = most == -kInfinity;
        for (double& score : p) sum += score = blind ? 0 : std::exp(score - most);
        float* out = call.operand(0).as<float>() + s.output(b, t, h);
        for (int64_t i = 0; i < s.valueDim; ++i) {
          double total = 0;
          for (int64_t j = 0; j < s.keys; ++j)
            total += p[static_cast<size_t>(j)] * v[s.value(b, j, h / s.group()) + i];
          out[i] = static_cast<float>(blind ? 0 : total / sum);
        }
        if (call.operand(1).present) {
          call.operand(1).as<float>()[s.statistic(b, t, h)] =
              static_cast<float>(blind ? kInfinity : most + std::log(sum));
        }
      }
    }
  }
}

void RunAttentionGrad(const Call& call) {
  const AttentionSizes s(call.instruction);
  const float *q = call.operand(3).as<float>(), *k = call.operand(4).as<float>(),
              *v = call.operand(5).as<float>();
  float* dq = call.operand(0).as<float>();
  float* dk = call.operand(1).present ? call.operand(1).as<float>() : dq;
  float* dv = call.operand(2).present ? call.operand(2).as<float>() : dk;
  std::vector<double> dKeys(static_cast<size_t>(s.keys * s.dim)),
      dValues(static_cast<size_t>(s.keys * s.valueDim));
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t shared = h / s.group();
      if (h % s.group() == 0) {
        dKeys.assign(dKeys.size(), 0);
        dValues.assign(dValues.size(), 0);
      }
      for (int64_t t = 0; t < s.queries; ++t) {
        std::vector<double> p = Scores(s, q, k, call.operand(9), b, t, h);
        const double logSumExp = call.operand(7).as<float>()[s.statistic(b, t, h)];
        for (double& score : p) score = logSumExp == kInfinity ? 0 : std::exp(score - logSumExp);
        const float* out = call.operand(6).as<float>() + s.output(b, t, h);
        const float* dout = call.operand(8).as<float>() + s.output(b, t, h);
        double along = 0;
        for (int64_t i = 0; i < s.valueDim; ++i) along += double{dout[i]} * out[i];
        std::vector<double> dQuery(static_cast<size_t>(s.dim));
        for (int64_t j = 0; j < s.keys; ++j) {
          const float* value = v + s.value(b, j, shared);
          const double weight = p[static_cast<size_t>(j)];
          double dWeight = 0;
          for (int64_t i = 0; i < s.valueDim; ++i) {
            dWeight += double{dout[i]} * value[i];
            dValues[static_cast<size_t>(j * s.valueDim + i)] += weight * dout[i];
          }
          const double dScore = weight * (dWeight - along) * s.scale;
          for (int64_t i = 0; i < s.dim; ++i) {
            dQuery[static_cast<size_t>(i)] += dScore * k[s.key(b, j, shared) + i];
            dKeys[static_cast<size_t>(j * s.dim + i)] += dScore * q[s.query(b, t, h) + i];
          }
        }
        for (int64_t i = 0; i < s.dim; ++i) {
          dq[s.query(b, t, h) + i] = static_cast<float>(dQuery[static_cast<size_t>(i)]);
        }
      }
      if ((h + 1) % s.group() != 0) continue;
      for (int64_t j = 0; j < s.keys; ++j) {
        for (int64_t i = 0; i < s.dim; ++i) {
          dk[s.key(b, j, shared) + i] = static_cast<float>(dKeys[static_cast<size_t>(j * s.dim + i)]);
        }
        for (int64_t i = 0; i < s.valueDim; ++i) {
          dv[s.value(b, j, shared) + i] =
              static_cast<float>(dValues[static_cast<size_t>(j * s.valueDim + i)]);
        }
      }
    }
  }
}

}  // namespace nabla::ref
