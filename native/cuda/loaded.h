// What the CUDA device keeps of a program and of a run: shared by device.cpp and queue.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/device.h"

namespace nabla::cuda {

struct CudaDevice::CudaLease : Lease {
  LoadedProgram* program = nullptr;
  Handle programHandle = 0;
  std::vector<Handle> buffers;
  std::vector<std::byte*> bases;
  int64_t stepsATurn = 1;
};

struct CudaDevice::LoadedProgram {
  struct Graph {
    std::vector<std::byte*> bases;
    Resource<CUgraphExec> executable;
  };

  Program program;
  std::vector<std::byte*> bases;   // where the operands point now, by slot; [0] is the workspace
  std::vector<int64_t> alignment;  // bytes, by slot
  std::vector<bool> guarded;       // by instruction: does nothing once one before it has refused its data
  bool mayFault = false;
  bool ran = false;  // so that its kernels are loaded
  std::vector<Graph> graphs;
  size_t nextGraph = 0;  // the one to be replaced
  int32_t leases = 0;
  bool unloaded = false;
};

}  // namespace nabla::cuda
