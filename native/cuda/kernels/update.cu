// update: one step of an optimizer over flat ranges, formulas as in docs/KERNELS.md.
#include "cuda/kernels/update.h"

#include "cuda/kernels/entry.h"

namespace nabla::cuda {
namespace {

constexpr float kTiny = 1.17549435e-38f;

// What is the same for all elements: computed by one thread of a block, in double precision.
struct Constants {
  float lr, clip, decay;
  float rest1, rest2;        // 1 - beta
  float alpha;               // the learning rate, corrected for the step as adam and adamax do
  float ofMean, ofGradient;  // nadam's weights of both, with the learning rate
  float correction2;         // nadam's of the mean square
};

// Dozat (2016), with Keras' schedule of the momentum, beta1 * (1 - 0.96^t / 2).
__device__ void SetNadam(const UpdateParams& p, double t, Constants& c) {
  constexpr double kDecay = 0.96;
  // From here on the schedule is beta1 itself, as far as a double can tell.
  constexpr double kSettled = 1000;
  const double beta1 = p.beta1;
  double product = pow(beta1, t), power = 1;
  for (double i = 1; i <= t && i <= kSettled; i++) {
    power *= kDecay;
    product *= 1 - 0.5 * power;
  }
  const double now = beta1 * (1 - 0.5 * pow(kDecay, t)), next = beta1 * (1 - 0.5 * pow(kDecay, t + 1));
  c.ofMean = static_cast<float>(c.lr * next / (1 - product * next));
  c.ofGradient = static_cast<float>(c.lr * (1 - now) / (1 - product));
  c.correction2 = static_cast<float>(1 / (1 - pow(double{p.beta2}, t)));
}

__device__ Constants MakeConstants(const UpdateParams& p) {
  Constants c = {};
  c.lr = p.scalars[0];
  c.clip = p.clip == nullptr ? 1.0f : p.clip[0];
  c.decay = static_cast<float>(1.0 - double{p.weightDecay} * c.lr);
  c.rest1 = static_cast<float>(1.0 - double{p.beta1});
  c.rest2 = static_cast<float>(1.0 - double{p.beta2});
  const double t = static_cast<double>(p.step[0]) + 1;
  if (p.kind == UpdateKind::kAdam) {
    c.alpha = static_cast<float>(c.lr * sqrt(1 - pow(double{p.beta2}, t)) / (1 - pow(double{p.beta1}, t)));
  } else if (p.kind == UpdateKind::kAdamax) {
    c.alpha = static_cast<float>(c.lr / (1 - pow(double{p.beta1}, t)));
  } else if (p.kind == UpdateKind::kNadam) {
    SetNadam(p, t, c);
  }
  return c;
}

// States that decay never reach 0 by themselves: the CPU, where denormal numbers are slow, ends them, so that
// both go the same way.
__device__ __forceinline__ float FlushTiny(float x) { return fabsf(x) < kTiny ? 0.0f : x; }

__device__ __forceinline__ void UpdateOne(const UpdateParams& p, const Constants& c, int64_t i) {
  const float g = p.clip == nullptr ? p.grads[i] : p.grads[i] * c.clip;
  float x = p.params[i];
  if (p.weightDecay != 0) x *= c.decay;
  switch (p.kind) {
    case UpdateKind::kMomentum: {
      const float move = g * c.lr, v = FlushTiny(p.state1[i] * p.beta1 - move);
      p.state1[i] = v;
      x += (p.flags & kUpdateNesterov) != 0 ? v * p.beta1 - move : v;
      break;
    }
    case UpdateKind::kRmsprop: {
      const float square = FlushTiny(p.state1[i] * p.beta2 + c.rest2 * (g * g));
      p.state1[i] = square;
      float denominator = square + p.epsilon;
      if ((p.flags & kUpdateCentered) != 0) {
        const float mean = FlushTiny(p.state3[i] * p.beta2 + c.rest2 * g);
        p.state3[i] = mean;
        denominator = fmaf(-mean, mean, square) + p.epsilon;
      }
      float change = g * c.lr / sqrtf(denominator);
      if (p.beta1 > 0) {
        change = FlushTiny(p.state2[i] * p.beta1 + change);
        p.state2[i] = change;
      }
      x -= change;
      break;
    }
    case UpdateKind::kAdam: {
      const float oldM = p.state1[i], oldV = p.state2[i];
      const float m = FlushTiny(fmaf(g - oldM, c.rest1, oldM));
      float v = FlushTiny(fmaf(fmaf(g, g, -oldV), c.rest2, oldV));
      p.state1[i] = m;
      p.state2[i] = v;
      if ((p.flags & kUpdateAmsgrad) != 0) {
        const float most = p.state3[i];
        v = most > v ? most : v;
        p.state3[i] = v;
      }
      x -= m * c.alpha / (sqrtf(v) + p.epsilon);
      break;
    }
    case UpdateKind::kAdagrad: {
      const float sum = fmaf(g, g, p.state1[i]);
      p.state1[i] = sum;
      x -= g * c.lr / sqrtf(sum + p.epsilon);
      break;
    }
    case UpdateKind::kAdadelta: {
      const float square = FlushTiny(p.state1[i] * p.beta2 + c.rest2 * (g * g));
      const float moves = p.state2[i];
      const float change = sqrtf(moves + p.epsilon) * g / sqrtf(square + p.epsilon);
      p.state1[i] = square;
      p.state2[i] = FlushTiny(moves * p.beta2 + c.rest2 * (change * change));
      x = fmaf(-change, c.lr, x);
      break;
    }
    case UpdateKind::kAdamax: {
      const float oldM = p.state1[i], m = FlushTiny(fmaf(g - oldM, c.rest1, oldM));
      const float faded = p.state2[i] * p.beta2, size = fabsf(g);
      const float u = FlushTiny(faded > size ? faded : size);
      p.state1[i] = m;
      p.state2[i] = u;
      x -= m * c.alpha / (u + p.epsilon);
      break;
    }
    case UpdateKind::kNadam: {
      const float oldM = p.state1[i], oldV = p.state2[i];
      const float m = FlushTiny(fmaf(g - oldM, c.rest1, oldM));
      const float v = FlushTiny(fmaf(fmaf(g, g, -oldV), c.rest2, oldV));
      p.state1[i] = m;
      p.state2[i] = v;
      x -= fmaf(m, c.ofMean, g * c.ofGradient) / (sqrtf(v * c.correction2) + p.epsilon);
      break;
    }
    case UpdateKind::kFtrl: {
      // beta1 is the strength of l1, beta2 that of l2, epsilon that of the shrinkage.
      const float old = p.state1[i], square = g * g, sum = old + square, root = sqrtf(sum);
      // sqrt(sum) - sqrt(old) without its cancellation.
      const float roots = fmaxf(root + sqrtf(old), kTiny);
      const float linear = p.state2[i] + fmaf(2 * p.epsilon - square / roots / c.lr, x, g);
      p.state1[i] = sum;
      p.state2[i] = linear;
      const float limited = linear > p.beta1 ? p.beta1 : linear < -p.beta1 ? -p.beta1 : linear;
      x = (limited - linear) / fmaf(2.0f, p.beta2, root / c.lr);
      break;
    }
    case UpdateKind::kLion: {
      const float old = p.state1[i], mixed = fmaf(old, p.beta1, g * c.rest1);
      p.state1[i] = FlushTiny(fmaf(old, p.beta2, g * c.rest2));
      // The sign of 0 is 0, and that of NaN is NaN.
      x -= mixed > 0 ? c.lr : mixed < 0 ? -c.lr : mixed;
      break;
    }
    default:
      x = fmaf(-g, c.lr, x);
  }
  p.params[i] = x;
}

}  // namespace

NABLA_ENTRY(update, UpdateParams, kUpdateThreads) {
  // A step that only gathers gradients.
  if (p.step[0] < 0) return;
  __shared__ Constants constants;
  if (threadIdx.x == 0) constants = MakeConstants(p);
  __syncthreads();
  const int64_t step = int64_t{gridDim.x} * kUpdateThreads;
  for (int64_t i = blockIdx.x * int64_t{kUpdateThreads} + threadIdx.x; i < p.size; i += step)
    UpdateOne(p, constants, i);
}

}  // namespace nabla::cuda
