// Depthwise convolution and its gradients for one instruction set: every channel has filters of its own, so
// vectors run over channels and nothing is packed.
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
using nabla::conv::TapsInside;

// Up to a vector of neighbouring channels of a pixel, from channel `first` on.
template <bool kWhole>
struct Lanes {
  int64_t first;
  int count;  // 1 .. kLanes; kLanes where kWhole

  HWY_INLINE V Load(const float* pixel) const {
    const D d;
    if constexpr (kWhole) return hn::LoadU(d, pixel + first);
    return LoadFirst(d, pixel + first, static_cast<size_t>(count), 0.0f);
  }
  HWY_INLINE void Store(V v, float* pixel) const {
    const D d;
    if constexpr (kWhole) {
      hn::StoreU(v, d, pixel + first);
    } else {
      StoreFirst(v, d, pixel + first, static_cast<size_t>(count));
    }
  }
};

// As Lanes, of channels that are not neighbours: several filters share a channel, or one of several is
// wanted.
struct ScatteredLanes {
  HWY_ALIGN int32_t at[kLanes];

  // Lane l is channel (first + l) * times / repeat + shift.
  ScatteredLanes(int64_t first, int count, int64_t times, int64_t repeat, int64_t shift) {
    for (int l = 0; l < kLanes; l++) {
      at[l] = static_cast<int32_t>((first + HWY_MIN(l, count - 1)) * times / repeat + shift);
    }
  }
  HWY_INLINE V Load(const float* pixel) const {
    HWY_ALIGN float lanes[kLanes];
    for (int l = 0; l < kLanes; l++) lanes[l] = pixel[at[l]];
    return hn::Load(D(), lanes);
  }
};

// Calls body(own, other) with the lanes of some of `channels` channels, from `first` on, and with those of
// the other side.
template <class Body>
HWY_INLINE void WithLanes(int64_t first, int64_t channels, int64_t times, int64_t repeat, int64_t shift,
                          Body body) {
  const int count = static_cast<int>(HWY_MIN(channels - first, kLanes));
  if (times != repeat) {
    body(Lanes<false>{first, count}, ScatteredLanes(first, count, times, repeat, shift));
  } else if (count == kLanes) {
    const Lanes<true> lanes{first, count};
    body(lanes, lanes);
  } else {
    const Lanes<false> lanes{first, count};
    body(lanes, lanes);
  }
}

