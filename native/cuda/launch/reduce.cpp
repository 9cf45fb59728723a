// Starts reduce: decides how many threads share an output, and whether several blocks do.
#include "cuda/kernels/reduce.h"

#include <algorithm>

#include "cuda/launcher.h"

namespace nabla::cuda {
namespace {

constexpr Entry kFew = {"reduce", "reduceFew"}, kMany = {"reduce", "reduceMany"},
                kFinish = {"reduce", "reduceFinish"};
// Blocks that share an output, at most, and elements that are worth one.
constexpr int64_t kMostSplits = 128, kSplitWork = 4096;
constexpr int64_t kFewCount = 64;

struct Shape {
  int64_t outputs, count, inner;
  bool few;  // outputs: a whole block for each

  explicit Shape(const Instruction& instruction)
      : outputs(int64_t{instruction.attr(1)} * instruction.attr(3)),
        count(instruction.attr(2)),
        inner(instruction.attr(3)),
        few(inner == 1 && count > kFewCount) {}

  // Decided by the shape alone, so that a sum is the same on every GPU.
  int64_t splits() const {
    const int64_t across = few ? 1 : kReduceAcross;
    const int64_t wanted = std::min(kMostSplits, count * across / kSplitWork);
    const int64_t blocks = BlocksFor(outputs, across);
    return blocks >= kMostSplits
               ? 1
               : std::max<int64_t>(1, std::min(wanted, 2 * kMostSplits / std::max<int64_t>(1, blocks)));
  }
};

}  // namespace

size_t ScratchReduce(const Instruction& instruction) {
  const Shape shape(instruction);
  const int64_t splits = shape.splits();
  return splits == 1 ? 0 : static_cast<size_t>(splits * shape.outputs * 8);
}

void LaunchReduce(Launcher& launcher) {
  const Shape shape(launcher.instruction());
  ReduceParams p = {};
  p.out = launcher.data<void>(0);
  p.input = launcher.data<void>(1);
  p.partial = launcher.scratch<void>();
  p.outputs = shape.outputs;
  p.count = shape.count;
  p.inner = shape.inner;
  p.splits = static_cast<int32_t>(shape.splits());
  p.kind = static_cast<ReduceKind>(launcher.attr(0));
  p.dtype = launcher.operand(1).dtype;
  p.isBool = launcher.operand(0).dtype == DType::kBool ? 1 : 0;
  p.outHalf = launcher.operand(0).dtype == DType::kBfloat16 ? 1 : 0;
  p.scale = launcher.attrFloat(4);
  const int64_t across = shape.few ? 1 : kReduceAcross;
  launcher.Launch(shape.few ? kFew : kMany, {BlocksFor(p.outputs, across), p.splits}, kReduceThreads, p);
  if (p.splits > 1) launcher.Launch(kFinish, {BlocksFor(p.outputs, kReduceThreads)}, kReduceThreads, p);
}

}  // namespace nabla::cuda
