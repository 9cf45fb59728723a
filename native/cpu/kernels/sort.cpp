// sort: rows in order, with the places that the elements came from.
#include <cstring>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/sort.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

namespace nabla {
// One form for all instruction sets: radix passes are bound by scattered stores, not by arithmetic.
void SortRows(const Call& call);
}  // namespace nabla

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {

void RunSort(const Call& call) { SortRows(call); }

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {
namespace {

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 2048;
// Longer rows are sorted by radix, which has a fixed cost for its counters.
constexpr int64_t kShortRow = 256;

// An unsigned key in the order of the values; equal values have equal keys, NaN has the last one.
uint32_t KeyOf(float value, bool descending) {
  if (value != value) return 0xffffffffu;
  if (value == 0) value = 0;  // -0 and 0 are equal
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t key = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return descending ? ~key : key;
}

uint32_t KeyOf(int32_t value, bool descending) {
  const uint32_t key = static_cast<uint32_t>(value) ^ 0x80000000u;
  return descending ? ~key : key;
}

uint32_t KeyOf(uint8_t value, bool descending) { return descending ? 255u - value : value; }

// Sorts by the upper 32 bits, a byte at a time from the lowest; items that are equal there keep their order.
// Gives the array that the result is in.
uint64_t* RadixSort(uint64_t* items, uint64_t* other, int64_t count) {
  for (int shift = 32; shift < 64; shift += 8) {
    int64_t starts[256] = {};
    for (int64_t i = 0; i < count; ++i) ++starts[items[i] >> shift & 255];
    if (starts[items[0] >> shift & 255] == count) continue;  // all alike in this byte
    int64_t sum = 0;
    for (int64_t& start : starts) {
      const int64_t size = start;
      start = sum;
      sum += size;
    }
    for (int64_t i = 0; i < count; ++i) other[starts[items[i] >> shift & 255]++] = items[i];
    std::swap(items, other);
  }
  return items;
}

template <class T>
void SortAs(const Call& call) {
  const Operand &values = call.operand(0), &indices = call.operand(1);
  const T* input = call.operand(2).as<T>();
  const int64_t rows = call.attr(0), columns = call.attr(1);
  const bool descending = call.attr(2) != 0;
  if (columns == 0) return;
  uint64_t* scratch = reinterpret_cast<uint64_t*>(call.scratch);
  const int64_t grain = std::max<int64_t>(1, kGrain / columns);
  ParallelFor(call.pool, rows, grain, [&](int64_t begin, int64_t end, int part) {
    uint64_t* items = scratch + part * 2 * columns;
    for (int64_t row = begin; row < end; ++row) {
      const T* in = input + row * columns;
      // Key above, place below: one comparison orders both, so that equal values keep their order.
      for (int64_t i = 0; i < columns; ++i) {
        items[i] = uint64_t{KeyOf(in[i], descending)} << 32 | static_cast<uint64_t>(i);
      }
      uint64_t* sorted = items;
      if (columns <= kShortRow) {
        std::sort(items, items + columns);
      } else {
        sorted = RadixSort(items, items + columns, columns);
      }
      for (int64_t i = 0; i < columns; ++i) {
        const int32_t from = static_cast<int32_t>(sorted[i] & 0xffffffffu);
        if (values.present) values.as<T>()[row * columns + i] = in[from];
        if (indices.present) indices.as<int32_t>()[row * columns + i] = from;
      }
    }
  });
}

}  // namespace

void SortRows(const Call& call) {
  if (call.operand(2).dtype == DType::kFloat32) return SortAs<float>(call);
  if (call.operand(2).dtype == DType::kInt32) return SortAs<int32_t>(call);
  SortAs<uint8_t>(call);
}

size_t ScratchSort(const Instruction& instruction, int threads) {
  const size_t parts = static_cast<size_t>(std::min<int64_t>(threads, instruction.attr(0)));
  return parts * 2 * sizeof(uint64_t) * static_cast<size_t>(instruction.attr(1));
}

}  // namespace nabla
#endif  // HWY_ONCE
