// Starts gemm: chooses the tile by the size of the product.
#include "cuda/kernels/gemm.h"

#include <algorithm>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kLarge = {"gemm", "gemmLarge"}, kSmall = {"gemm", "gemmSmall"};
constexpr int64_t kMostMatrices = 65535;
constexpr unsigned kThreads = 256;

}  // namespace

size_t ScratchGemm(const Instruction&) { return 0; }

void LaunchGemm(Launcher& launcher) {
  GemmParams p = {};
  p.out = launcher.data<float>(0);
  p.a = launcher.data<float>(1);
  p.b = launcher.data<float>(2);
  p.bias = launcher.data<float>(3);
  p.batch = launcher.attr(0);
  p.m = launcher.attr(1);
  p.n = launcher.attr(2);
  p.k = launcher.attr(3);
  p.transA = launcher.attr(4);
  p.transB = launcher.attr(5);
  p.strideA = launcher.attr(6);
  p.strideB = launcher.attr(7);
  p.strideOut = launcher.attr(8);
  p.activation = static_cast<Activation>(launcher.attr(9));
  p.accumulate = launcher.attr(10);
  p.alpha = launcher.attrFloat(11);
  // Large tiles read each number less often; small ones are more, where large ones would leave most of the
  // GPU idle.
  const int64_t largeBlocks = BlocksFor(p.m, 128) * BlocksFor(p.n, 128) * p.batch;
  const bool large = largeBlocks >= launcher.multiprocessors();
  const int64_t tile = large ? 128 : 32;
  p.rowBlocks = static_cast<int32_t>(BlocksFor(p.m, tile));
  const Grid grid = {p.rowBlocks * BlocksFor(p.n, tile), std::min<int64_t>(p.batch, kMostMatrices)};
  launcher.Launch(large ? kLarge : kSmall, grid, kThreads, p);
}

}  // namespace nabla::cuda
