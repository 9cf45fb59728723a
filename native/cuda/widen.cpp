// Runs float32 kernels on bfloat16 operands where they have no way of their own: operands are converted into
// scratch, and what was written is rounded back.
#include "cuda/widen.h"

#include <vector>

#include "cuda/kernels/widen.h"

namespace nabla::cuda {
namespace {

using ScratchFn = size_t (*)(const Instruction&);
constexpr ScratchFn kScratch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Scratch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};
using LaunchFn = void (*)(Launcher&);
constexpr LaunchFn kLaunch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Launch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};
constexpr Entry kWiden = {"widen", "widen"}, kNarrow = {"widen", "narrow"};

bool IsHalf(const Operand& operand) { return operand.present && operand.dtype == DType::kBfloat16; }

// Where the float32 twins of an instruction's operands lie in scratch, and the float32 instruction.
struct Twins {
  Instruction instruction;
  std::vector<size_t> at;
  std::vector<bool> own;  // has a twin that is converted for it
  size_t bytes = 0;

  explicit Twins(const Instruction& whole) : instruction(whole), at(whole.operands.size()), own(at.size()) {
    const size_t written = WrittenOperands(whole.opcode);
    for (size_t i = 0; i < at.size(); i++) {
      Operand& operand = instruction.operands[i];
      if (!operand.present || operand.dtype != DType::kBfloat16) continue;
      operand.dtype = DType::kFloat32;
      // Queries, keys and values may be one memory.
      size_t same = written;
      while (same < i && !IsSame(whole, same, i)) same++;
      own[i] = i < written || same == i;
      at[i] = own[i] ? bytes : at[same];
      if (own[i]) bytes += ScratchAligned(operand.bytes());
    }
  }

 private:
  static bool IsSame(const Instruction& whole, size_t i, size_t j) {
    const Operand &a = whole.operands[i], &b = whole.operands[j];
    const bool placed = whole.slots.size() > j && whole.offsets.size() > j;
    return a.present && a.dtype == DType::kBfloat16 && a.size == b.size && placed &&
           whole.slots[i] == whole.slots[j] && whole.offsets[i] == whole.offsets[j];
  }
};

// A product may leave numbers of its output as they are.
bool WritesAll(const Instruction& instruction) {
  if (instruction.opcode != Opcode::kGemm) return true;
  return instruction.operands[0].size ==
         int64_t{instruction.attr(0)} * instruction.attr(1) * instruction.attr(2);
}

void Convert(Launcher& launcher, const Entry& entry, void* to, const void* from, int64_t size) {
  WidenParams p = {};
  p.to = to;
  p.from = from;
  p.size = size;
  launcher.Launch(entry, {BlocksFor(size, kWidenThreads * kWidenElements)}, kWidenThreads, p);
}

void LaunchWidened(Launcher& launcher) {
  const Instruction& whole = launcher.instruction();
  std::byte* const scratch = launcher.scratch<std::byte>();
  Twins twins(whole);
  const size_t written = WrittenOperands(whole.opcode);
  for (size_t i = 0; i < twins.at.size(); i++) {
    Operand& operand = twins.instruction.operands[i];
    if (operand.dtype == whole.operands[i].dtype) continue;
    operand.data = scratch + twins.at[i];
    if (!twins.own[i] || (i < written && WritesAll(whole))) continue;
    LaunchWiden(launcher, operand.as<float>(), whole.operands[i].data, operand.size);
  }
  launcher.Substitute(twins.instruction, scratch + twins.bytes);
  kLaunch[static_cast<size_t>(whole.opcode)](launcher);
  launcher.Substitute(whole, scratch);
  for (size_t i = 0; i < written && i < twins.at.size(); i++) {
    const Operand& operand = twins.instruction.operands[i];
    if (operand.dtype == whole.operands[i].dtype) continue;
    LaunchNarrow(launcher, whole.operands[i].data, operand.as<float>(), operand.size);
  }
}

}  // namespace

bool IsWidened(const Instruction& instruction, Precision precision) {
  if (!instruction.widened) return false;
  switch (instruction.opcode) {
    case Opcode::kReduce:
    case Opcode::kSoftmax:
    case Opcode::kSoftmaxGrad:
    case Opcode::kNormalize:
    case Opcode::kNormalizeGrad:
    case Opcode::kPool:
    case Opcode::kPoolGrad:
    case Opcode::kAttention:
    case Opcode::kAttentionGrad:
      return false;
    case Opcode::kGemm:
    case Opcode::kConv:
    case Opcode::kConvInputGrad:
    case Opcode::kConvFilterGrad: {
      // Products of bfloat16 are exact. A float32 factor is rounded where the other one and the result are
      // bfloat16, unless all is to be float32.
      const bool out = IsHalf(instruction.operands[0]), a = IsHalf(instruction.operands[1]),
                 b = IsHalf(instruction.operands[2]);
      return !((a && b) || (out && (a || b) && precision == Precision::kTf32));
    }
    default:
      return true;
  }
}

bool MultipliesHalves(const Instruction& instruction) {
  return IsHalf(instruction.operands[1]) || IsHalf(instruction.operands[2]);
}

size_t ScratchOfFactors(const Instruction& instruction) {
  if (!MultipliesHalves(instruction)) return 0;
  size_t bytes = 0;
  for (size_t i = 1; i <= 2; i++) {
    if (!IsHalf(instruction.operands[i])) bytes += ScratchAligned(instruction.operands[i].size * 2);
  }
  return bytes;
}

const void* HalfFactorOf(Launcher& launcher, size_t operand, size_t& at) {
  const Operand& factor = launcher.operand(operand);
  if (IsHalf(factor)) return factor.data;
  std::byte* const rounded = launcher.scratch<std::byte>() + at;
  at += ScratchAligned(factor.size * 2);
  LaunchNarrow(launcher, rounded, factor.as<float>(), factor.size);
  return rounded;
}

void LaunchWiden(Launcher& launcher, float* to, const void* from, int64_t size) {
  Convert(launcher, kWiden, to, from, size);
}

void LaunchNarrow(Launcher& launcher, void* to, const float* from, int64_t size) {
  Convert(launcher, kNarrow, to, from, size);
}

size_t ScratchOf(const Instruction& instruction, Precision precision) {
  const ScratchFn own = kScratch[static_cast<size_t>(instruction.opcode)];
  if (!IsWidened(instruction, precision)) return own(instruction);
  const Twins twins(instruction);
  return twins.bytes + own(twins.instruction);
}

void LaunchInstruction(Launcher& launcher) {
  const Instruction& instruction = launcher.instruction();
  if (IsWidened(instruction, launcher.precision())) return LaunchWidened(launcher);
  kLaunch[static_cast<size_t>(instruction.opcode)](launcher);
}

}  // namespace nabla::cuda
