// Copies from device memory to shared memory that are under way while a thread goes on; in the emulation they
// arrive when the thread waits for them, and not before.
#pragma once

#include <cstdint>

#include "cuda/kernels/entry.h"

namespace nabla::cuda {

// Starts to copy 16 bytes, of which `bytes` are there and the others 0. Both addresses are multiples of 16.
__device__ __forceinline__ void CopyAsync(void* shared, const void* from, int bytes) {
#if defined(__CUDACC__)
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes));
#else
  ::nabla::emulation::StartCopy(shared, from, 16, static_cast<size_t>(bytes));
#endif
}

// Ends a group of copies of this thread, which may be empty.
__device__ __forceinline__ void EndCopies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;");
#else
  ::nabla::emulation::EndCopies();
#endif
}

// Waits until all but the last kLeft groups of this thread have arrived.
template <int kLeft>
__device__ __forceinline__ void AwaitCopies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#else
  ::nabla::emulation::AwaitCopies(kLeft);
#endif
}

}  // namespace nabla::cuda
