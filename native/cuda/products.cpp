// Measures, once for each shape, whether NVIDIA's library does a product faster than the kernels here.
#include <algorithm>
#include <chrono>

#include "cuda/device.h"
#include "cuda/widen.h"

namespace nabla::cuda {
namespace {

// Runs of a product: some that load code and wake the GPU, then those that count.
constexpr int kWarmRuns = 2, kRuns = 10;
// The library must be so much faster, so that noise does not decide.
constexpr double kShare = 0.95;

}  // namespace

void CudaDevice::MeasureProducts(const CudaProgram& program) {
  if (blas_ == nullptr || blas_->always()) return;
  for (size_t at = 0; at < program.program.code.size(); at++) {
    const Instruction& whole = program.program.code[at];
    if (whole.opcode != Opcode::kGemm) continue;
    Launcher launcher(driver_, library_, streams_.work(), reinterpret_cast<FaultRecord*>(fault_.data()),
                      gpu_.multiprocessors, precision_, blas_.get());
    Instruction instruction = whole;
    launcher.Begin(instruction, static_cast<int32_t>(at), false, inventory_.scratch.data());
    BlasProduct product = {};
    // Before its memory is taken: most shapes are known, or too small.
    if (!DescribeProduct(launcher, product) || blas_->Choice(product) != BlasChoice::kUnknown) continue;
    std::vector<DeviceBlock> blocks;
    std::string error;
    for (Operand& operand : instruction.operands) {
      if (!operand.present || !error.empty()) continue;
      blocks.emplace_back();
      error = Take(operand.bytes(), "a measurement", blocks.back());
      if (!error.empty()) break;
      operand.data = blocks.back().data();
      // Numbers near 0.01 in either dtype: zeros would be multiplied faster.
      const auto bytes = static_cast<size_t>(operand.bytes());
      (void)driver_.MemsetD8Async(blocks.back().address(), 0x3c, bytes, streams_.work());
    }
    // Without the memory nothing is found out now.
    if (!error.empty()) return;
    const auto seconds = [&](BlasChoice choice) {
      blas_->Choose(product, choice);
      auto begin = std::chrono::steady_clock::now();
      for (int run = -kWarmRuns; run < kRuns && launcher.error().empty(); run++) {
        if (run == 0) {
          (void)streams_.Synchronize();
          begin = std::chrono::steady_clock::now();
        }
        LaunchInstruction(launcher);
      }
      (void)streams_.Synchronize();
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    const double theirs = seconds(BlasChoice::kLibrary);
    const bool works = blas_->Choice(product) == BlasChoice::kLibrary;
    const double ours = works ? seconds(BlasChoice::kKernels) : 0;
    blas_->Choose(product, works && theirs < kShare * ours ? BlasChoice::kLibrary : BlasChoice::kKernels);
  }
}

}  // namespace nabla::cuda
