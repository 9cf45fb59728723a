// update: one optimizer step over flat ranges, near the speed of memory.
//
// Division and square root would bound it: where the machine has estimates of 14 bits (AVX-512), one Newton
// step brings them to float32 accuracy for a fraction of the time.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/update.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#if HWY_ARCH_X86
#include <xmmintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 16384;
constexpr float kTiny = std::numeric_limits<float>::min();

constexpr bool kHasGoodEstimates = HWY_TARGET == HWY_AVX3;

struct Step {
  // The five ranges: parameters, gradients, states.
  float *params, *grads, *state1, *state2, *state3;
  float lr, clip, decay;  // decay: what weight decay leaves of a parameter
  bool clips, decays;     // whether these differ from 1
  float beta1, beta2, epsilon;
  float rest1, rest2;        // 1 - beta
  float alpha;               // the learning rate, corrected for the step as adam and adamax do
  float ofMean, ofGradient;  // nadam's weights of both, with the learning rate
  float correction2;         // nadam's of the mean square
};

// States that decay never reach 0 by themselves but stay at denormal numbers, on which processors compute
// very slowly. x86 takes them for 0 by itself while this lives; elsewhere every state is looked at.
#if HWY_ARCH_X86
constexpr bool kFlushesByItself = true;

class FlushDenormals {
 public:
  // The barriers keep the arithmetic, which loads and stores, between the two switches.
  FlushDenormals() : former_(_mm_getcsr()) {
    constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x40;
    _mm_setcsr(former_ | kFlushToZero | kDenormalsAreZero);
    asm volatile("" ::: "memory");
  }
  ~FlushDenormals() {
    asm volatile("" ::: "memory");
    _mm_setcsr(former_);
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  const unsigned former_;
};
#else
constexpr bool kFlushesByItself = false;

struct FlushDenormals {
  // Not trivial, or compilers call its variables unused.
  FlushDenormals() {}
};
#endif

template <class D, class V>
HWY_INLINE V FlushTiny(D d, V x) {
  if constexpr (kFlushesByItself) return x;
  return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), hn::Set(d, kTiny)), x);
}

// The same for a mean of squares.
template <class D, class V>
HWY_INLINE V FlushTinySquare(D d, V x) {
  if constexpr (kFlushesByItself) return x;
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, kTiny)), x);
}

// p - x / (sqrt(v) + epsilon), v >= 0. With estimates epsilon must be in [1e-11, 1e30]: denormal v, whose
// root comes out wrong, then do not show, and the denominator is infinite only if v is.
template <bool kEstimate, class D, class V>
HWY_INLINE V SubOverRoot(D d, V p, V x, V v, V epsilon) {
  if constexpr (!kEstimate) {
    return hn::Sub(p, hn::Div(x, hn::Add(hn::Sqrt(v), epsilon)));
  } else {
    const V half = hn::Set(d, 0.5f), one = hn::Set(d, 1.0f);
    // Newton for 1 / sqrt(v), times v; the lower bound keeps 0 * infinity out.
    const V y = hn::ApproximateReciprocalSqrt(hn::Max(v, hn::Set(d, kTiny)));
    const V s = hn::Mul(v, y);
    const V root = hn::MulAdd(hn::Mul(s, half), hn::NegMulAdd(s, y, one), s);
    const V denominator = hn::Add(root, epsilon);
    const V r = hn::ApproximateReciprocal(denominator);
    const V inverse = hn::MulAdd(r, hn::NegMulAdd(denominator, r, one), r);
    const V infinity = hn::Set(d, std::numeric_limits<float>::infinity());
    return hn::NegMulAdd(x, hn::IfThenZeroElse(hn::Eq(v, infinity), inverse), p);
  }
}

template <class D>
HWY_INLINE hn::Vec<D> Gradient(D d, const Step& s, int64_t i) {
  const auto g = hn::LoadU(d, s.grads + i);
  return s.clips ? hn::Mul(g, hn::Set(d, s.clip)) : g;
}

