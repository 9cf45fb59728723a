// Running registered kernels: what the emulated driver needs of the emulation.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "cuda/driver.h"
#include "cuda/emulation/cuda.h"

namespace nabla::cuda {

// Queues it, or, where the stream is captured, records it.
CUresult Enqueue(CUstream stream, std::function<CUresult()> work);

}  // namespace nabla::cuda

namespace nabla::emulation {

struct Kernel {
  std::string name;
  std::string family;  // the file's name without its folder and ending
  size_t paramBytes = 0;
  unsigned threads = 0;  // of a block, as the kernel was made for
  Body body = nullptr;
};

// Null when the family has no such kernel, or, with an empty name, when there is no such family.
const Kernel* FindKernel(const std::string& family, const std::string& name);

// Runs all blocks one after the other. False when the threads of a block wait for each other for ever,
// or ask for a copy that a GPU would refuse.
bool RunGrid(const Kernel& kernel, Index grid, Index block, const void* params);

}  // namespace nabla::emulation
