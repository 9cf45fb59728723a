// Depthwise convolution and its gradients for one instruction set: every channel has filters of its own, so vectors run
// over channels and nothing is packed.
//
// Included once for every instruction set, as Highway's own "-inl.h" headers are.
#if defined(NABLA_CPU_KERNELS_CONV_DEPTHWISE_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_CPU_KERNELS_CONV_DEPTHWISE_H_
#undef NABLA_CPU_KERNELS_CONV_DEPTHWISE_H_
#else
#define NABLA_CPU_KERNELS_CONV_DEPTHWISE_H_
#endif

#include "cpu/kernel.h"
#include "cpu/kernels/conv-rows.h"
#include "cpu/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace conv {

using gemm::D;
using gemm::kLanes;
using gemm::V;

// Up to a vector of neighbouring channels of a pixel. `repeat` numbers of the filter's side share one of the other side's:
// lane l is channel (first + l) * times / repeat + shift.
struct Lanes {
  int count;  // 1 .. kLanes
  bool plain;
  int64_t first;
  HWY_ALIGN int32_t at[kLanes];

  Lanes(int64_t begin, int64_t channels, int64_t times, int64_t repeat, int64_t shift)
      : count(static_cast<int>(HWY_MIN(channels - begin, kLanes))), plain(times == repeat), first(begin) {
    for (int l = 0; l < kLanes; l++) {
      at[l] = static_cast<int32_t>((begin + HWY_MIN(l, count - 1)) * times / repeat + shift);
    }
  }

  HWY_INLINE V Load(const float* pixel) const {
    const D d;
    if (plain) return count == kLanes ? hn::LoadU(d, pixel + first) : LoadFirst(d, pixel + first, static_cast<size_t>(count), 0.0f);
    HWY_ALIGN float lanes[kLanes];
    for (int l = 0; l < kLanes; l++) lanes[l] = pixel[at[l]];
    return hn::Load(d, lanes);
  }
  HWY_INLINE void Store(V v, float* pixel) const {
    const D d;
    if (count == kLanes) {
      hn::StoreU(v, d, pixel + first);
    } else {
      StoreFirst(v, d, pixel + first, static_cast<size_t>(count));
    }
  }
};

struct Position {
  int64_t image, d, h;
};

HWY_INLINE Position RowAt(int64_t row, const int64_t* size) {
  return {row / (size[0] * size[1]), row / size[1] % size[0], row % size[1]};
}

HWY_INLINE V ActivateLanes(V v, Activation activation) {
  if (activation == Activation::kRelu) return gemm::Relu(v);
  return activation == Activation::kNone ? v : gemm::Activate(v, activation);
}

// One row of the output.
HWY_NOINLINE inline void DepthwiseRow(const Call& call, const nabla::conv::Shape& s, const float* bias,
                                      Activation activation, int64_t row) {
  using nabla::conv::TapsInside;
  const Position at = RowAt(row, s.out);
  const float* image = call.operand(1).as<float>() + at.image * s.inImage();
  const float* filter = call.operand(2).as<float>();
  float* out = call.operand(0).as<float>() + row * s.out[2] * s.outC;
  const int64_t startD = at.d * s.stride[0] - s.pad[0], startH = at.h * s.stride[1] - s.pad[1];
  const Span ds = TapsInside(startD, s.kernel[0], s.dilation[0], s.in[0]);
  const Span hs = TapsInside(startH, s.kernel[1], s.dilation[1], s.in[1]);
  for (int64_t channel = 0; channel < s.outC; channel += kLanes) {
    const Lanes own(channel, s.outC, 1, 1, 0), input(channel, s.outC, 1, s.outGroup(), 0);
    const V begin = bias == nullptr ? hn::Zero(D()) : own.Load(bias);
    for (int64_t w = 0; w < s.out[2]; w++) {
      const int64_t startW = w * s.stride[2] - s.pad[2];
      const Span ws = TapsInside(startW, s.kernel[2], s.dilation[2], s.in[2]);
      V sum = begin;
      for (int64_t kd = ds.begin; kd < ds.end; kd++) {
        for (int64_t kh = hs.begin; kh < hs.end; kh++) {
          const float* pixels =
              image + ((startD + kd * s.dilation[0]) * s.in[1] + startH + kh * s.dilation[1]) * s.in[2] * s.inC;
          const float* taps = filter + (kd * s.kernel[1] + kh) * s.kernel[2] * s.outC;
          for (int64_t kw = ws.begin; kw < ws.end; kw++) {
            sum = hn::MulAdd(input.Load(pixels + (startW + kw * s.dilation[2]) * s.inC), own.Load(taps + kw * s.outC), sum);
          }
        }
      }
      own.Store(ActivateLanes(sum, activation), out + w * s.outC);
    }
  }
}

// The output position that meets input position `in` through tap k along one dimension; -1 for none.
HWY_INLINE int64_t Meets(const nabla::conv::Shape& s, int i, int64_t in, int64_t k) {
  const int64_t scaled = in + s.pad[i] - k * s.dilation[i];
  if (scaled < 0 || scaled % s.stride[i] != 0) return -1;
  const int64_t out = scaled / s.stride[i];
  return out < s.out[i] ? out : -1;
}

