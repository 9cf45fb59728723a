// The plain double-precision twin of update; formulas as Keras 3 states them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

// Nadam's momentum at a step and at the next, and the product of those of all steps so far.
struct NadamSchedule {
  double now, next, product;
};

NadamSchedule NadamScheduleAt(double beta1, double t) {
  const auto momentum = [beta1](double step) { return beta1 * (1 - 0.5 * std::pow(0.96, step)); };
  double product = 1;
  for (double step = 1; step <= t; ++step) {
    product *= momentum(step);
    if (product == 0) break;
  }
  return {momentum(t), momentum(t + 1), product};
}

}  // namespace

void RunUpdate(const Call& call) {
  const int32_t taken = call.operand(6).as<int32_t>()[0];
  if (taken < 0) return;
  const UpdateKind kind = static_cast<UpdateKind>(call.attr(0));
  const int32_t flags = call.attr(1);
  const double beta1 = call.attrFloat(2), beta2 = call.attrFloat(3), epsilon = call.attrFloat(4);
  const double weightDecay = call.attrFloat(5);
  float* params = call.operand(0).as<float>();
  const float* grads = call.operand(1).as<float>();
  float *state1 = call.operand(2).as<float>(), *state2 = call.operand(3).as<float>(),
        *state3 = call.operand(4).as<float>();
  const double lr = call.operand(5).as<float>()[0];
  const double t = static_cast<double>(taken) + 1;
  const double clip = call.operand(7).present ? call.operand(7).as<float>()[0] : 1;

  const NadamSchedule nadam = NadamScheduleAt(beta1, t);

  for (int64_t i = 0; i < call.operand(0).size; ++i) {
    const double g = clip * grads[i];
    double p = params[i];
    if (weightDecay != 0) p -= p * weightDecay * lr;
    switch (kind) {
      case UpdateKind::kMomentum: {
        const double v = beta1 * state1[i] - lr * g;
        state1[i] = static_cast<float>(v);
        p += (flags & kUpdateNesterov) != 0 ? beta1 * v - lr * g : v;
        break;
      }
      case UpdateKind::kRmsprop: {
        const double s = beta2 * state1[i] + (1 - beta2) * g * g;
        state1[i] = static_cast<float>(s);
        double denominator = s + epsilon;
        if ((flags & kUpdateCentered) != 0) {
          const double a = beta2 * state3[i] + (1 - beta2) * g;
          state3[i] = static_cast<float>(a);
          denominator -= a * a;
        }
        double increment = lr * g / std::sqrt(denominator);
        if (beta1 > 0) {
          increment += beta1 * state2[i];
          state2[i] = static_cast<float>(increment);
        }
        p -= increment;
        break;
      }
      case UpdateKind::kAdam: {
        const double alpha = lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
        const double m = state1[i] + (g - state1[i]) * (1 - beta1);
        double v = state2[i] + (g * g - state2[i]) * (1 - beta2);
        state1[i] = static_cast<float>(m);
        state2[i] = static_cast<float>(v);
        if ((flags & kUpdateAmsgrad) != 0) {
          v = state3[i] > v ? state3[i] : v;
          state3[i] = static_cast<float>(v);
        }
        p -= m * alpha / (std::sqrt(v) + epsilon);
        break;
      }
      case UpdateKind::kAdagrad: {
        const double sum = state1[i] + g * g;
        state1[i] = static_cast<float>(sum);
        p -= lr * g / std::sqrt(sum + epsilon);
        break;
      }
      case UpdateKind::kAdadelta: {
        const double s = beta2 * state1[i] + (1 - beta2) * g * g;
        const double change = std::sqrt(state2[i] + epsilon) * g / std::sqrt(s + epsilon);
        state1[i] = static_cast<float>(s);
        state2[i] = static_cast<float>(beta2 * state2[i] + (1 - beta2) * change * change);
        p -= lr * change;
        break;
      }
      case UpdateKind::kAdamax: {
        const double m = state1[i] + (g - state1[i]) * (1 - beta1);
        const double faded = beta2 * state2[i], size = std::abs(g);
        const double u = faded > size ? faded : size;
        state1[i] = static_cast<float>(m);
        state2[i] = static_cast<float>(u);
        p -= lr * m / ((1 - std::pow(beta1, t)) * (u + epsilon));
        break;
      }
      case UpdateKind::kNadam: {
        const double m = state1[i] + (g - state1[i]) * (1 - beta1);
        const double v = state2[i] + (g * g - state2[i]) * (1 - beta2);
        state1[i] = static_cast<float>(m);
        state2[i] = static_cast<float>(v);
        const double estimate =
            m * nadam.next / (1 - nadam.product * nadam.next) + g * (1 - nadam.now) / (1 - nadam.product);
        p -= lr * estimate / (std::sqrt(v / (1 - std::pow(beta2, t))) + epsilon);
        break;
      }
      case UpdateKind::kFtrl: {
        const double l1 = beta1, l2 = beta2, shrinkage = epsilon;
        const double old = state1[i], sum = old + g * g;
        // sqrt(sum) - sqrt(old) without its cancellation.
        const double roots =
            std::max(std::sqrt(sum) + std::sqrt(old), double{std::numeric_limits<float>::min()});
        const double linear = state2[i] + g + 2 * shrinkage * p - g * g / roots / lr * p;
        state1[i] = static_cast<float>(sum);
        state2[i] = static_cast<float>(linear);
        p = (std::clamp(linear, -l1, l1) - linear) / (std::sqrt(sum) / lr + 2 * l2);
        break;
      }
      case UpdateKind::kLion: {
        const double mixed = state1[i] * beta1 + g * (1 - beta1);
        state1[i] = static_cast<float>(state1[i] * beta2 + g * (1 - beta2));
        p -= mixed > 0 ? lr : mixed < 0 ? -lr : mixed;
        break;
      }
      default:
        p -= lr * g;
    }
    params[i] = static_cast<float>(p);
  }
}

}  // namespace nabla::ref
