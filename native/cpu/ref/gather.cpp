// The plain double-precision twins of gather and scatterAdd.
#include <cstring>
#include <vector>

#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

double Number(const Operand& operand, int64_t i) {
  switch (operand.dtype) {
    case DType::kFloat32:
      return operand.as<float>()[i];
    case DType::kInt32:
      return operand.as<int32_t>()[i];
    case DType::kUint8:
    case DType::kBool:
      return operand.as<uint8_t>()[i];
    case DType::kBfloat16:  // rows of these are only copied
    case DType::kFloat16:
      break;
  }
  return 0;
}

}  // namespace

void RunGather(const Call& call) {
  const Operand &out = call.operand(0), &table = call.operand(1), &indices = call.operand(2),
                &cursor = call.operand(3);
  const int64_t count = call.attr(0), tableRows = call.attr(1), rowSize = call.attr(2);
  const GatherMode mode = static_cast<GatherMode>(call.attr(3));
  if (count == 0) return;
  const int64_t start = cursor.present ? int64_t{cursor.as<int32_t>()[0]} * count : 0;
  if (start < 0 || start + count > indices.size) {
    call.fault = {FaultCode::kIndexOutOfRange, start < 0 ? start : start + count - 1, indices.size};
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices.as<int32_t>()[start + i];
    if (index < 0 || index >= tableRows) {
      call.fault = {FaultCode::kIndexOutOfRange, index, tableRows};
      return;
    }
    const int64_t label = mode == GatherMode::kOneHot ? static_cast<int64_t>(Number(table, index)) : 0;
    if (mode == GatherMode::kOneHot && (label < 0 || label >= rowSize)) {
      call.fault = {FaultCode::kLabelOutOfRange, label, rowSize};
      return;
    }
    for (int64_t j = 0; j < rowSize; ++j) {
      const int64_t to = i * rowSize + j, from = index * rowSize + j;
      if (mode == GatherMode::kCopy) {
        const int64_t bytes = SizeOf(table.dtype);
        std::memcpy(out.data + to * bytes, table.data + from * bytes, static_cast<size_t>(bytes));
      } else if (mode == GatherMode::kAffine) {
        out.as<float>()[to] = static_cast<float>(Number(table, from) * call.attrFloat(4) + call.attrFloat(5));
      } else {
        out.as<float>()[to] = j == label ? 1.0f : 0.0f;
      }
    }
  }
}

void RunScatterAdd(const Call& call) {
  const Operand &out = call.operand(0), &source = call.operand(1), &indices = call.operand(2);
  const int64_t count = call.attr(0), tableRows = call.attr(1), rowSize = call.attr(2);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices.as<int32_t>()[i];
    if (index < 0 || index >= tableRows) {
      call.fault = {FaultCode::kIndexOutOfRange, index, tableRows};
      return;
    }
  }
  std::vector<double> sums(static_cast<size_t>(tableRows * rowSize));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = call.attr(3) != 0 ? out.as<float>()[i] : 0;
  for (int64_t i = 0; i < count * rowSize; ++i) {
    const int64_t row = indices.as<int32_t>()[i / rowSize];
    sums[static_cast<size_t>(row * rowSize + i % rowSize)] += source.as<float>()[i];
  }
  for (size_t i = 0; i < sums.size(); ++i) out.as<float>()[i] = static_cast<float>(sums[i]);
}

}  // namespace nabla::ref
