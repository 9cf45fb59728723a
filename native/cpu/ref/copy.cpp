// The plain twin of copy: one element at a time, through double unless the dtypes are the same.
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/halves.h"
#include "cpu/kernel.h"

namespace nabla::ref {
namespace {

double Load(const Operand& operand, int64_t i) {
  switch (operand.dtype) {
    case DType::kFloat32:
      return operand.as<float>()[i];
    case DType::kInt32:
      return operand.as<int32_t>()[i];
    case DType::kUint8:
    case DType::kBool:
      return operand.as<uint8_t>()[i];
    case DType::kBfloat16:
    case DType::kFloat16:
      return FromHalf(operand.dtype, operand.as<uint16_t>()[i]);
  }
  return 0;
}

template <class T>
T Saturate(double value) {
  if (std::isnan(value)) return 0;
  if (value <= std::numeric_limits<T>::lowest()) return std::numeric_limits<T>::lowest();
  if (value >= std::numeric_limits<T>::max()) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

void Store(const Operand& operand, int64_t i, double value, bool fromFloat) {
  switch (operand.dtype) {
    case DType::kFloat32:
      operand.as<float>()[i] = static_cast<float>(value);
      break;
    case DType::kInt32:
      operand.as<int32_t>()[i] = Saturate<int32_t>(value);
      break;
    case DType::kUint8:
      operand.as<uint8_t>()[i] =
          fromFloat ? Saturate<uint8_t>(value) : static_cast<uint8_t>(static_cast<int32_t>(value));
      break;
    case DType::kBool:
      operand.as<uint8_t>()[i] = value != 0;
      break;
    case DType::kBfloat16:
    case DType::kFloat16:
      operand.as<uint16_t>()[i] = ToHalf(operand.dtype, static_cast<float>(value));
      break;
  }
}

}  // namespace

void RunCopy(const Call& call) {
  const Operand &out = call.operand(0), &input = call.operand(1);
  const int32_t rank = call.attr(0);
  const int32_t* dims = call.instruction.attributes.data() + 3;
  int64_t total = 1;
  for (int32_t axis = 0; axis < rank; ++axis) total *= dims[axis];
  for (int64_t n = 0; n < total; ++n) {
    int64_t to = call.attr(1), from = call.attr(2), rest = n;
    for (int32_t axis = rank - 1; axis >= 0; --axis) {
      const int64_t i = rest % dims[axis];
      rest /= dims[axis];
      to += i * dims[rank + axis];
      from += i * dims[2 * rank + axis];
    }
    if (out.dtype == input.dtype) {
      const int64_t bytes = SizeOf(out.dtype);
      std::memcpy(out.data + to * bytes, input.data + from * bytes, static_cast<size_t>(bytes));
    } else {
      Store(out, to, Load(input, from), IsFloating(input.dtype));
    }
  }
}

}  // namespace nabla::ref
