// copy: strided copies with conversion. Axes are merged and ordered by the output's strides; what is left
// runs as contiguous lines, as tiles where input and output are contiguous along different axes, or one
// element at a time.
#include <cstring>
#include <limits>
#include <type_traits>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/copy.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "cpu/kernels/copy-plan.h"
#include "cpu/kernels/halves-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 65536;
// Side of a transposed block: few enough input rows to stay in the first-level cache even if they all fall
// into one set.
constexpr int64_t kBlock = 8;

template <class T>
HWY_INLINE T Saturate(float x) {
  // The limits as float: the lowest is exact, and the first float that is too large is one above the highest.
  constexpr float kLow = static_cast<float>(std::numeric_limits<T>::lowest());
  constexpr float kAbove = static_cast<float>(int64_t{std::numeric_limits<T>::max()} + 1);
  if (!(x > kLow)) return x <= kLow ? std::numeric_limits<T>::lowest() : T{0};  // NaN gives 0
  return x < kAbove ? static_cast<T>(x) : std::numeric_limits<T>::max();
}

// How vectors of a dtype of 16 bits are converted; void for others.
template <class T>
using LanesOf = std::conditional_t<std::is_same_v<T, Bfloat16>, Bfloat16Lanes,
                                   std::conditional_t<std::is_same_v<T, Float16>, Float16Lanes, void>>;
template <class T>
constexpr bool kIsHalf = !std::is_void_v<LanesOf<T>>;

// Conversions, by what is stored: float, int32_t, uint8_t, bool (a byte that becomes 0 or 1), Bfloat16,
// Float16.
template <class Out, class In>
HWY_INLINE auto Convert(In x) {
  if constexpr (kIsHalf<In>) {
    return Convert<Out>(ToFloat(x));
  } else if constexpr (kIsHalf<Out>) {
    Out rounded;
    Round(static_cast<float>(x), rounded);
    return rounded;
  } else if constexpr (std::is_same_v<Out, bool>) {
    return static_cast<uint8_t>(x != 0);
  } else if constexpr (std::is_same_v<In, float> && std::is_integral_v<Out>) {
    return Saturate<Out>(x);
  } else {
    return static_cast<Out>(x);
  }
}

template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

// Copies of one element type: words of 32, 16 or 8 bits, so that every bit arrives.
template <class T>
struct Same {
  using In = T;
  using Out = T;
  static HWY_INLINE T Apply(T x) { return x; }
  // Not memcpy: a program may name overlapping operands, which gives it nothing useful but must do no harm.
  static void Line(T* out, const T* in, int64_t count) {
    std::memmove(out, in, static_cast<size_t>(count) * sizeof(T));
  }
};

template <class OutType, class InType>
struct Converted {
  using In = InType;
  using Out = Stored<OutType>;
  static HWY_INLINE Out Apply(In x) { return Convert<OutType>(x); }
  static void Line(Out* HWY_RESTRICT out, const In* HWY_RESTRICT in, int64_t count) {
    int64_t i = 0;
    if constexpr (kIsHalf<In> && std::is_same_v<OutType, float>) {
      WidenAs<LanesOf<In>>(reinterpret_cast<const uint16_t*>(in), static_cast<size_t>(count), out);
      return;
    } else if constexpr (std::is_same_v<In, float> && kIsHalf<OutType>) {
      NarrowAs<LanesOf<OutType>>(in, static_cast<size_t>(count), reinterpret_cast<uint16_t*>(out));
      return;
    } else if constexpr (std::is_same_v<OutType, float>) {
      const hn::ScalableTag<float> d;
      const hn::RebindToSigned<decltype(d)> di;
      const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
      for (; i + lanes <= count; i += lanes) {
        if constexpr (std::is_same_v<In, uint8_t>) {
          const hn::Rebind<uint8_t, decltype(d)> db;
          hn::StoreU(hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(db, in + i))), d, out + i);
        } else {
          hn::StoreU(hn::ConvertTo(d, hn::LoadU(di, in + i)), d, out + i);
        }
      }
    }
    for (; i < count; ++i) out[i] = Apply(in[i]);
  }
};

template <class Kind>
void CopyLine(typename Kind::Out* out, const typename Kind::In* in, const CopyAxis& axis, int64_t begin,
              int64_t end) {
  if (axis.out == 1 && axis.in == 1) return Kind::Line(out + begin, in + begin, end - begin);
  if (axis.out == 1 && axis.in == 0) {
    std::fill(out + begin, out + end, Kind::Apply(*in));
    return;
  }
  for (int64_t i = begin; i < end; ++i) out[i * axis.out] = Kind::Apply(in[i * axis.in]);
}