template <class D>
HWY_INLINE hn::Vec<D> Parameter(D d, const Step& s, int64_t i) {
  const auto p = hn::LoadU(d, s.params + i);
  return s.decays ? hn::Mul(p, hn::Set(d, s.decay)) : p;
}

struct Sgd {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    hn::StoreU(hn::NegMulAdd(Gradient(d, s, i), hn::Set(d, s.lr), Parameter(d, s, i)), d, s.params + i);
  }
};

template <bool kNesterov>
struct Momentum {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto move = hn::Mul(Gradient(d, s, i), hn::Set(d, s.lr));
    const auto beta = hn::Set(d, s.beta1);
    const auto v = FlushTiny(d, hn::MulSub(hn::LoadU(d, s.state1 + i), beta, move));
    hn::StoreU(v, d, s.state1 + i);
    const auto change = kNesterov ? hn::MulSub(v, beta, move) : v;
    hn::StoreU(hn::Add(Parameter(d, s, i), change), d, s.params + i);
  }
};

template <bool kMomentum, bool kCentered>
struct Rmsprop {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i);
    const auto rho = hn::Set(d, s.beta2), rest = hn::Set(d, s.rest2);
    const auto square =
        FlushTinySquare(d, hn::MulAdd(hn::LoadU(d, s.state1 + i), rho, hn::Mul(rest, hn::Mul(g, g))));
    hn::StoreU(square, d, s.state1 + i);
    auto denominator = hn::Add(square, hn::Set(d, s.epsilon));
    if constexpr (kCentered) {
      const auto a = FlushTiny(d, hn::MulAdd(hn::LoadU(d, s.state3 + i), rho, hn::Mul(rest, g)));
      hn::StoreU(a, d, s.state3 + i);
      denominator = hn::Add(hn::NegMulAdd(a, a, square), hn::Set(d, s.epsilon));
    }
    auto change = hn::Div(hn::Mul(g, hn::Set(d, s.lr)), hn::Sqrt(denominator));
    if constexpr (kMomentum) {
      change = FlushTiny(d, hn::MulAdd(hn::LoadU(d, s.state2 + i), hn::Set(d, s.beta1), change));
      hn::StoreU(change, d, s.state2 + i);
    }
    hn::StoreU(hn::Sub(Parameter(d, s, i), change), d, s.params + i);
  }
};

template <bool kAmsgrad, bool kEstimate>
struct Adam {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i);
    const auto oldM = hn::LoadU(d, s.state1 + i), oldV = hn::LoadU(d, s.state2 + i);
    const auto m = FlushTiny(d, hn::MulAdd(hn::Sub(g, oldM), hn::Set(d, s.rest1), oldM));
    auto v = FlushTinySquare(d, hn::MulAdd(hn::MulSub(g, g, oldV), hn::Set(d, s.rest2), oldV));
    hn::StoreU(m, d, s.state1 + i);
    hn::StoreU(v, d, s.state2 + i);
    if constexpr (kAmsgrad) {
      // A comparison, not a maximum, so that NaN does the same on every machine.
      const auto most = hn::LoadU(d, s.state3 + i);
      v = hn::IfThenElse(hn::Gt(most, v), most, v);
      hn::StoreU(v, d, s.state3 + i);
    }
    const auto move = hn::Mul(m, hn::Set(d, s.alpha));
    hn::StoreU(SubOverRoot<kEstimate>(d, Parameter(d, s, i), move, v, hn::Set(d, s.epsilon)), d,
               s.params + i);
  }
};

struct Adagrad {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i);
    const auto sum = hn::MulAdd(g, g, hn::LoadU(d, s.state1 + i));
    hn::StoreU(sum, d, s.state1 + i);
    const auto change = hn::Div(hn::Mul(g, hn::Set(d, s.lr)), hn::Sqrt(hn::Add(sum, hn::Set(d, s.epsilon))));
    hn::StoreU(hn::Sub(Parameter(d, s, i), change), d, s.params + i);
  }
};

