// Matrix products of bfloat16 on the tile registers of processors that have them (Intel AMX).
#pragma once

#include <cstddef>

#include "cpu/kernel.h"

namespace nabla {

// Whether the processor has tiles, the system lets this process use them, and the product (a gemm with
// bfloat16 operands) is one that they do: large, alone, and with no float32 operand that has to stay exact.
bool TakesAmx(const Instruction& gemm);

// Scratch of RunAmx on a pool of so many threads.
size_t ScratchAmx(const Instruction& gemm, int threads);

// Sums are float32; denormal numbers count as 0.
void RunAmx(const Call& call);

}  // namespace nabla
