// The plain double-precision twin of update; formulas as Keras 3 states them.
#include <cmath>

#include "cpu/kernel.h"

namespace nabla::ref {

void RunUpdate(const Call& call) {
  const UpdateKind kind = static_cast<UpdateKind>(call.attr(0));
  const int32_t flags = call.attr(1);
  const double beta1 = call.attrFloat(2), beta2 = call.attrFloat(3), epsilon = call.attrFloat(4);
  const double weightDecay = call.attrFloat(5);
  float* params = call.operand(0).as<float>();
  const float* grads = call.operand(1).as<float>();
  float *state1 = call.operand(2).as<float>(), *state2 = call.operand(3).as<float>(), *state3 = call.operand(4).as<float>();
  const double lr = call.operand(5).as<float>()[0];
  const double t = static_cast<double>(call.operand(6).as<int32_t>()[0]) + 1;
  const double clip = call.operand(7).present ? call.operand(7).as<float>()[0] : 1;

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
      default:
        p -= lr * g;
    }
    params[i] = static_cast<float>(p);
  }
}

}  // namespace nabla::ref
