// copy: elements from strided places to strided places, converted on the way.
#include "cuda/kernels/copy.h"

#include "cuda/kernels/entry.h"
#include "cuda/kernels/half.h"
#include "cuda/kernels/micro.h"

namespace nabla::cuda {
namespace {

template <class T>
__device__ __forceinline__ void CopyElement(const CopyParams& p, const int64_t (&at)[2]) {
  static_cast<T*>(p.out)[at[0]] = static_cast<const T*>(p.input)[at[1]];
}

__device__ __forceinline__ uint8_t ToByte(float x) {
  return static_cast<uint8_t>(!(x > 0) ? 0.0f : x > 255 ? 255.0f : x);
}

__device__ __forceinline__ void Convert(const CopyParams& p, const int64_t (&at)[2]) {
  const bool fromHalf = p.inType == DType::kBfloat16, fromFloat = p.inType == DType::kFloat32 || fromHalf;
  const float x = fromHalf    ? OfHalf(static_cast<const uint16_t*>(p.input)[at[1]])
                  : fromFloat ? static_cast<const float*>(p.input)[at[1]]
                              : 0;
  const int32_t i = fromFloat                   ? 0
                    : p.inType == DType::kInt32 ? static_cast<const int32_t*>(p.input)[at[1]]
                                                : static_cast<const uint8_t*>(p.input)[at[1]];
  switch (p.outType) {
    case DType::kFloat32:
      static_cast<float*>(p.out)[at[0]] = fromFloat ? x : static_cast<float>(i);
      break;
    case DType::kInt32:
      static_cast<int32_t*>(p.out)[at[0]] = fromFloat ? ToInt(x) : i;
      break;
    case DType::kUint8:
      static_cast<uint8_t*>(p.out)[at[0]] = fromFloat ? ToByte(x) : static_cast<uint8_t>(i);
      break;
    case DType::kBool:
      static_cast<uint8_t*>(p.out)[at[0]] = fromFloat ? x != 0 : i != 0;
      break;
    case DType::kBfloat16:
      static_cast<uint16_t*>(p.out)[at[0]] = ToHalf(fromFloat ? x : static_cast<float>(i));
      break;
  }
}

}  // namespace

NABLA_ENTRY(copy, CopyParams, kCopyThreads) {
  const int64_t stride = int64_t{gridDim.x} * kCopyThreads;
  for (int64_t n = blockIdx.x * int64_t{kCopyThreads} + threadIdx.x; n < p.size; n += stride) {
    int64_t at[2] = {0, 0};
    p.places.Walk(static_cast<uint32_t>(n), p.strides, at);
    if (p.outType != p.inType) {
      Convert(p, at);
    } else if (p.outType == DType::kFloat32 || p.outType == DType::kInt32) {
      CopyElement<uint32_t>(p, at);
    } else if (p.outType == DType::kBfloat16) {
      CopyElement<uint16_t>(p, at);
    } else {
      CopyElement<uint8_t>(p, at);
    }
  }
}

}  // namespace nabla::cuda