struct Adadelta {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i);
    const auto rho = hn::Set(d, s.beta2), rest = hn::Set(d, s.rest2), epsilon = hn::Set(d, s.epsilon);
    const auto square =
        FlushTinySquare(d, hn::MulAdd(hn::LoadU(d, s.state1 + i), rho, hn::Mul(rest, hn::Mul(g, g))));
    const auto oldMoves = hn::LoadU(d, s.state2 + i);
    const auto change =
        hn::Div(hn::Mul(hn::Sqrt(hn::Add(oldMoves, epsilon)), g), hn::Sqrt(hn::Add(square, epsilon)));
    const auto moves = FlushTinySquare(d, hn::MulAdd(oldMoves, rho, hn::Mul(rest, hn::Mul(change, change))));
    hn::StoreU(square, d, s.state1 + i);
    hn::StoreU(moves, d, s.state2 + i);
    hn::StoreU(hn::NegMulAdd(change, hn::Set(d, s.lr), Parameter(d, s, i)), d, s.params + i);
  }
};

struct Adamax {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i);
    const auto oldM = hn::LoadU(d, s.state1 + i);
    const auto m = FlushTiny(d, hn::MulAdd(hn::Sub(g, oldM), hn::Set(d, s.rest1), oldM));
    // A comparison, not a maximum, so that NaN does the same on every machine.
    const auto faded = hn::Mul(hn::LoadU(d, s.state2 + i), hn::Set(d, s.beta2)), size = hn::Abs(g);
    const auto u = FlushTinySquare(d, hn::IfThenElse(hn::Gt(faded, size), faded, size));
    hn::StoreU(m, d, s.state1 + i);
    hn::StoreU(u, d, s.state2 + i);
    const auto change = hn::Div(hn::Mul(m, hn::Set(d, s.alpha)), hn::Add(u, hn::Set(d, s.epsilon)));
    hn::StoreU(hn::Sub(Parameter(d, s, i), change), d, s.params + i);
  }
};

template <bool kEstimate>
struct Nadam {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i);
    const auto oldM = hn::LoadU(d, s.state1 + i), oldV = hn::LoadU(d, s.state2 + i);
    const auto m = FlushTiny(d, hn::MulAdd(hn::Sub(g, oldM), hn::Set(d, s.rest1), oldM));
    const auto v = FlushTinySquare(d, hn::MulAdd(hn::MulSub(g, g, oldV), hn::Set(d, s.rest2), oldV));
    hn::StoreU(m, d, s.state1 + i);
    hn::StoreU(v, d, s.state2 + i);
    const auto mixed = hn::MulAdd(m, hn::Set(d, s.ofMean), hn::Mul(g, hn::Set(d, s.ofGradient)));
    const auto square = hn::Mul(v, hn::Set(d, s.correction2));
    hn::StoreU(SubOverRoot<kEstimate>(d, Parameter(d, s, i), mixed, square, hn::Set(d, s.epsilon)), d,
               s.params + i);
  }
};

// beta1 is the strength of l1, beta2 that of l2, epsilon that of the shrinkage.
struct Ftrl {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i), p = Parameter(d, s, i);
    const auto lr = hn::Set(d, s.lr), l1 = hn::Set(d, s.beta1), two = hn::Set(d, 2.0f);
    const auto old = hn::LoadU(d, s.state1 + i);
    const auto square = hn::Mul(g, g), sum = hn::Add(old, square);
    // sqrt(sum) - sqrt(old) without its cancellation.
    const auto root = hn::Sqrt(sum);
    const auto roots = hn::Max(hn::Add(root, hn::Sqrt(old)), hn::Set(d, kTiny));
    const auto pull = hn::Sub(hn::Mul(two, hn::Set(d, s.epsilon)), hn::Div(hn::Div(square, roots), lr));
    const auto linear = hn::Add(hn::LoadU(d, s.state2 + i), hn::MulAdd(pull, p, g));
    hn::StoreU(sum, d, s.state1 + i);
    hn::StoreU(linear, d, s.state2 + i);
    const auto kept = hn::Sub(hn::Max(hn::Min(linear, l1), hn::Neg(l1)), linear);
    hn::StoreU(hn::Div(kept, hn::MulAdd(two, hn::Set(d, s.beta2), hn::Div(root, lr))), d, s.params + i);
  }
};

