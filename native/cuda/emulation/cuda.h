// CUDA's execution model as plain C++, so that kernels run where there is no GPU: grids, blocks, shared
// memory, barriers, warp shuffles and votes, atomics. Included in place of CUDA's own headers
// (kernels/entry.h).
//
// The threads of a block are fibers that run one at a time, so that nothing is ever torn; what the emulation
// cannot show are races between threads, and what memory outside of a thread's own block does meanwhile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace nabla::emulation {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

// Of the thread that runs.
struct Thread {
  Index thread, block, blockSize, gridSize;
};
extern Thread current;

void SyncBlock();
// Waits for the lanes of the mask, and hands each the 64 bits of the others.
void SyncWarp(unsigned mask);
const uint64_t* Exchange(unsigned mask, uint64_t mine);
// Copies of the thread that runs, which are made when it waits for them: `wanted` bytes, zeros behind those
// that are there.
void StartCopy(void* to, const void* from, size_t wanted, size_t there);
void EndCopies();
void AwaitCopies(size_t groupsLeft);
inline unsigned Lane() { return current.thread.x % 32; }

using Body = void (*)(const void* params);

// Makes a kernel known under its name and its file.
struct Registration {
  Registration(const char* name, const char* file, size_t paramBytes, unsigned threads, Body body);
};

template <class T>
T Shuffle(unsigned mask, T value, unsigned from) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const uint64_t* const all = Exchange(mask, bits);
  std::memcpy(&value, &all[from % 32], sizeof value);
  SyncWarp(mask);
  return value;
}

}  // namespace nabla::emulation

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
// One block runs at a time, one launch a process.
#define __shared__ static
#define threadIdx (::nabla::emulation::current.thread)
#define blockIdx (::nabla::emulation::current.block)
#define blockDim (::nabla::emulation::current.blockSize)
#define gridDim (::nabla::emulation::current.gridSize)

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline void __syncthreads() { ::nabla::emulation::SyncBlock(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { ::nabla::emulation::SyncWarp(mask); }
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return ::nabla::emulation::Shuffle(mask, value, static_cast<unsigned>(lane));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return ::nabla::emulation::Shuffle(mask, value, ::nabla::emulation::Lane() ^ static_cast<unsigned>(bits));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
  const unsigned lane = ::nabla::emulation::Lane();
  return ::nabla::emulation::Shuffle(mask, value, lane + delta < 32 ? lane + delta : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
  const unsigned lane = ::nabla::emulation::Lane();
  return ::nabla::emulation::Shuffle(mask, value, lane >= delta ? lane - delta : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const uint64_t* const all = ::nabla::emulation::Exchange(mask, predicate != 0);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; lane++) {
    if ((mask >> lane & 1) != 0 && all[lane] != 0) votes |= 1u << lane;
  }
  ::nabla::emulation::SyncWarp(mask);
  return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
inline unsigned __activemask() { return 0xffffffffu; }

template <class T>
T atomicAdd(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}
template <class T>
T atomicExch(T* address, T value) {
  const T old = *address;
  *address = value;
  return old;
}
template <class T>
T atomicCAS(T* address, T compare, T value) {
  const T old = *address;
  if (old == compare) *address = value;
  return old;
}
template <class T>
T atomicMin(T* address, T value) {
  const T old = *address;
  *address = std::min(old, value);
  return old;
}
template <class T>
T atomicMax(T* address, T value) {
  const T old = *address;
  *address = std::max(old, value);
  return old;
}

template <class T>
T __ldg(const T* address) {
  return *address;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __float_as_int(float x) {
  int bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __int_as_float(int bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
using std::max;
using std::min;
