// Starts cumulate.
#include "cuda/kernels/cumulate.h"

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kThread = {"cumulate", "cumulateThread"}, kWarp = {"cumulate", "cumulateWarp"};

}  // namespace

size_t ScratchCumulate(const Instruction&) { return 0; }

void LaunchCumulate(Launcher& launcher) {
  CumulateParams p = {};
  p.out = launcher.data<void>(0);
  p.input = launcher.data<void>(1);
  p.kind = static_cast<CumulateKind>(launcher.attr(0));
  p.inner = launcher.attr(3);
  p.lines = int64_t{launcher.attr(1)} * p.inner;
  p.count = launcher.attr(2);
  p.exclusive = launcher.attr(4);
  p.reverse = launcher.attr(5);
  p.isFloat = launcher.operand(1).dtype == DType::kFloat32;
  const bool warp = p.inner == 1;
  const int64_t linesABlock = warp ? kCumulateThreads / 32 : kCumulateThreads;
  launcher.Launch(warp ? kWarp : kThread, {BlocksFor(p.lines, linesABlock)}, kCumulateThreads, p);
}

}  // namespace nabla::cuda