// One row of the input's gradient.
HWY_NOINLINE inline void DepthwiseGradientRow(const Call& call, const nabla::conv::Shape& s, int64_t row) {
  const Position at = RowAt(row, s.in);
  const float* image = call.operand(1).as<float>() + at.image * s.outImage();
  const float* filter = call.operand(2).as<float>();
  float* out = call.operand(0).as<float>() + row * s.in[2] * s.inC;
  const int64_t repeat = s.outGroup();
  for (int64_t channel = 0; channel < s.inC; channel += kLanes) {
    const Lanes own(channel, s.inC, 1, 1, 0);
    for (int64_t w = 0; w < s.in[2]; w++) own.Store(hn::Zero(D()), out + w * s.inC);
    for (int64_t j = 0; j < repeat; j++) {
      const Lanes other(channel, s.inC, repeat, 1, j);
      for (int64_t kd = 0; kd < s.kernel[0]; kd++) {
        const int64_t od = Meets(s, 0, at.d, kd);
        for (int64_t kh = 0; kh < s.kernel[1] && od >= 0; kh++) {
          const int64_t oh = Meets(s, 1, at.h, kh);
          if (oh < 0) continue;
          const float* pixels = image + (od * s.out[1] + oh) * s.out[2] * s.outC;
          for (int64_t kw = 0; kw < s.kernel[2]; kw++) {
            const V weight = other.Load(filter + ((kd * s.kernel[1] + kh) * s.kernel[2] + kw) * s.outC);
            // The outputs whose tap kw lies inside the row.
            for (int64_t ow = 0; ow < s.out[2]; ow++) {
              const int64_t w = ow * s.stride[2] + kw * s.dilation[2] - s.pad[2];
              if (w < 0 || w >= s.in[2]) continue;
              float* to = out + w * s.inC;
              own.Store(hn::MulAdd(other.Load(pixels + ow * s.outC), weight, own.Load(to)), to);
            }
          }
        }
      }
    }
  }
}

// The filter's gradient for one vector of output channels.
HWY_NOINLINE inline void DepthwiseFilterGradient(const Call& call, const nabla::conv::Shape& s, int64_t channel) {
  using nabla::conv::TapsInside;
  const float* input = call.operand(1).as<float>();
  const float* dy = call.operand(2).as<float>();
  float* out = call.operand(0).as<float>();
  const Lanes own(channel, s.outC, 1, 1, 0), other(channel, s.outC, 1, s.outGroup(), 0);
  for (int64_t tap = 0; tap < s.taps(); tap++) own.Store(hn::Zero(D()), out + tap * s.outC);
  for (int64_t row = 0; row < s.batch * s.out[0] * s.out[1]; row++) {
    const Position at = RowAt(row, s.out);
    const float* image = input + at.image * s.inImage();
    const float* gradients = dy + row * s.out[2] * s.outC;
    const int64_t startD = at.d * s.stride[0] - s.pad[0], startH = at.h * s.stride[1] - s.pad[1];
    const Span ds = TapsInside(startD, s.kernel[0], s.dilation[0], s.in[0]);
    const Span hs = TapsInside(startH, s.kernel[1], s.dilation[1], s.in[1]);
    for (int64_t kd = ds.begin; kd < ds.end; kd++) {
      for (int64_t kh = hs.begin; kh < hs.end; kh++) {
        const float* pixels =
            image + ((startD + kd * s.dilation[0]) * s.in[1] + startH + kh * s.dilation[1]) * s.in[2] * s.inC;
        for (int64_t kw = 0; kw < s.kernel[2]; kw++) {
          const int64_t startW = kw * s.dilation[2] - s.pad[2];
          const Span ws = TapsInside(startW, s.out[2], s.stride[2], s.in[2]);
          V even = hn::Zero(D()), odd = even;
          int64_t w = ws.begin;
          const auto product = [&](int64_t i, V sum) HWY_ATTR {
            return hn::MulAdd(other.Load(pixels + (startW + i * s.stride[2]) * s.inC), own.Load(gradients + i * s.outC), sum);
          };
          for (; w + 2 <= ws.end; w += 2) even = product(w, even), odd = product(w + 1, odd);
          if (w < ws.end) even = product(w, even);
          float* to = out + ((kd * s.kernel[1] + kh) * s.kernel[2] + kw) * s.outC;
          own.Store(hn::Add(own.Load(to), hn::Add(even, odd)), to);
        }
      }
    }
  }
}

inline void RunDepthwise(const Call& call, const nabla::conv::Shape& s, const float* bias, Activation activation) {
  ParallelFor(call.pool, s.batch * s.out[0] * s.out[1], GrainOf(s.out[2] * s.taps() * s.outC),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t row = begin; row < end; row++) DepthwiseRow(call, s, bias, activation, row);
              });
}

inline void RunDepthwiseInputGrad(const Call& call, const nabla::conv::Shape& s) {
  ParallelFor(call.pool, s.batch * s.in[0] * s.in[1], GrainOf(s.in[2] * s.taps() * s.outC),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t row = begin; row < end; row++) DepthwiseGradientRow(call, s, row);
              });
}

inline void RunDepthwiseFilterGrad(const Call& call, const nabla::conv::Shape& s) {
  const int64_t chunks = (s.outC + kLanes - 1) / kLanes;
  ParallelFor(call.pool, chunks, GrainOf(s.batch * s.out[0] * s.out[1] * s.out[2] * s.taps() * kLanes),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; i++) DepthwiseFilterGradient(call, s, i * kLanes);
              });
}

}  // namespace conv
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