struct Lion {
  template <class D>
  static HWY_INLINE void Apply(D d, const Step& s, int64_t i) {
    const auto g = Gradient(d, s, i), m = hn::LoadU(d, s.state1 + i);
    const auto lr = hn::Set(d, s.lr), zero = hn::Zero(d);
    const auto mixed = hn::MulAdd(m, hn::Set(d, s.beta1), hn::Mul(g, hn::Set(d, s.rest1)));
    hn::StoreU(FlushTiny(d, hn::MulAdd(m, hn::Set(d, s.beta2), hn::Mul(g, hn::Set(d, s.rest2)))), d,
               s.state1 + i);
    // The sign of 0 is 0, and that of NaN is NaN.
    const auto change =
        hn::IfThenElse(hn::Gt(mixed, zero), lr, hn::IfThenElse(hn::Lt(mixed, zero), hn::Neg(lr), mixed));
    hn::StoreU(hn::Sub(Parameter(d, s, i), change), d, s.params + i);
  }
};

// The end of the range, shorter than a vector, goes through buffers and the same arithmetic.
template <class Kind>
void ApplyEnd(const Step& step, int64_t begin, size_t count) {
  const hn::ScalableTag<float> d;
  constexpr size_t kLanes = hn::MaxLanes(hn::ScalableTag<float>());
  float* const ranges[5] = {step.params, step.grads, step.state1, step.state2, step.state3};
  HWY_ALIGN float buffers[5][kLanes] = {};
  for (size_t r = 0; r < 5; ++r) {
    if (ranges[r] != nullptr) std::copy_n(ranges[r] + begin, count, buffers[r]);
  }
  Step local = step;
  local.params = buffers[0];
  local.grads = buffers[1];
  local.state1 = buffers[2];
  local.state2 = buffers[3];
  local.state3 = buffers[4];
  Kind::Apply(d, local, 0);
  for (size_t r = 0; r < 5; ++r) {
    if (ranges[r] != nullptr && r != 1) std::copy_n(buffers[r], count, ranges[r] + begin);
  }
}

template <class Kind>
void ApplyAll(const Call& call, const Step& given) {
  // Threads divide the range at multiples of any vector's length: the same code then computes an element for
  // any number of threads, and the same bits come out.
  constexpr int64_t kUnit = 16;
  const int64_t size = call.operand(0).size;
  ParallelFor(call.pool, (size + kUnit - 1) / kUnit, kGrain / kUnit,
              [&given, size](int64_t firstUnit, int64_t endUnit, int) {
                // A copy of its own, which stores through its pointers cannot change: the constants then stay
                // in registers.
                const Step step = given;
                const FlushDenormals flush;
                const hn::ScalableTag<float> d;
                const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
                const int64_t end = std::min(size, endUnit * kUnit);
                int64_t i = firstUnit * kUnit;
                for (; i + lanes <= end; i += lanes) Kind::Apply(d, step, i);
                if (i < end) ApplyEnd<Kind>(step, i, static_cast<size_t>(end - i));
              });
}

template <bool kEstimate>
void ApplyAdam(const Call& call, const Step& step) {
  if ((call.attr(1) & kUpdateAmsgrad) != 0) return ApplyAll<Adam<true, kEstimate>>(call, step);
  ApplyAll<Adam<false, kEstimate>>(call, step);
}

void ApplyRmsprop(const Call& call, const Step& step) {
  const bool centered = (call.attr(1) & kUpdateCentered) != 0;
  if (step.beta1 > 0) {
    if (centered) return ApplyAll<Rmsprop<true, true>>(call, step);
    return ApplyAll<Rmsprop<true, false>>(call, step);
  }
  if (centered) return ApplyAll<Rmsprop<false, true>>(call, step);
  ApplyAll<Rmsprop<false, false>>(call, step);
}

