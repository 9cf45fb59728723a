// gather and scatterAdd: rows picked from a table by index, and rows added into one.
#include <atomic>
#include <cstring>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/gather.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Elements that are worth a thread of their own.
constexpr int64_t kGrain = 65536;
// Narrower rows are split between threads by table row, wider ones by column.
constexpr int64_t kWideRow = 64;

// The lowest row that was refused, found by any thread.
class FirstBad {
 public:
  explicit FirstBad(int64_t rows) : rows_(rows), row_(rows) {}
  void Note(int64_t row) {
    int64_t known = row_.load();
    while (row < known && !row_.compare_exchange_weak(known, row)) {
    }
  }
  bool found() const { return row_.load() < rows_; }
  int64_t row() const { return row_.load(); }

 private:
  int64_t rows_;
  std::atomic<int64_t> row_;
};

bool InRange(int64_t index, int64_t limit) { return index >= 0 && index < limit; }

template <class D>
HWY_INLINE hn::Vec<D> LoadFloat(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadFloat(D d, const int32_t* from) {
  return hn::ConvertTo(d, hn::LoadU(hn::Rebind<int32_t, D>(), from));
}

template <class D>
HWY_INLINE hn::Vec<D> LoadFloat(D d, const uint8_t* from) {
  const hn::Rebind<int32_t, D> di;
  return hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(hn::Rebind<uint8_t, D>(), from)));
}

template <class D, class T>
HWY_INLINE size_t AffineLanes(D d, float* out, const T* row, size_t from, size_t size, float scale,
                              float shift) {
  const size_t lanes = hn::Lanes(d);
  const auto scales = hn::Set(d, scale), shifts = hn::Set(d, shift);
  for (; from + lanes <= size; from += lanes) {
    hn::StoreU(hn::MulAdd(LoadFloat(d, row + from), scales, shifts), d, out + from);
  }
  return from;
}

template <class T>
void AffineRow(float* out, const T* row, size_t size, float scale, float shift) {
  const size_t done = AffineLanes(hn::ScalableTag<float>(), out, row, 0, size, scale, shift);
  AffineLanes(hn::CappedTag<float, 1>(), out, row, done, size, scale, shift);
}

// Rows of one number are common (labels) and not worth a call of memcpy.
HWY_INLINE void CopyRow(std::byte* out, const std::byte* row, size_t bytes) {
  if (bytes == 4) {
    std::memcpy(out, row, 4);
  } else if (bytes == 1) {
    *out = *row;
  } else {
    std::memmove(out, row, bytes);
  }
}

// Fetches the beginning of a row that is needed soon: rows in a random order are too short for the processor
// to guess how they go on, and come from far away.
HWY_INLINE void FetchRow(const std::byte* row, int64_t bytes) {
  constexpr int64_t kLine = 64, kMost = 4096;
  for (int64_t at = 0; at < std::min(bytes, kMost); at += kLine) __builtin_prefetch(row + at);
}

// Calls put(i, index) for each output row whose index is in range.
template <class Put>
void ForRows(const Call& call, const int32_t* indices, const Put& put) {
  const int64_t count = call.attr(0), tableRows = call.attr(1), rowSize = call.attr(2);
  constexpr int64_t kAhead = 2;
  const Operand& table = call.operand(1);
  const int64_t rowBytes = rowSize * SizeOf(table.dtype);
  FirstBad bad(count);
  ParallelFor(call.pool, count, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, rowSize)),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t index = indices[i];
                  if (i + kAhead < end && InRange(indices[i + kAhead], tableRows)) {
                    FetchRow(table.data + indices[i + kAhead] * rowBytes, rowBytes);
                  }
                  if (!InRange(index, tableRows)) return bad.Note(i);
                  put(i, index);
                }
              });
  if (bad.found()) call.fault = {FaultCode::kIndexOutOfRange, indices[bad.row()], tableRows};
}

template <class T>
void GatherAffine(const Call& call, const int32_t* indices) {
  float* out = call.operand(0).as<float>();
  const T* table = call.operand(1).as<T>();
  const int64_t rowSize = call.attr(2);
  const float scale = call.attrFloat(4), shift = call.attrFloat(5);
  ForRows(call, indices, [=](int64_t i, int64_t index) {
    AffineRow(out + i * rowSize, table + index * rowSize, static_cast<size_t>(rowSize), scale, shift);
  });
}

