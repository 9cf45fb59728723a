// The list of kernels without a CUDA version. One that gets its own takes its line away.
#include "cuda/launch/pending.h"

#define NABLA_PENDING_KERNELS(X) \
  X(Cumulate)                    \
  X(Sort)                        \
  X(Resize)                      \
  X(ResizeGrad)

namespace nabla::cuda {

#define NABLA_PENDING(Name)                              \
  size_t Scratch##Name(const Instruction&) { return 0; } \
  void Launch##Name(Launcher&) {}
NABLA_PENDING_KERNELS(NABLA_PENDING)
#undef NABLA_PENDING

const char* PendingKernel(Opcode opcode) {
  switch (opcode) {
#define NABLA_PENDING(Name) \
  case Opcode::k##Name:     \
    return #Name;
    NABLA_PENDING_KERNELS(NABLA_PENDING)
#undef NABLA_PENDING
    default:
      return nullptr;
  }
}

}  // namespace nabla::cuda
