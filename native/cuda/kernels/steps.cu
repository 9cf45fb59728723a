// The end of a step: counts it, unless an instruction has refused its data.
#include "cuda/kernels/steps.h"

#include "cuda/kernels/entry.h"

namespace nabla::cuda {

NABLA_ENTRY(endStep, StepsParams, 1) { p.head.fault->steps++; }

}  // namespace nabla::cuda
