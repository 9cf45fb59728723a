// What the CUDA device keeps of a program and of a run, beside what every device does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/driver.h"
#include "program/inventory.h"

namespace nabla::cuda {

struct CudaProgram : LoadedProgram {
  struct Graph {
    std::vector<std::byte*> bases;
    Resource<CUgraphExec> executable;
  };

  std::vector<bool> guarded;  // by instruction: does nothing once one before it has refused its data
  bool mayFault = false;
  bool ran = false;  // so that its kernels are loaded
  std::vector<Graph> graphs;
  size_t nextGraph = 0;  // the one to be replaced
};

struct CudaLease : ProgramLease<CudaProgram> {
  int64_t stepsATurn = 1;
};

}  // namespace nabla::cuda
