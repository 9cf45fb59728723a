// Which instruction sets were compiled in, which of them this processor runs, and the kernels of each.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernel.h"

namespace nabla {

// The kernels of every instruction set that was compiled in and that processor and operating system support,
// fastest first; the last one, "reference", is the plain double-precision code that the tests compare with.
const std::vector<const KernelTable*>& UsableKernelTables();

// The table with that name (`avx3`, `avx2`, `sse4`, `neon`, `simd128`, `scalar`, `reference`), or the fastest
// for an empty name; null when it was not compiled in or cannot run here.
const KernelTable* FindKernelTable(const std::string& name);

// The processor in its maker's words.
std::string ProcessorName();

}  // namespace nabla
