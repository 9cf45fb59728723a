// Runs float32 kernels on bfloat16 and float16 operands, a part of the work at a time.
#pragma once

#include <cstddef>

#include "cpu/kernel.h"

namespace nabla {

// Scratch that an instruction with operands of 16 bits needs: float32 twins of the parts, and the kernel's
// own.
size_t ScratchWidened(const Instruction& instruction, int threads);

// Converts each part of the operands, runs the table's kernel on float32, and converts what it wrote.
void RunWidened(const Call& call, const KernelTable& table);

}  // namespace nabla
