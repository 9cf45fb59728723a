// Kernels that have no CUDA version yet: programs with one of them are refused as they are loaded.
#pragma once

#include "cuda/launcher.h"

namespace nabla::cuda {

// The kernel's name, or null when it is there.
const char* PendingKernel(Opcode opcode);

}  // namespace nabla::cuda
