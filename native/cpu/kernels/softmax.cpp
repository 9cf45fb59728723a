// softmax, softmaxGrad and softmaxCrossEntropy: rows of exponentials, stable by subtracting each row's
// maximum.
#include <atomic>
#include <cmath>
#include <limits>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/softmax.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "cpu/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 16384;

int64_t RowGrain(int64_t columns) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, columns)); }

// e^x to about 1 ulp for arguments that softmax meets (at most 0, or a little above). Below -87.3, where the
// result would no longer be a normal number, exactly 0; NaN stays NaN. A minimax polynomial after x = k log 2
// + r, |r| <= log(2) / 2.
HWY_INLINE V Exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  // Adding 1.5 * 2^23 rounds to an integer and leaves k in the low bits, here with the exponent's bias
  // already added.
  const V magic = hn::Set(d, 12582912.0f + 127.0f);
  const V biased = hn::MulAdd(hn::Min(x, hn::Set(d, 88.0f)), hn::Set(d, 1.44269504f), magic);
  const V power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, biased)));
  const V k = hn::Sub(biased, magic);
  // log 2 in two parts, the first short enough that k times it is exact.
  const V r = hn::NegMulAdd(k, hn::Set(d, -2.12194440e-4f), hn::NegMulAdd(k, hn::Set(d, 0.693359375f), x));
  V p = hn::MulAdd(r, hn::Set(d, 0.0013813139f), hn::Set(d, 0.00836942f));
  p = hn::MulAdd(r, p, hn::Set(d, 0.041668456f));
  p = hn::MulAdd(r, p, hn::Set(d, 0.16666515f));
  p = hn::MulAdd(r, p, hn::Set(d, 0.49999994f));
  p = hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), hn::Set(d, 1.0f));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.3f)), hn::Mul(p, power));
}

// Sum of e^(x - max), the terms kept in `terms` if that is not null.
HWY_INLINE V ExpSum(D d, const float* x, V max, float* terms, size_t n) {
  return RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR {
    const V e = Exp(d, hn::Sub(LoadPart(d, x + i, count), max));
    if (terms != nullptr) StorePart(e, d, terms + i, count);
    return KeepFirst(d, e, count);
  });
}

HWY_INLINE V LogOf(D d, V sum) { return hn::Set(d, std::log(hn::GetLane(sum))); }

void SoftmaxRow(const float* x, float* out, size_t n, bool log) {
  const D d;
  const V max = RowMax(d, x, n);
  if (log) {
    const V logSum = LogOf(d, ExpSum(d, x, max, nullptr, n));
    FillRow(d, out, n, [=](size_t i, size_t count) HWY_ATTR {
      return hn::Sub(hn::Sub(LoadPart(d, x + i, count), max), logSum);
    });
  } else {
    const V scale = hn::Div(hn::Set(d, 1.0f), ExpSum(d, x, max, out, n));
    FillRow(d, out, n,
            [=](size_t i, size_t count) HWY_ATTR { return hn::Mul(LoadPart(d, out + i, count), scale); });
  }
}

void SoftmaxGradRow(const float* y, const float* dy, float* out, size_t n, bool log) {
  const D d;
  if (log) {
    const V sum = RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR { return LoadPart(d, dy + i, count); });
    FillRow(d, out, n, [=](size_t i, size_t count) HWY_ATTR {
      return hn::NegMulAdd(Exp(d, LoadPart(d, y + i, count)), sum, LoadPart(d, dy + i, count));
    });
  } else {
    const V sum = RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR {
      return hn::Mul(LoadPart(d, y + i, count), LoadPart(d, dy + i, count));
    });
    FillRow(d, out, n, [=](size_t i, size_t count) HWY_ATTR {
      return hn::Mul(LoadPart(d, y + i, count), hn::Sub(LoadPart(d, dy + i, count), sum));
    });
  }
}

// One row against one class.
void ClassRow(const float* x, size_t label, float* loss, float* grad, size_t n) {
  const D d;
  const V max = RowMax(d, x, n);
  const V sum = ExpSum(d, x, max, grad, n);
  *loss = std::log(hn::GetLane(sum)) - (x[label] - hn::GetLane(max));
  if (grad == nullptr) return;
  const V scale = hn::Div(hn::Set(d, 1.0f), sum);
  FillRow(d, grad, n,
          [=](size_t i, size_t count) HWY_ATTR { return hn::Mul(LoadPart(d, grad + i, count), scale); });
  grad[label] -= 1.0f;
}