// The output is contiguous along `line`, the input along `across`: blocks small enough that both stay in
// cache.
template <class Kind>
void CopyTile(typename Kind::Out* out, const typename Kind::In* in, const CopyAxis& across,
              const CopyAxis& line, int64_t begin, int64_t end) {
  for (int64_t j = 0; j < line.dim; j += kBlock) {
    const int64_t width = std::min(kBlock, line.dim - j);
    for (int64_t i = begin; i < end; ++i) {
      typename Kind::Out* to = out + i * across.out + j;
      const typename Kind::In* from = in + i + j * line.in;
      if (width == kBlock) {
        for (int64_t k = 0; k < kBlock; ++k) to[k] = Kind::Apply(from[k * line.in]);
      } else {
        for (int64_t k = 0; k < width; ++k) to[k] = Kind::Apply(from[k * line.in]);
      }
    }
  }
}

template <class Kind>
void CopyAll(const Call& call) {
  const CopyPlan plan = PlanCopy(call.instruction);
  auto* out = call.operand(0).as<typename Kind::Out>();
  const auto* in = call.operand(1).as<typename Kind::In>();
  // Outer rows [begin, end), of each the part [first, last) of the axis that is split where rows are few.
  const auto run = [&](int64_t begin, int64_t end, int64_t first, int64_t last) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t to = plan.outOffset, from = plan.inOffset, rest = row;
      for (int axis = plan.outer - 1; axis >= 0; --axis) {
        const int64_t i = rest % plan.axes[axis].dim;
        rest /= plan.axes[axis].dim;
        to += i * plan.axes[axis].out;
        from += i * plan.axes[axis].in;
      }
      if (plan.tiled) {
        CopyTile<Kind>(out + to, in + from, plan.across, plan.line, first, last);
      } else {
        CopyLine<Kind>(out + to, in + from, plan.line, first, last);
      }
    }
  };
  const int64_t width = plan.tiled ? plan.across.dim : plan.line.dim;
  const int64_t rowSize = plan.tiled ? width * plan.line.dim : width;
  const auto grainFor = [](int64_t elements) {
    return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, elements));
  };
  if (plan.rows >= call.pool.threads()) {
    ParallelFor(call.pool, plan.rows, grainFor(rowSize),
                [&](int64_t begin, int64_t end, int) { run(begin, end, 0, width); });
  } else {
    ParallelFor(call.pool, width, grainFor(plan.rows * (rowSize / std::max<int64_t>(1, width))),
                [&](int64_t begin, int64_t end, int) { run(0, plan.rows, begin, end); });
  }
}

template <class Out, class In>
void CopyAs(const Call& call) {
  if constexpr (std::is_same_v<Out, In>) {
    CopyAll<Same<In>>(call);
  } else {
    CopyAll<Converted<Out, In>>(call);
  }
}

template <class In>
void CopyFrom(const Call& call) {
  switch (call.operand(0).dtype) {
    case DType::kFloat32:
      return CopyAs<float, In>(call);
    case DType::kInt32:
      return CopyAs<int32_t, In>(call);
    case DType::kUint8:
      return CopyAs<uint8_t, In>(call);
    case DType::kBool:
      return CopyAs<bool, In>(call);
    case DType::kBfloat16:
      return CopyAs<Bfloat16, In>(call);
    case DType::kFloat16:
      return CopyAs<Float16, In>(call);
  }
}

}  // namespace

void RunCopy(const Call& call) {
  const DType in = call.operand(1).dtype;
  if (in == call.operand(0).dtype) {
    if (IsHalf(in)) return CopyAll<Same<uint16_t>>(call);
    return SizeOf(in) == 4 ? CopyAll<Same<uint32_t>>(call) : CopyAll<Same<uint8_t>>(call);
  }
  if (in == DType::kBfloat16) return CopyFrom<Bfloat16>(call);
  if (in == DType::kFloat16) return CopyFrom<Float16>(call);
  if (in == DType::kFloat32) return CopyFrom<float>(call);
  if (in == DType::kInt32) return CopyFrom<int32_t>(call);
  CopyFrom<uint8_t>(call);
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchCopy(const Instruction&, int) { return 0; }

}  // namespace nabla
#endif  // HWY_ONCE
