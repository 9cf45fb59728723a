// Starts update.
#include "cuda/kernels/update.h"

#include <algorithm>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kUpdate = {"update", "update"};

}  // namespace

size_t ScratchUpdate(const Instruction&) { return 0; }

void LaunchUpdate(Launcher& launcher) {
  UpdateParams p = {};
  p.params = launcher.data<float>(0);
  p.grads = launcher.data<float>(1);
  p.state1 = launcher.data<float>(2);
  p.state2 = launcher.data<float>(3);
  p.state3 = launcher.data<float>(4);
  p.scalars = launcher.data<float>(5);
  p.step = launcher.data<int32_t>(6);
  p.clip = launcher.data<float>(7);
  p.size = launcher.operand(0).size;
  p.kind = static_cast<UpdateKind>(launcher.attr(0));
  p.flags = launcher.attr(1);
  p.beta1 = launcher.attrFloat(2);
  p.beta2 = launcher.attrFloat(3);
  p.epsilon = launcher.attrFloat(4);
  p.weightDecay = launcher.attrFloat(5);
  // Each block begins with one thread's arithmetic in double precision: no more blocks than fill the GPU.
  const int64_t most = int64_t{launcher.multiprocessors()} * 8;
  launcher.Launch(kUpdate, {std::min(BlocksFor(p.size, kUpdateThreads), most)}, kUpdateThreads, p);
}

}  // namespace nabla::cuda
