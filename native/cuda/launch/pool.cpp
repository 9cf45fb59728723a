// Starts pool and its gradient.
#include "cuda/kernels/pool.h"

#include <string>

#include "cpu/kernels/conv-plan.h"
#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kPool = {"pool", "pool"}, kMaxGrad = {"pool", "poolMaxGrad"},
                kAverageGrad = {"pool", "poolAverageGrad"};
// How many numbers 32-bit arithmetic takes apart.
constexpr int64_t kMostNumbers = int64_t{1} << 32;

void LaunchPooling(Launcher& launcher, bool gradient) {
  const conv::Shape s = conv::ReadPool(launcher.instruction());
  PoolParams p = {};
  p.out = launcher.floats(0);
  p.input = launcher.floats(1);
  p.size = launcher.operand(0).size;
  p.kind = static_cast<PoolKind>(launcher.attr(0));
  if (gradient) {
    p.y = launcher.floats(2);
    p.dy = launcher.floats(3);
  }
  if (p.size == 0) return;
  if (p.size >= kMostNumbers) {
    return launcher.Refuse("pooling is too large, got " + std::to_string(p.size) +
                           " numbers, expected fewer than 4294967296; use a smaller batch");
  }
  for (int d = 0; d < 3; d++) {
    p.places[d] = Divider(gradient ? s.in[d] : s.out[d]);
    p.in[d] = static_cast<int32_t>(s.in[d]);
    p.outSize[d] = static_cast<int32_t>(s.out[d]);
    p.kernel[d] = static_cast<int32_t>(s.kernel[d]);
    p.stride[d] = static_cast<int32_t>(s.stride[d]);
    p.pad[d] = static_cast<int32_t>(s.pad[d]);
  }
  p.channels = Divider(s.inC);
  const Entry& entry = !gradient ? kPool : p.kind == PoolKind::kMax ? kMaxGrad : kAverageGrad;
  launcher.Launch(entry, {BlocksFor(p.size, kPoolThreads)}, kPoolThreads, p);
}

}  // namespace

size_t ScratchPool(const Instruction&) { return 0; }
size_t ScratchPoolGrad(const Instruction&) { return 0; }
void LaunchPool(Launcher& launcher) { LaunchPooling(launcher, false); }
void LaunchPoolGrad(Launcher& launcher) { LaunchPooling(launcher, true); }

}  // namespace nabla::cuda