// A number as a type.
template <int kValue>
struct Count {
  static constexpr int value = kValue;
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

// One row of the output, some of its channels.
template <class Own, class Other>
HWY_NOINLINE void DepthwiseRow(const Call& call, const nabla::conv::Shape& s, const float* bias,
                               Activation activation, int64_t row, const Own& own, const Other& other) {
  const Position at = RowAt(row, s.out);
  const float* image = call.operand(1).as<float>() + at.image * s.inImage();
  const float* filter = call.operand(2).as<float>();
  float* out = call.operand(0).as<float>() + row * s.out[2] * s.outC;
  const int64_t startD = at.d * s.stride[0] - s.pad[0], startH = at.h * s.stride[1] - s.pad[1];
  const Span ds = TapsInside(startD, s.kernel[0], s.dilation[0], s.in[0]);
  const Span hs = TapsInside(startH, s.kernel[1], s.dilation[1], s.in[1]);
  // Columns whose windows lie inside the row, for all of whose taps the loop is the same.
  const int64_t reach = (s.kernel[2] - 1) * s.dilation[2];
  const Span inner = TapsInside(-s.pad[2], s.out[2], s.stride[2], HWY_MAX(int64_t{0}, s.in[2] - reach));
  const V begin = bias == nullptr ? hn::Zero(D()) : own.Load(bias);
  const int64_t step = s.stride[2] * s.inC, tapStep = s.dilation[2] * s.inC;

  // kCount neighbouring columns at once: as many sums are under way, and a weight is loaded once for all.
  const auto columns = [&](auto countTag, int64_t w, const Span& ws) HWY_ATTR {
    constexpr int kCount = decltype(countTag)::value;
    V sum[kCount];
    for (int i = 0; i < kCount; i++) sum[i] = begin;
    const int64_t startW = w * s.stride[2] - s.pad[2];
    for (int64_t kd = ds.begin; kd < ds.end; kd++) {
      for (int64_t kh = hs.begin; kh < hs.end; kh++) {
        const int64_t inRow = (startD + kd * s.dilation[0]) * s.in[1] + startH + kh * s.dilation[1];
        const float* pixel = image + (inRow * s.in[2] + startW + ws.begin * s.dilation[2]) * s.inC;
        const float* tap = filter + ((kd * s.kernel[1] + kh) * s.kernel[2] + ws.begin) * s.outC;
        for (int64_t kw = ws.begin; kw < ws.end; kw++, pixel += tapStep, tap += s.outC) {
          const V weight = own.Load(tap);
          for (int i = 0; i < kCount; i++) sum[i] = hn::MulAdd(other.Load(pixel + i * step), weight, sum[i]);
        }
      }
    }
    for (int i = 0; i < kCount; i++) own.Store(ActivateLanes(sum[i], activation), out + (w + i) * s.outC);
  };
  for (int64_t w = 0; w < s.out[2];) {
    if (w >= inner.begin && w + 4 <= inner.end) {
      columns(Count<4>(), w, Span{0, s.kernel[2]});
      w += 4;
    } else {
      columns(Count<1>(), w, TapsInside(w * s.stride[2] - s.pad[2], s.kernel[2], s.dilation[2], s.in[2]));
      w++;
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

// Adds to one row of the input's gradient, some of its channels, what one filter a channel contributes.
template <class Own, class Other>
HWY_NOINLINE void DepthwiseGradientRow(const Call& call, const nabla::conv::Shape& s, int64_t row,
                                       const Own& own, const Other& other) {
  const Position at = RowAt(row, s.in);
  const float* image = call.operand(1).as<float>() + at.image * s.outImage();
  const float* filter = call.operand(2).as<float>();
  float* out = call.operand(0).as<float>() + row * s.in[2] * s.inC;
  for (int64_t kd = 0; kd < s.kernel[0]; kd++) {
    const int64_t od = Meets(s, 0, at.d, kd);
    for (int64_t kh = 0; kh < s.kernel[1] && od >= 0; kh++) {
      const int64_t oh = Meets(s, 1, at.h, kh);
      if (oh < 0) continue;
      const float* pixels = image + (od * s.out[1] + oh) * s.out[2] * s.outC;
      for (int64_t kw = 0; kw < s.kernel[2]; kw++) {
        const V weight = other.Load(filter + ((kd * s.kernel[1] + kh) * s.kernel[2] + kw) * s.outC);
        const int64_t start = kw * s.dilation[2] - s.pad[2];
        const Span ws = TapsInside(start, s.out[2], s.stride[2], s.in[2]);
        for (int64_t w = ws.begin; w < ws.end; w++) {
          float* to = out + (start + w * s.stride[2]) * s.inC;
          own.Store(hn::MulAdd(other.Load(pixels + w * s.outC), weight, own.Load(to)), to);
        }
      }
    }
  }
}

// Adds one row of positions to the filter's gradient, some of its output channels.
template <class Own, class Other>
HWY_NOINLINE void DepthwiseFilterRow(const Call& call, const nabla::conv::Shape& s, int64_t row,
                                     const Own& own, const Other& other) {
  const Position at = RowAt(row, s.out);
  const float* image = call.operand(1).as<float>() + at.image * s.inImage();
  const float* gradients = call.operand(2).as<float>() + row * s.out[2] * s.outC;
  float* out = call.operand(0).as<float>();
  const int64_t startD = at.d * s.stride[0] - s.pad[0], startH = at.h * s.stride[1] - s.pad[1];
  const Span ds = TapsInside(startD, s.kernel[0], s.dilation[0], s.in[0]);
  const Span hs = TapsInside(startH, s.kernel[1], s.dilation[1], s.in[1]);
  const int64_t step = s.stride[2] * s.inC;
  for (int64_t kd = ds.begin; kd < ds.end; kd++) {
    for (int64_t kh = hs.begin; kh < hs.end; kh++) {
      const int64_t inRow = (startD + kd * s.dilation[0]) * s.in[1] + startH + kh * s.dilation[1];
      for (int64_t kw = 0; kw < s.kernel[2]; kw++) {
        const int64_t start = kw * s.dilation[2] - s.pad[2];
        const Span ws = TapsInside(start, s.out[2], s.stride[2], s.in[2]);
        const float* pixel = image + (inRow * s.in[2] + start + ws.begin * s.stride[2]) * s.inC;
        const float* gradient = gradients + ws.begin * s.outC;
        V sum[4];
        for (V& part : sum) part = hn::Zero(D());
        int64_t w = ws.begin;
        for (; w + 4 <= ws.end; w += 4, pixel += 4 * step, gradient += 4 * s.outC) {
          for (int i = 0; i < 4; i++) {
            sum[i] = hn::MulAdd(other.Load(pixel + i * step), own.Load(gradient + i * s.outC), sum[i]);
          }
        }
        for (; w < ws.end; w++, pixel += step, gradient += s.outC) {
          sum[0] = hn::MulAdd(other.Load(pixel), own.Load(gradient), sum[0]);
        }
        float* to = out + ((kd * s.kernel[1] + kh) * s.kernel[2] + kw) * s.outC;
        const V total = hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
        own.Store(hn::Add(own.Load(to), total), to);
      }
    }
  }
}

inline void RunDepthwise(const Call& call, const nabla::conv::Shape& s, const float* bias,
                         Activation activation) {
  ParallelFor(call.pool, s.batch * s.out[0] * s.out[1], GrainOf(s.out[2] * s.taps() * s.outC),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t row = begin; row < end; row++) {
                  for (int64_t c = 0; c < s.outC; c += kLanes) {
                    WithLanes(c, s.outC, 1, s.outGroup(), 0, [&](const auto& own, const auto& other) {
                      DepthwiseRow(call, s, bias, activation, row, own, other);
                    });
                  }
                }
              });
}

inline void RunDepthwiseInputGrad(const Call& call, const nabla::conv::Shape& s) {
  float* out = call.operand(0).as<float>();
  const int64_t rowFloats = s.in[2] * s.inC, repeat = s.outGroup();
  ParallelFor(call.pool, s.batch * s.in[0] * s.in[1], GrainOf(s.in[2] * s.taps() * s.outC),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t row = begin; row < end; row++) {
                  std::memset(out + row * rowFloats, 0, static_cast<size_t>(rowFloats) * sizeof(float));
                  for (int64_t c = 0; c < s.inC; c += kLanes) {
                    for (int64_t j = 0; j < repeat; j++) {
                      WithLanes(c, s.inC, repeat, 1, j, [&](const auto& own, const auto& other) {
                        DepthwiseGradientRow(call, s, row, own, other);
                      });
                    }
                  }
                }
              });
}

// Threads share the channels, so that nothing is added up across threads.
inline void RunDepthwiseFilterGrad(const Call& call, const nabla::conv::Shape& s) {
  float* out = call.operand(0).as<float>();
  const int64_t chunks = (s.outC + kLanes - 1) / kLanes, rows = s.batch * s.out[0] * s.out[1];
  ParallelFor(
      call.pool, chunks, GrainOf(rows * s.out[2] * s.taps() * kLanes), [&](int64_t begin, int64_t end, int) {
        const int64_t first = begin * kLanes, last = HWY_MIN(end * kLanes, s.outC);
        for (int64_t tap = 0; tap < s.taps(); tap++) {
          std::memset(out + tap * s.outC + first, 0, static_cast<size_t>(last - first) * sizeof(float));
        }
        for (int64_t row = 0; row < rows; row++) {
          for (int64_t c = first; c < last; c += kLanes) {
            WithLanes(c, s.outC, 1, s.outGroup(), 0, [&](const auto& own, const auto& other) {
              DepthwiseFilterRow(call, s, row, own, other);
            });
          }
        }
      });
}

}  // namespace conv
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // include guard
