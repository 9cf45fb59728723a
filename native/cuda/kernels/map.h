// The parameters of the map kernels.
#pragma once

#include <cstdint>

#include "cuda/kernels/divide.h"
#include "cuda/kernels/head.h"
#include "program/kinds.h"

namespace nabla::cuda {

// How a thread finds an input's element.
enum class MapLoad : int32_t {
  kNone,       // read by no micro-operation element by element
  kSame,       // the output's shape
  kOne,        // a single element
  kBroadcast,  // anything else
};

struct MapInput {
  const void* data;
  MapLoad load;
  int32_t bytes;  // of an element: 4, 2 (bfloat16) or 1
  int32_t reg;    // the register it is loaded into
  int32_t unused;
};

// A micro-operation over registers of the thread. The host reuses registers whose values have been read, so
// that few are in use.
struct MapStep {
  uint16_t micro;
  uint16_t out;
  int32_t a, b, c;  // registers; immediates and inputs as in the instruction
};

// Elements that a thread works on at a time.
constexpr int kMapElements = 4;
constexpr int kMapThreads = 256;

struct MapParams {
  Head head;
  void* out;
  int64_t size;
  int32_t outBytes;  // of an element
  int32_t result;    // the register of the last value
  int32_t inputs;
  int32_t steps;
  MapInput input[kMaxMapInputs];
  MapStep step[kMaxMicro];
  // Where broadcast inputs lie: the output's merged dimensions, and each input's strides.
  Places<kMaxRank> places;
  int32_t strides[kMaxMapInputs][kMaxRank];
};

}  // namespace nabla::cuda