// Nadam's constants (Dozat 2016, with Keras' schedule of the momentum, beta1 * (1 - 0.96^t / 2)).
void SetNadam(Step& step, double t) {
  constexpr double kDecay = 0.96;
  // From here on the schedule is beta1 itself, as far as a double can tell.
  constexpr double kSettled = 1000;
  const double beta1 = step.beta1;
  double product = std::pow(beta1, t), power = 1;
  for (double i = 1; i <= std::min(t, kSettled); ++i) {
    power *= kDecay;
    product *= 1 - 0.5 * power;
  }
  const double now = beta1 * (1 - 0.5 * std::pow(kDecay, t)),
               next = beta1 * (1 - 0.5 * std::pow(kDecay, t + 1));
  step.ofMean = static_cast<float>(step.lr * next / (1 - product * next));
  step.ofGradient = static_cast<float>(step.lr * (1 - now) / (1 - product));
  step.correction2 = static_cast<float>(1 / (1 - std::pow(double{step.beta2}, t)));
}

// Whether SubOverRoot may use estimates for this epsilon, on machines that have them.
[[maybe_unused]] bool EpsilonFitsEstimates(float epsilon) { return epsilon >= 1e-11f && epsilon <= 1e30f; }

}  // namespace

void RunUpdate(const Call& call) {
  const int32_t taken = call.operand(6).as<int32_t>()[0];
  if (taken < 0) return;
  Step step = {};
  step.params = call.operand(0).as<float>();
  step.grads = call.operand(1).as<float>();
  step.state1 = call.operand(2).as<float>();
  step.state2 = call.operand(3).as<float>();
  step.state3 = call.operand(4).as<float>();
  step.lr = call.operand(5).as<float>()[0];
  step.clip = call.operand(7).present ? call.operand(7).as<float>()[0] : 1.0f;
  step.beta1 = call.attrFloat(2);
  step.beta2 = call.attrFloat(3);
  step.epsilon = call.attrFloat(4);
  step.rest1 = static_cast<float>(1.0 - double{step.beta1});
  step.rest2 = static_cast<float>(1.0 - double{step.beta2});
  const float weightDecay = call.attrFloat(5);
  step.decay = static_cast<float>(1.0 - double{weightDecay} * step.lr);
  step.clips = step.clip != 1.0f;
  step.decays = weightDecay != 0.0f;

  const double t = static_cast<double>(taken) + 1;
  const double correction1 = 1 - std::pow(double{step.beta1}, t);
  switch (static_cast<UpdateKind>(call.attr(0))) {
    case UpdateKind::kSgd:
      return ApplyAll<Sgd>(call, step);
    case UpdateKind::kMomentum:
      if ((call.attr(1) & kUpdateNesterov) != 0) return ApplyAll<Momentum<true>>(call, step);
      return ApplyAll<Momentum<false>>(call, step);
    case UpdateKind::kRmsprop:
      return ApplyRmsprop(call, step);
    case UpdateKind::kAdam: {
      const double correction2 = 1 - std::pow(double{step.beta2}, t);
      step.alpha = static_cast<float>(step.lr * std::sqrt(correction2) / correction1);
      if constexpr (kHasGoodEstimates) {
        if (EpsilonFitsEstimates(step.epsilon)) return ApplyAdam<true>(call, step);
      }
      return ApplyAdam<false>(call, step);
    }
    case UpdateKind::kAdagrad:
      return ApplyAll<Adagrad>(call, step);
    case UpdateKind::kAdadelta:
      return ApplyAll<Adadelta>(call, step);
    case UpdateKind::kAdamax:
      step.alpha = static_cast<float>(step.lr / correction1);
      return ApplyAll<Adamax>(call, step);
    case UpdateKind::kNadam:
      SetNadam(step, t);
      if constexpr (kHasGoodEstimates) {
        if (EpsilonFitsEstimates(step.epsilon)) return ApplyAll<Nadam<true>>(call, step);
      }
      return ApplyAll<Nadam<false>>(call, step);
    case UpdateKind::kFtrl:
      return ApplyAll<Ftrl>(call, step);
    case UpdateKind::kLion:
      return ApplyAll<Lion>(call, step);
    case UpdateKind::kCount:
      break;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchUpdate(const Instruction&, int) { return 0; }

}  // namespace nabla
#endif  // HWY_ONCE
