// The table of micro-operations, as the map kernel's rule, its kernels and its reference read it.
#pragma once

#include <cstdint>

#include "program/program.h"

namespace nabla {

struct MicroInfo {
  const char* name;
  int arity;
  char operands[4];  // one letter an operand, as in micro.def: f i # @
  char result;       // f or i
};

namespace internal {

// Takes a signature such as "ff>f" apart.
constexpr MicroInfo MakeMicro(const char* name, int arity, const char* signature) {
  MicroInfo info{name, arity, {}, 0};
  int n = 0;
  for (; signature[n] != '>'; n++) info.operands[n] = signature[n];
  info.result = signature[n + 1];
  return info;
}

}  // namespace internal

constexpr MicroInfo kMicros[] = {
#define NABLA_MICRO(name, arity, signature) internal::MakeMicro(#name, arity, signature),
#include "program/micro.def"
#undef NABLA_MICRO
};

// Words of one micro-operation in the attributes of a map instruction: the operation and three operands.
constexpr int kMicroWords = 4;

}  // namespace nabla
