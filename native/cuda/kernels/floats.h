// Numbers of an operand that is float32 or bfloat16, as the host finds it: kernels/half.h reads and writes
// them.
#pragma once

#include <cstdint>

namespace nabla::cuda {

struct Floats {
  void* data;    // null where the operand is absent
  int32_t half;  // 1: bfloat16
  int32_t unused;
};

}  // namespace nabla::cuda
