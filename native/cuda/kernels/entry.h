// How a kernel is written: the same file is compiled by nvcc for GPUs, and by the host's compiler over
// native/cuda/emulation. native/cuda/README.md shows a whole one.
#pragma once

#include "cuda/kernels/head.h"

#if defined(__CUDACC__)
// A kernel `name` for blocks of `threads` threads, which reads its parameters as `p`.
#define NABLA_ENTRY(name, Params, threads)                                                          \
  static __device__ __forceinline__ void name##Body(const Params& p);                               \
  extern "C" __global__ void __launch_bounds__(threads, 1) name(const __grid_constant__ Params p) { \
    if (::nabla::cuda::Stopped(p.head)) return;                                                     \
    name##Body(p);                                                                                  \
  }                                                                                                 \
  static __device__ __forceinline__ void name##Body([[maybe_unused]] const Params& p)
#else
#include "cuda/emulation/cuda.h"
#define NABLA_ENTRY(name, Params, threads)                               \
  static void name##Body(const Params& p);                               \
  static const ::nabla::emulation::Registration name##Registration(      \
      #name, __FILE__, sizeof(Params), threads, [](const void* params) { \
        const Params& p = *static_cast<const Params*>(params);           \
        if (!::nabla::cuda::Stopped(p.head)) name##Body(p);              \
      });                                                                \
  static void name##Body([[maybe_unused]] const Params& p)
#endif

namespace nabla::cuda {

// Whether an instruction before this one has refused its data.
__device__ inline bool Stopped(const Head& head) { return head.stop != nullptr && head.stop->code != 0; }

// Refuses a row of data. Of several refusals that of the first row counts.
__device__ inline void Refuse(const Head& head, int32_t code, int64_t row, int64_t value, int64_t limit) {
  FaultRecord* const record = head.fault;
  // Only threads with wrong data wait here.
  while (atomicCAS(&record->lock, 0, 1) != 0) {
  }
  __threadfence();
  volatile FaultRecord* const shared = record;
  if (shared->code == 0 || (shared->instruction == head.instruction && row < shared->row)) {
    shared->instruction = head.instruction;
    shared->row = row;
    shared->value = value;
    shared->limit = limit;
    shared->code = code;
  }
  __threadfence();
  atomicExch(&record->lock, 0);
}

}  // namespace nabla::cuda
