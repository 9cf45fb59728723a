// map: a chain of micro-operations, interpreted by each thread for a few elements at a time.
//
// The interpreter's registers are an array of the thread's own, which lies in the first-level cache; the host
// gives values few of them, and each step's decoding is shared by kMapElements elements.
#include "cuda/kernels/map.h"

#include "cuda/kernels/half.h"
#include "cuda/kernels/micro.h"

namespace nabla::cuda {
namespace {

__device__ __forceinline__ Register LoadElement(const MapInput& input, int64_t at) {
  if (input.bytes == 1) return {static_cast<const uint8_t*>(input.data)[at]};
  if (input.bytes == 2) return {uint32_t{static_cast<const uint16_t*>(input.data)[at]} << 16};
  return {static_cast<const uint32_t*>(input.data)[at]};
}

// Where a broadcast input's element lies for one of the output's.
template <bool kWide>
__device__ __forceinline__ int64_t BroadcastPlace(const MapParams& p, int input, int64_t element) {
  int64_t at = 0;
  for (int d = p.places.rank - 1; d >= 0; d--) {
    const Divider& dim = p.places.dims[d];
    const int64_t quotient =
        kWide ? element / dim.divisor : static_cast<int64_t>(dim.Quotient(static_cast<uint32_t>(element)));
    at += (element - quotient * dim.divisor) * p.strides[input][d];
    element = quotient;
  }
  return at;
}

// kRegisters: as many as the host has given out.
template <int kRegisters, bool kWide>
__device__ __forceinline__ void Map(const MapParams& p) {
  // Neighbours in a warp work on neighbours in memory.
  const int64_t first = blockIdx.x * int64_t{kMapThreads * kMapElements} + threadIdx.x;
  Register reg[kRegisters][kMapElements];
  const auto element = [&](int k) {
    const int64_t e = first + k * kMapThreads;
    // Beyond the end the last element is computed again, and not stored.
    return e < p.size ? e : p.size - 1;
  };
  for (int n = 0; n < p.inputs; n++) {
    const MapInput& input = p.input[n];
    if (input.load == MapLoad::kNone) continue;
    for (int k = 0; k < kMapElements; k++) {
      const int64_t e = element(k);
      reg[input.reg][k] = LoadElement(input, input.load == MapLoad::kSame  ? e
                                             : input.load == MapLoad::kOne ? 0
                                                                           : BroadcastPlace<kWide>(p, n, e));
    }
  }
  for (int m = 0; m < p.steps; m++) {
    const MapStep step = p.step[m];
    const Micro micro = static_cast<Micro>(step.micro);
    if (micro <= Micro::k_randomBits) {
      for (int k = 0; k < kMapElements; k++) {
        Register value = {static_cast<uint32_t>(step.a)};
        if (micro == Micro::k_index) {
          value.bits = static_cast<uint32_t>(element(k));
        } else if (micro >= Micro::k_random) {
          const uint32_t* state = static_cast<const uint32_t*>(p.input[step.a].data);
          value.bits = PhiloxWord(static_cast<uint64_t>(element(k)), state, static_cast<uint32_t>(step.b));
          if (micro == Micro::k_random) value = OfFloat(static_cast<float>(value.bits >> 8) * 0x1p-24f);
        }
        reg[step.out][k] = value;
      }
      continue;
    }
    Apply<kMapElements>(micro, reg[step.out], reg[step.a], reg[step.b], reg[step.c]);
  }
  for (int k = 0; k < kMapElements; k++) {
    const int64_t e = first + k * kMapThreads;
    if (e >= p.size) break;
    const Register value = reg[p.result][k];
    if (p.outBytes == 1) {
      static_cast<uint8_t*>(p.out)[e] = static_cast<uint8_t>(value.bits);
    } else if (p.outBytes == 2) {
      static_cast<uint16_t*>(p.out)[e] = ToHalf(value.f());
    } else {
      static_cast<uint32_t*>(p.out)[e] = value.bits;
    }
  }
}

}  // namespace

NABLA_ENTRY(map8, MapParams, kMapThreads) { Map<8, false>(p); }
NABLA_ENTRY(map44, MapParams, kMapThreads) { Map<kMaxMapInputs + kMaxMicro, false>(p); }
// For outputs of 2^32 elements and more.
NABLA_ENTRY(mapWide, MapParams, kMapThreads) { Map<kMaxMapInputs + kMaxMicro, true>(p); }

}  // namespace nabla::cuda
