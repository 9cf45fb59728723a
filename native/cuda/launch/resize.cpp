// Starts resize and its gradient.
#include "cuda/kernels/resize.h"

#include <algorithm>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

// The second of each where 32 bits are too few.
constexpr Entry kNearest1[] = {{"resize", "resizeNearest1"}, {"resize", "resizeNearest1Wide"}};
constexpr Entry kNearest4[] = {{"resize", "resizeNearest4"}, {"resize", "resizeNearest4Wide"}};
constexpr Entry kBilinear[] = {{"resize", "resizeBilinear"}, {"resize", "resizeBilinearWide"}};
constexpr Entry kGrad[] = {{"resize", "resizeGrad"}, {"resize", "resizeGradWide"}};

void LaunchImages(Launcher& launcher, const Entry (&entries)[2]) {
  ResizeParams p = {};
  p.out = launcher.data<void>(0);
  p.input = launcher.data<void>(1);
  p.size = launcher.operand(0).size;
  p.mode = static_cast<ResizeMode>(launcher.attr(0));
  p.inH = launcher.attr(2);
  p.inW = launcher.attr(3);
  p.channels = launcher.attr(4);
  p.outH = launcher.attr(5);
  p.outW = launcher.attr(6);
  p.align = launcher.attr(7);
  p.half = launcher.attr(8);
  // The largest number that a place's fraction is made of is twice a product of both sizes and one more.
  const int64_t largest =
      std::max((2 * int64_t{p.inH} + 1) * (p.outH + 1), (2 * int64_t{p.inW} + 1) * (p.outW + 1));
  const bool wide = 2 * largest > INT32_MAX;
  launcher.Launch(entries[wide ? 1 : 0], {BlocksFor(p.size, kResizeThreads)}, kResizeThreads, p);
}

}  // namespace

size_t ScratchResize(const Instruction&) { return 0; }
size_t ScratchResizeGrad(const Instruction&) { return 0; }

void LaunchResize(Launcher& launcher) {
  if (static_cast<ResizeMode>(launcher.attr(0)) == ResizeMode::kBilinear)
    return LaunchImages(launcher, kBilinear);
  LaunchImages(launcher, SizeOf(launcher.operand(0).dtype) == 1 ? kNearest1 : kNearest4);
}

void LaunchResizeGrad(Launcher& launcher) { LaunchImages(launcher, kGrad); }

}  // namespace nabla::cuda
