// Starts softmax, its gradient and the cross entropy.
#include "cuda/kernels/softmax.h"

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kSoftmax[] = {{"softmax", "softmaxWarp"}, {"softmax", "softmaxBlock"}};
constexpr Entry kGrad[] = {{"softmax", "softmaxGradWarp"}, {"softmax", "softmaxGradBlock"}};
constexpr Entry kCrossEntropy[] = {{"softmax", "crossEntropyWarp"}, {"softmax", "crossEntropyBlock"}};

// The first entry gives each row a warp, the second a block.
template <class Params>
void LaunchRows(Launcher& launcher, const Entry (&entries)[2], const Params& p) {
  const bool block = p.columns > kSoftmaxWarpColumns;
  const int64_t rowsABlock = block ? 1 : kSoftmaxThreads / 32;
  launcher.Launch(entries[block ? 1 : 0], {BlocksFor(p.rows, rowsABlock)}, kSoftmaxThreads, p);
}

}  // namespace

size_t ScratchSoftmax(const Instruction&) { return 0; }
size_t ScratchSoftmaxGrad(const Instruction&) { return 0; }
size_t ScratchSoftmaxCrossEntropy(const Instruction&) { return 0; }

void LaunchSoftmax(Launcher& launcher) {
  SoftmaxParams p = {};
  p.out = launcher.floats(0);
  p.input = launcher.floats(1);
  p.rows = launcher.attr(0);
  p.columns = launcher.attr(1);
  p.log = launcher.attr(2);
  LaunchRows(launcher, kSoftmax, p);
}

void LaunchSoftmaxGrad(Launcher& launcher) {
  SoftmaxParams p = {};
  p.out = launcher.floats(0);
  p.input = launcher.floats(1);
  p.dy = launcher.floats(2);
  p.rows = launcher.attr(0);
  p.columns = launcher.attr(1);
  p.log = launcher.attr(2);
  LaunchRows(launcher, kGrad, p);
}

void LaunchSoftmaxCrossEntropy(Launcher& launcher) {
  CrossEntropyParams p = {};
  p.loss = launcher.data<float>(0);
  p.grad = launcher.data<float>(1);
  p.logits = launcher.data<float>(2);
  p.labels = launcher.data<void>(3);
  p.rows = launcher.attr(0);
  p.columns = launcher.attr(1);
  p.labelType = launcher.operand(3).dtype;
  LaunchRows(launcher, kCrossEntropy, p);
}

}  // namespace nabla::cuda
