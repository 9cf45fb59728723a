// The map kernel: a chain of elementwise micro-operations, interpreted a block of some hundred elements at a
// time.
//
// Every micro-operation is one vector loop over a block; values between them live in block registers that
// stay in the first-level cache, so that a chain is one pass through memory without any code being generated.
// See map-plan.h for how blocks are cut.
#include <cstddef>
#include <cstdint>

#include "cpu/kernel.h"
#include "cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/map.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/map-args.h"
#include "cpu/kernels/map-plan.h"
#include "cpu/kernels/map-spread.h"
#include "cpu/kernels/micro-ops.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

// One micro-operation, ready to run: its operands name places in MapPart::at, or are immediates.
struct Step {
  MicroFn fn;
  const void* const* operands[3];
  void* const* out;
  bool padded;
};

// What one thread works with: where every value of the current block is.
struct MapPart {
  void* at[kMapValues];             // by value: inputs, then micro-operations
  const void* words[kMaxMicro][3];  // immediates and random states
  Step steps[kMaxMicro];
  int stepCount = 0;
};

HWY_INLINE void RunStep(const Step& step, int64_t first, size_t count) {
  step.fn(MicroArgs{*step.operands[0], *step.operands[1], *step.operands[2], *step.out, count, first,
                    step.padded});
}

// Resolves micro-operation m. Operands that it does not have point to something harmless.
Step MakeStep(const Call& call, const MapPlan& plan, int m, MapPart& part) {
  const int32_t* words = &call.instruction.attributes[static_cast<size_t>(m) * kMicroWords];
  const MicroInfo& info = kMicros[words[0]];
  Step step{kMicroFns[words[0]], {}, &part.at[plan.inputs + m], plan.reg[plan.inputs + m] >= 0};
  for (int k = 0; k < 3; k++) {
    const char type = k < info.arity ? info.operands[k] : '#';
    if (type == 'f' || type == 'i') {
      step.operands[k] = &part.at[words[1 + k]];
      continue;
    }
    part.words[m][k] =
        type == '@' ? static_cast<const void*>(call.operand(static_cast<size_t>(words[1 + k]) + 1).data)
                    : &words[1 + k];
    step.operands[k] = &part.words[m][k];
  }
  return step;
}

// Fills what stays the same for all blocks, and lists the micro-operations that each block runs.
void StartPart(const Call& call, const MapPlan& plan, std::byte* registers, MapPart& part) {
  for (int value = 0; value < plan.inputs + plan.micros; value++) {
    part.at[value] =
        plan.reg[value] < 0 ? nullptr : registers + static_cast<size_t>(plan.reg[value]) * kMapRegisterBytes;
  }
  const size_t count = static_cast<size_t>(plan.block);
  for (int i = 0; i < plan.inputs; i++) {
    const Operand& input = call.operand(static_cast<size_t>(i) + 1);
    auto* to = static_cast<int32_t*>(part.at[i]);
    if (plan.kind[i] == MapInput::kScalar) Repeat(LoadOne(input, 0), count, to);
    if (plan.kind[i] == MapInput::kPeriodic) SpreadPeriod(plan, input, i, count, to);
    if (plan.kind[i] == MapInput::kDirect) part.at[i] = input.data;
  }
  for (int m = 0; m < plan.micros; m++) {
    const Step step = MakeStep(call, plan, m, part);
    if (plan.hoisted[m]) {
      RunStep(step, 0, count);
    } else {
      part.steps[part.stepCount++] = step;
    }
  }
}

// Points to or brings in the inputs of one block.
void LoadBlock(const Call& call, const MapPlan& plan, int64_t first, size_t count, MapPart& part) {
  for (int i = 0; i < plan.inputs; i++) {
    const Operand& input = call.operand(static_cast<size_t>(i) + 1);
    switch (plan.kind[i]) {
      case MapInput::kDirect:
        part.at[i] = input.as<int32_t>() + first;
        break;
      case MapInput::kRow:
        part.at[i] = input.as<int32_t>() + Locate(plan, i, first).at;
        break;
      case MapInput::kWiden:
        Widen(input, first, count, static_cast<int32_t*>(part.at[i]));
        break;
      case MapInput::kSpread:
        Spread(plan, input, i, first, count, static_cast<int32_t*>(part.at[i]));
        break;
      case MapInput::kUnused:
      case MapInput::kScalar:
      case MapInput::kPeriodic:
        break;
    }
  }
}

// Runs blocks [begin, end). Out of line: a lambda would not be compiled for the target's instruction set.
HWY_NOINLINE void RunBlocks(const Call& call, const MapPlan& plan, int64_t begin, int64_t end, int thread) {
  MapPart part;
  StartPart(call, plan, call.scratch + static_cast<size_t>(thread * plan.registers) * kMapRegisterBytes,
            part);
  const Operand& out = call.operand(0);
  const int last = plan.inputs + plan.micros - 1;
  const bool wide = SizeOf(out.dtype) == 4;
  int64_t row = begin == 0 ? 0 : begin / plan.segments;
  int64_t inRow = (begin - row * plan.segments) * plan.block;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = row * plan.rowLength + inRow;
    const size_t count = static_cast<size_t>(std::min(plan.block, plan.rowLength - inRow));
    LoadBlock(call, plan, first, count, part);
    if (wide) part.at[last] = out.as<int32_t>() + first;
    for (int s = 0; s < part.stepCount; s++) RunStep(part.steps[s], first, count);
    if (!wide) Narrow(static_cast<const int32_t*>(part.at[last]), count, out, first);
    inRow += plan.block;
    if (inRow >= plan.rowLength) {
      inRow = 0;
      row++;
    }
  }
}

}  // namespace

void RunMap(const Call& call) {
  if (call.operand(0).size == 0) return;
  MapPlan plan;
  PlanMap(call.instruction, plan);
  if (plan.blocks == 1) return RunBlocks(call, plan, 0, 1, 0);
  // A thread is worth waking for some microseconds of work.
  constexpr int64_t kGrain = 65536;
  const int64_t grain = std::max(int64_t{1}, kGrain / (plan.cost + 1) / plan.block);
  ParallelFor(call.pool, plan.blocks, grain,
              [&](int64_t begin, int64_t end, int thread) { RunBlocks(call, plan, begin, end, thread); });
}

}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace nabla {

size_t ScratchMap(const Instruction& instruction, int threads) {
  if (instruction.operands[0].size == 0) return 0;
  MapPlan plan;
  PlanMap(instruction, plan);
  return static_cast<size_t>(plan.registers) * kMapRegisterBytes * static_cast<size_t>(threads);
}

}  // namespace nabla
#endif
