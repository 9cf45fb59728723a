// What one micro-operation is given for one block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nabla {

// Operands that micro.def marks f or i point to `count` lanes of 32 bits, those marked # to the immediate
// word, those marked @ to the whole input. `out` may be the very same memory as an operand.
struct MicroArgs {
  const void* a;
  const void* b;
  const void* c;
  void* out;
  size_t count;
  int64_t first;  // index of the block's first element in the output
  bool padded;    // the output is a block register: the last vector may be written whole
};

using MicroFn = void (*)(const MicroArgs&);

}  // namespace nabla
