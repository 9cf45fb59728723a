// Brings the inputs of a map that cannot be read where they lie into block registers: those of 8 and 16 bits
// and broadcast ones.
#if defined(NABLA_MAP_SPREAD_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MAP_SPREAD_H
#undef NABLA_MAP_SPREAD_H
#else
#define NABLA_MAP_SPREAD_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu/kernels/halves-inl.h"
#include "cpu/kernels/map-plan.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// 8 bits to 32.
inline void Widen(const uint8_t* from, size_t count, int32_t* to) {
  const hn::ScalableTag<int32_t> wide;
  const hn::Rebind<uint8_t, decltype(wide)> narrow;
  size_t i = 0;
  for (; i + hn::Lanes(wide) <= count; i += hn::Lanes(wide)) {
    hn::StoreU(hn::PromoteTo(wide, hn::LoadU(narrow, from + i)), wide, to + i);
  }
  for (; i < count; i++) to[i] = from[i];
}

// The low 8 bits of 32.
inline void Narrow(const int32_t* from, size_t count, uint8_t* to) {
  const hn::ScalableTag<int32_t> wide;
  const hn::Rebind<uint8_t, decltype(wide)> narrow;
  const auto low = hn::Set(wide, 0xff);
  size_t i = 0;
  for (; i + hn::Lanes(wide) <= count; i += hn::Lanes(wide)) {
    hn::StoreU(hn::DemoteTo(narrow, hn::And(hn::LoadU(wide, from + i), low)), narrow, to + i);
  }
  for (; i < count; i++) to[i] = static_cast<uint8_t>(from[i]);
}

// Elements that are narrower than a register, from element `at` on.
inline void Widen(const Operand& input, int64_t at, size_t count, int32_t* to) {
  if (IsHalf(input.dtype)) {
    WidenHalves(input.dtype, input.as<uint16_t>() + at, count, reinterpret_cast<float*>(to));
  } else {
    Widen(input.as<uint8_t>() + at, count, to);
  }
}

// The same way back.
inline void Narrow(const int32_t* from, size_t count, const Operand& out, int64_t at) {
  if (IsHalf(out.dtype)) {
    NarrowToHalves(out.dtype, reinterpret_cast<const float*>(from), count, out.as<uint16_t>() + at);
  } else {
    Narrow(from, count, out.as<uint8_t>() + at);
  }
}

// One number, as a register's 32 bits.
HWY_INLINE int32_t LoadOne(const Operand& input, int64_t at) {
  if (SizeOf(input.dtype) == 1) return input.as<uint8_t>()[at];
  if (IsHalf(input.dtype)) {
    const float value = FromHalf(input.dtype, input.as<uint16_t>()[at]);
    int32_t word;
    std::memcpy(&word, &value, sizeof word);
    return word;
  }
  return input.as<int32_t>()[at];
}

// Fills a register or a part of one; the last vector is written whole, over what comes later.
inline void Repeat(int32_t value, size_t count, int32_t* to) {
  const hn::ScalableTag<int32_t> d;
  const auto v = hn::Set(d, value);
  for (size_t i = 0; i < count; i += hn::Lanes(d)) hn::StoreU(v, d, to + i);
}

inline void CopyRun(const Operand& input, int64_t at, size_t count, int32_t* to) {
  if (SizeOf(input.dtype) != 4) {
    Widen(input, at, count, to);
  } else {
    std::memcpy(to, input.as<int32_t>() + at, count * sizeof(int32_t));
  }
}

// A place in the output's merged dimensions and the element of one input that belongs to it.
struct Position {
  int64_t index[kMaxRank] = {};
  int64_t at = 0;
};

inline Position Locate(const MapPlan& plan, int input, int64_t element) {
  Position position;
  for (int d = plan.rank - 1; d >= 0; d--) {
    const int64_t rest = element / plan.dims[d];
    position.index[d] = element - rest * plan.dims[d];
    position.at += position.index[d] * plan.strides[input][d];
    element = rest;
  }
  return position;
}

// Elements [first, first + count) of a broadcast input, run by run along the last dimension, where the stride
// is 0 or 1.
inline void Spread(const MapPlan& plan, const Operand& operand, int input, int64_t first, size_t count,
                   int32_t* to) {
  const int last = plan.rank - 1;
  const int64_t* strides = plan.strides[input];
  Position p = Locate(plan, input, first);
  while (count > 0) {
    const size_t run = std::min(count, static_cast<size_t>(plan.dims[last] - p.index[last]));
    if (strides[last] == 0) {
      Repeat(LoadOne(operand, p.at), run, to);
    } else {
      CopyRun(operand, p.at, run, to);
    }
    to += run;
    count -= run;
    // To the beginning of the next row.
    p.at -= p.index[last] * strides[last];
    p.index[last] = 0;
    for (int d = last - 1; d >= 0; d--) {
      p.at += strides[d];
      if (++p.index[d] < plan.dims[d]) break;
      p.at -= plan.dims[d] * strides[d];
      p.index[d] = 0;
    }
  }
}

// The first `count` elements of an input that repeats after `period`, which it does by doubling.
inline void SpreadPeriod(const MapPlan& plan, const Operand& operand, int input, size_t count, int32_t* to) {
  size_t done = std::min(count, static_cast<size_t>(plan.period[input]));
  Spread(plan, operand, input, 0, done, to);
  while (done < count) {
    const size_t more = std::min(done, count - done);
    std::memcpy(to + done, to, more * sizeof(int32_t));
    done += more;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MAP_SPREAD_H