// One row against a distribution.
void DistributionRow(const float* x, const float* labels, float* loss, float* grad, size_t n) {
  const D d;
  const V max = RowMax(d, x, n);
  const V sum = ExpSum(d, x, max, grad, n);
  const V logSum = LogOf(d, sum);
  // logSum - (x - max) is at least 0, so nothing cancels between the terms of one row.
  const V total = RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR {
    const V minusLog = hn::Sub(logSum, hn::Sub(LoadPart(d, x + i, count), max));
    return KeepFirst(d, hn::Mul(LoadPart(d, labels + i, count), minusLog), count);
  });
  *loss = hn::GetLane(total);
  if (grad == nullptr) return;
  const V labelSum =
      RowSum(d, n, [=](size_t i, size_t count) HWY_ATTR { return LoadPart(d, labels + i, count); });
  const V scale = hn::Div(labelSum, sum);
  FillRow(d, grad, n, [=](size_t i, size_t count) HWY_ATTR {
    return hn::MulSub(LoadPart(d, grad + i, count), scale, LoadPart(d, labels + i, count));
  });
}

template <class T>
void ClassRows(const Call& call, const T* labels) {
  float* loss = call.operand(0).as<float>();
  float* grad = call.operand(1).present ? call.operand(1).as<float>() : nullptr;
  const float* logits = call.operand(2).as<float>();
  const int64_t rows = call.attr(0), columns = call.attr(1);
  std::atomic<int64_t> firstBad{rows};
  ParallelFor(call.pool, rows, RowGrain(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t label = labels[row];
      if (label < 0 || label >= columns) {
        int64_t known = firstBad.load();
        while (row < known && !firstBad.compare_exchange_weak(known, row)) {
        }
        return;
      }
      ClassRow(logits + row * columns, static_cast<size_t>(label), loss + row,
               grad == nullptr ? nullptr : grad + row * columns, static_cast<size_t>(columns));
    }
  });
  if (const int64_t bad = firstBad.load(); bad < rows)
    call.fault = {FaultCode::kLabelOutOfRange, labels[bad], columns};
}

}  // namespace

void RunSoftmax(const Call& call) {
  float* out = call.operand(0).as<float>();
  const float* input = call.operand(1).as<float>();
  const int64_t columns = call.attr(1);
  const bool log = call.attr(2) != 0;
  ParallelFor(call.pool, call.attr(0), RowGrain(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      SoftmaxRow(input + row * columns, out + row * columns, static_cast<size_t>(columns), log);
    }
  });
}

void RunSoftmaxGrad(const Call& call) {
  float* out = call.operand(0).as<float>();
  const float* y = call.operand(1).as<float>();
  const float* dy = call.operand(2).as<float>();
  const int64_t columns = call.attr(1);
  const bool log = call.attr(2) != 0;
  ParallelFor(call.pool, call.attr(0), RowGrain(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * columns;
      SoftmaxGradRow(y + at, dy + at, out + at, static_cast<size_t>(columns), log);
    }
  });
}

void RunSoftmaxCrossEntropy(const Call& call) {
  const Operand& labels = call.operand(3);
  if (labels.dtype == DType::kInt32) return ClassRows(call, labels.as<int32_t>());
  if (labels.dtype == DType::kUint8) return ClassRows(call, labels.as<uint8_t>());
  float* loss = call.operand(0).as<float>();
  float* grad = call.operand(1).present ? call.operand(1).as<float>() : nullptr;
  const float* logits = call.operand(2).as<float>();
  const int64_t columns = call.attr(1);
  ParallelFor(call.pool, call.attr(0), RowGrain(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * columns;
      DistributionRow(logits + at, labels.as<float>() + at, loss + row, grad == nullptr ? nullptr : grad + at,
                      static_cast<size_t>(columns));
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchSoftmax(const Instruction&, int) { return 0; }
size_t ScratchSoftmaxGrad(const Instruction&, int) { return 0; }
size_t ScratchSoftmaxCrossEntropy(const Instruction&, int) { return 0; }

}  // namespace nabla
#endif  // HWY_ONCE
