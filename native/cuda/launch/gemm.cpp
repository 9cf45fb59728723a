// Starts gemm: chooses the tile by the size of the product.
#include "cuda/kernels/gemm.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/widen.h"

namespace nabla::cuda {
namespace {

constexpr Entry kLarge = {"gemm", "gemmLarge"}, kSmall = {"gemm", "gemmSmall"},
                kFinish = {"gemm", "gemmFinish"};
constexpr Entry kTensorLarge = {"tensor", "tensorLarge"}, kTensorSmall = {"tensor", "tensorSmall"};
// By whether a is turned, then b.
constexpr Entry kHalfLarge[2][2] = {{{"half_gemm", "halfLargeNN"}, {"half_gemm", "halfLargeNT"}},
                                    {{"half_gemm", "halfLargeTN"}, {"half_gemm", "halfLargeTT"}}};
constexpr Entry kHalfSmall[2][2] = {{{"half_gemm", "halfSmallNN"}, {"half_gemm", "halfSmallNT"}},
                                    {{"half_gemm", "halfSmallTN"}, {"half_gemm", "halfSmallTT"}}};
// Of matrices whose rows do not begin at multiples of 16 bytes.
constexpr Entry kHalfPlain[2][2] = {{{"half_gemm", "halfPlainNN"}, {"half_gemm", "halfPlainNT"}},
                                    {{"half_gemm", "halfPlainTN"}, {"half_gemm", "halfPlainTT"}}};
constexpr int64_t kMostMatrices = 65535;
// A product of fewer tiles than this leaves most of a GPU idle: its sums are cut into parts of at least so
// much, a multiple of what any tile takes at a time. Decided by the shape alone, so that results are the same
// on every GPU.
constexpr int64_t kEnoughTiles = 64, kLeastSplit = 128, kMostSplits = 16;

int64_t Splits(const Instruction& instruction) {
  const int64_t batch = instruction.attr(0), m = instruction.attr(1), n = instruction.attr(2),
                k = instruction.attr(3);
  const int64_t tiles = BlocksFor(m, 64) * BlocksFor(n, 64);
  if (batch != 1 || tiles == 0 || tiles >= kEnoughTiles) return 1;
  return std::max<int64_t>(1, std::min({k / kLeastSplit, 2 * kEnoughTiles / tiles, kMostSplits}));
}

size_t ScratchOfSplits(const Instruction& instruction) {
  const int64_t splits = Splits(instruction);
  if (splits == 1) return 0;
  return ScratchAligned(splits * instruction.attr(1) * instruction.attr(2) * int64_t{sizeof(float)});
}

// Whether a matrix of bfloat16 with lines of so many numbers can be copied 8 numbers at a time.
bool IsAligned(const void* matrix, int64_t line, int64_t stride) {
  return reinterpret_cast<uintptr_t>(matrix) % 16 == 0 && line % 8 == 0 && stride % 8 == 0;
}

// Finishes sums that lie in scratch, in one part or several.
void LaunchSums(Launcher& launcher, const GemmParams& p) {
  const int64_t most = int64_t{launcher.multiprocessors()} * 8;
  launcher.Launch(kFinish, {std::min(BlocksFor(int64_t{p.m} * p.n, 256), most)}, 256, p);
}

void LaunchFinish(Launcher& launcher, const GemmParams& p) {
  if (p.splits > 1) LaunchSums(launcher, p);
}

GemmParams ParamsOf(const Launcher& launcher) {
  GemmParams p = {};
  p.out = launcher.floats(0);
  p.a = launcher.data<float>(1);
  p.b = launcher.data<float>(2);
  p.bias = launcher.floats(3);
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
  const int64_t splits = Splits(launcher.instruction());
  p.partial = launcher.scratch<float>();
  p.splitK = static_cast<int32_t>(BlocksFor(BlocksFor(p.k, splits), 32) * 32);
  // Rounded up, the parts may be fewer.
  p.splits = static_cast<int32_t>(std::max<int64_t>(1, BlocksFor(p.k, std::max(p.splitK, 1))));
  return p;
}

// Whether the library stores what is asked for: it knows no bias and no activation here.
bool IsBare(const GemmParams& p) { return p.bias.data == nullptr && p.activation == Activation::kNone; }

// What the library would be asked for: sums alone go to scratch, from where they are finished.
BlasProduct ProductOf(const Launcher& launcher, const GemmParams& p, bool half) {
  BlasProduct product = {};
  product.a = p.a;
  product.b = p.b;
  product.half = half;
  product.exact = launcher.precision() == Precision::kFloat32;
  product.batch = p.batch;
  product.m = p.m;
  product.n = p.n;
  product.k = p.k;
  product.transA = p.transA;
  product.transB = p.transB;
  product.strideA = p.strideA;
  product.strideB = p.strideB;
  product.strideOut = p.strideOut;
  if (IsBare(p)) {
    product.out = p.out.data;
    product.outHalf = p.out.half != 0;
    product.adds = p.accumulate != 0;
    product.alpha = p.alpha;
  } else {
    product.out = launcher.scratch<std::byte>() + ScratchGemm(launcher.instruction()) + kBlasWorkspace;
    product.alpha = 1;
  }
  return product;
}

// Lets NVIDIA's library do it, where that was found faster.
bool LaunchLibrary(Launcher& launcher, GemmParams p, bool half) {
  const Blas* const blas = launcher.blas();
  if (blas == nullptr || (p.batch != 1 && !IsBare(p))) return false;
  const BlasProduct product = ProductOf(launcher, p, half);
  if (!blas->Considers(product)) return false;
  const BlasChoice choice = blas->Choice(product);
  if (choice == BlasChoice::kUnknown ? !blas->always() : choice == BlasChoice::kKernels) return false;
  std::byte* const workspace = launcher.scratch<std::byte>() + ScratchGemm(launcher.instruction());
  if (!blas->Multiply(product, workspace, launcher.stream())) return false;
  if (IsBare(p)) return true;
  p.partial = static_cast<float*>(product.out);
  p.splits = 1;
  LaunchSums(launcher, p);
  return true;
}

void LaunchHalves(Launcher& launcher, GemmParams p) {
  size_t at = ScratchOfSplits(launcher.instruction());
  p.a = HalfFactorOf(launcher, 1, at);
  p.b = HalfFactorOf(launcher, 2, at);
  if (LaunchLibrary(launcher, p, true)) return;
  const bool aligned = IsAligned(p.a, p.transA != 0 ? p.m : p.k, p.strideA) &&
                       IsAligned(p.b, p.transB != 0 ? p.k : p.n, p.strideB);
  const bool large =
      aligned && BlocksFor(p.m, 128) * BlocksFor(p.n, 128) * p.batch >= launcher.multiprocessors();
  const int64_t tile = large ? 128 : 64;
  p.rowBlocks = static_cast<int32_t>(BlocksFor(p.m, tile));
  const Grid grid = {p.rowBlocks * BlocksFor(p.n, tile), std::min<int64_t>(p.batch, kMostMatrices), p.splits};
  const auto& entries = large ? kHalfLarge : aligned ? kHalfSmall : kHalfPlain;
  launcher.Launch(entries[p.transA != 0 ? 1 : 0][p.transB != 0 ? 1 : 0], grid, large ? 256 : 128, p);
  LaunchFinish(launcher, p);
}

}  // namespace

size_t ScratchGemm(const Instruction& instruction) {
  return ScratchOfSplits(instruction) + ScratchOfFactors(instruction);
}

size_t ScratchOfLibrary(const Instruction& instruction) {
  if (instruction.opcode != Opcode::kGemm) return 0;
  return kBlasWorkspace +
         ScratchAligned(int64_t{instruction.attr(1)} * instruction.attr(2) * int64_t{sizeof(float)});
}

bool DescribeProduct(const Launcher& launcher, BlasProduct& product) {
  const GemmParams p = ParamsOf(launcher);
  const bool widened = IsWidened(launcher.instruction(), launcher.precision());
  product = ProductOf(launcher, p, !widened && MultipliesHalves(launcher.instruction()));
  if (widened && IsBare(p)) product.outHalf = false;
  return (p.batch == 1 || IsBare(p)) && launcher.blas()->Considers(product);
}

void LaunchGemm(Launcher& launcher) {
  GemmParams p = ParamsOf(launcher);
  if (MultipliesHalves(launcher.instruction())) return LaunchHalves(launcher, p);
  if (LaunchLibrary(launcher, p, false)) return;
  // Large tiles read each number less often; small ones are more, where large ones would leave most of the
  // GPU idle. All add up in the same order.
  const bool large = BlocksFor(p.m, 128) * BlocksFor(p.n, 128) * p.batch >= launcher.multiprocessors();
  const bool tensor = launcher.precision() == Precision::kTf32;
  const int64_t tile = large ? 128 : tensor ? 64 : 32;
  p.rowBlocks = static_cast<int32_t>(BlocksFor(p.m, tile));
  const Grid grid = {p.rowBlocks * BlocksFor(p.n, tile), std::min<int64_t>(p.batch, kMostMatrices), p.splits};
  if (tensor) {
    launcher.Launch(large ? kTensorLarge : kTensorSmall, grid, large ? 256 : 128, p);
  } else {
    launcher.Launch(large ? kLarge : kSmall, grid, 256, p);
  }
  LaunchFinish(launcher, p);
}

}  // namespace nabla::cuda
