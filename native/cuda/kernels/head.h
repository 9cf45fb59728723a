// What the parameters of every kernel begin with, and the word through which kernels refuse their data: read
// by nvcc, by the host's compiler and by the emulation.
#pragma once

#include <cstdint>

namespace nabla::cuda {

// In device memory, one a device. The refusal that counts is that of the first instruction, and there of the
// first row, as on a CPU.
struct FaultRecord {
  int32_t lock;
  int32_t code;  // of FaultCode
  int32_t instruction;
  int32_t unused;
  int64_t row;
  int64_t value;
  int64_t limit;
  int64_t steps;  // completed without a fault since the host last cleared it
};

// The first member of every kernel's parameters, filled in as it is launched.
struct Head {
  FaultRecord* fault;
  // Not null for kernels that write memory of other programs and come after one that may refuse its data:
  // they do nothing once that has happened, so that a step that fails leaves parameters alone.
  const FaultRecord* stop;
  int32_t instruction;
  int32_t unused;
};

}  // namespace nabla::cuda