// Serial: a row costs little more than its zeros, and the lowest bad row of two kinds of fault is then the
// first one met.
template <class T>
void GatherOneHot(const Call& call, const int32_t* indices) {
  const int64_t count = call.attr(0), tableRows = call.attr(1), rowSize = call.attr(2);
  float* out = call.operand(0).as<float>();
  const T* table = call.operand(1).as<T>();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices[i];
    if (!InRange(index, tableRows)) {
      call.fault = {FaultCode::kIndexOutOfRange, index, tableRows};
      return;
    }
    const int64_t label = table[index];
    if (!InRange(label, rowSize)) {
      call.fault = {FaultCode::kLabelOutOfRange, label, rowSize};
      return;
    }
    float* row = out + i * rowSize;
    std::fill(row, row + rowSize, 0.0f);
    row[label] = 1.0f;
  }
}

// Adds the source rows that meet table rows [rowBegin, rowEnd), in columns [columnBegin, columnEnd), in
// order.
void AddRows(const Call& call, int64_t rowBegin, int64_t rowEnd, int64_t columnBegin, int64_t columnEnd) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t count = call.attr(0), rowSize = call.attr(2);
  float* out = call.operand(0).as<float>();
  const float* source = call.operand(1).as<float>();
  const int32_t* indices = call.operand(2).as<int32_t>();
  if (call.attr(3) == 0) {
    for (int64_t row = rowBegin; row < rowEnd; ++row) {
      std::fill(out + row * rowSize + columnBegin, out + row * rowSize + columnEnd, 0.0f);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices[i];
    if (index < rowBegin || index >= rowEnd) continue;
    float* to = out + index * rowSize;
    const float* from = source + i * rowSize;
    int64_t column = columnBegin;
    for (; column + lanes <= columnEnd; column += lanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, to + column), hn::LoadU(d, from + column)), d, to + column);
    }
    for (; column < columnEnd; ++column) to[column] += from[column];
  }
}

}  // namespace

void RunGather(const Call& call) {
  const Operand& table = call.operand(1);
  const Operand& cursor = call.operand(3);
  const int64_t count = call.attr(0), rowSize = call.attr(2);
  if (count == 0) return;
  const int64_t start = cursor.present ? int64_t{cursor.as<int32_t>()[0]} * count : 0;
  const int64_t available = call.operand(2).size;
  if (start < 0 || count > available || start > available - count) {
    call.fault = {FaultCode::kIndexOutOfRange, start < 0 ? start : start + count - 1, available};
    return;
  }
  const int32_t* indices = call.operand(2).as<int32_t>() + start;
  switch (static_cast<GatherMode>(call.attr(3))) {
    case GatherMode::kCopy: {
      const int64_t bytes = rowSize * SizeOf(table.dtype);
      std::byte* out = call.operand(0).data;
      ForRows(call, indices, [=, &table](int64_t i, int64_t index) {
        CopyRow(out + i * bytes, table.data + index * bytes, static_cast<size_t>(bytes));
      });
      break;
    }
    case GatherMode::kAffine:
      if (table.dtype == DType::kUint8) return GatherAffine<uint8_t>(call, indices);
      if (table.dtype == DType::kInt32) return GatherAffine<int32_t>(call, indices);
      return GatherAffine<float>(call, indices);
    case GatherMode::kOneHot:
      if (table.dtype == DType::kUint8) return GatherOneHot<uint8_t>(call, indices);
      return GatherOneHot<int32_t>(call, indices);
    case GatherMode::kCount:
      break;
  }
}

void RunScatterAdd(const Call& call) {
  const int64_t count = call.attr(0), tableRows = call.attr(1), rowSize = call.attr(2);
  const int32_t* indices = call.operand(2).as<int32_t>();
  for (int64_t i = 0; i < count; ++i) {
    if (!InRange(indices[i], tableRows)) {
      call.fault = {FaultCode::kIndexOutOfRange, indices[i], tableRows};
      return;
    }
  }
  if (rowSize == 0) return;
  const int64_t work = count * rowSize + (call.attr(3) == 0 ? tableRows * rowSize : 0);
  const int64_t parts = std::max<int64_t>(1, work / kGrain);
  // Each thread owns a part of the table and walks all indices, so that rows that meet are added in the order
  // of the source.
  if (rowSize >= kWideRow) {
    const int64_t units = (rowSize + kWideRow - 1) / kWideRow * 4;
    ParallelFor(call.pool, units, (units + parts - 1) / parts, [&](int64_t begin, int64_t end, int) {
      AddRows(call, 0, tableRows, std::min(rowSize, begin * 16), std::min(rowSize, end * 16));
    });
  } else {
    ParallelFor(call.pool, tableRows, (tableRows + parts - 1) / parts,
                [&](int64_t begin, int64_t end, int) { AddRows(call, begin, end, 0, rowSize); });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchGather(const Instruction&, int) { return 0; }
size_t ScratchScatterAdd(const Instruction&, int) { return 0; }

}  // namespace nabla
#endif  // HWY_ONCE
