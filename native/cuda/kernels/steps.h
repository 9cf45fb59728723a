// The parameters of the kernel that counts steps.
#pragma once

#include "cuda/kernels/head.h"

namespace nabla::cuda {

struct StepsParams {
  Head head;
};

}  // namespace nabla::cuda
