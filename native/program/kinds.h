// The codes in a program's words: dtypes, limits, and the kinds that attributes choose. Plain enough for
// compilers of kernels, which see no more of a program than this.
#pragma once

#include <cstdint>

namespace nabla {

constexpr int kMaxRank = 8;
constexpr int kMaxMapInputs = 12;
constexpr int kMaxMicro = 32;

enum class DType : int32_t { kFloat32 = 0, kInt32 = 1, kUint8 = 2, kBool = 3, kBfloat16 = 4, kFloat16 = 5 };

enum class Micro : int32_t {
#define NABLA_MICRO(name, arity, signature) k_##name,
#include "program/micro.def"
#undef NABLA_MICRO
  kCount
};

enum class ReduceKind : int32_t {
  kSum,
  kProd,
  kMax,
  kMin,
  kAny,
  kAll,
  kArgMax,
  kArgMin,
  kSumSquares,
  kCount
};
enum class Activation : int32_t { kNone, kRelu, kSigmoid, kTanh, kCount };
// kCopy: rows as they are; kAffine: float32 out = row * scale + shift; kOneHot: rows of one class index
// become float32 rows of rowSize numbers.
enum class GatherMode : int32_t { kCopy, kAffine, kOneHot, kCount };
// Average: over the positions inside the input; padding does not count.
enum class PoolKind : int32_t { kMax, kAverage, kCount };
enum class UpdateKind : int32_t {
  kSgd,
  kMomentum,
  kRmsprop,
  kAdam,
  kAdagrad,
  kAdadelta,
  kAdamax,
  kNadam,
  kFtrl,
  kLion,
  kCount
};
// kSimpleTanh, kSimpleRelu: h' = activation(sum). Gates of kLstm: input, forget, cell, output; of kGru:
// update, reset, candidate.
enum class RnnKind : int32_t { kSimpleTanh, kSimpleRelu, kLstm, kGru, kCount };
enum class CumulateKind : int32_t { kSum, kProd, kMax, kLogSumExp, kCount };
enum class ResizeMode : int32_t { kNearest, kBilinear, kCount };
// Bits of update's flags.
constexpr int32_t kUpdateNesterov = 1, kUpdateCentered = 2, kUpdateAmsgrad = 4;

// Why a kernel refuses its data.
enum class FaultCode : int32_t { kNone = 0, kIndexOutOfRange = 1, kLabelOutOfRange = 2 };

}  // namespace nabla
