// The rule of the update kernel.
#include "program/rules/rule.h"

namespace nabla {
namespace {

// Whether the kind reads and writes that state operand.
bool NeedsState(UpdateKind kind, int32_t flags, float beta1, int state) {
  switch (kind) {
    case UpdateKind::kMomentum:
    case UpdateKind::kAdagrad:
    case UpdateKind::kLion:
      return state == 1;
    case UpdateKind::kRmsprop:
      return state == 1 || (state == 2 && beta1 > 0) || (state == 3 && (flags & kUpdateCentered) != 0);
    case UpdateKind::kAdam:
      return state <= 2 || (flags & kUpdateAmsgrad) != 0;
    case UpdateKind::kAdadelta:
    case UpdateKind::kAdamax:
    case UpdateKind::kNadam:
    case UpdateKind::kFtrl:
      return state <= 2;
    case UpdateKind::kSgd:
    case UpdateKind::kCount:
      break;
  }
  return false;
}

bool IsScalar(const Operand& operand, DType dtype) { return operand.dtype == dtype && operand.size >= 1; }

}  // namespace

std::string CheckUpdate(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 8, 6, {2, 3, 4, 7}); !wrong.empty()) return wrong;
  const int32_t kind = instruction.attr(0), flags = instruction.attr(1);
  if (kind < 0 || kind >= static_cast<int32_t>(UpdateKind::kCount)) return "unknown kind";
  if ((flags & ~(kUpdateNesterov | kUpdateCentered | kUpdateAmsgrad)) != 0) return "unknown flags";

  const Operand& params = instruction.operands[0];
  for (size_t i = 0; i < 5; ++i) {
    const Operand& operand = instruction.operands[i];
    if (operand.present && !HasSize(operand, DType::kFloat32, {params.size})) {
      return "params, grads and states are float32 of equal size";
    }
  }
  for (int state = 1; state <= 3; ++state) {
    const bool present = instruction.operands[static_cast<size_t>(state) + 1].present;
    if (!present && NeedsState(static_cast<UpdateKind>(kind), flags, instruction.attrFloat(2), state)) {
      return "state" + std::to_string(state) + " is missing";
    }
  }
  if (!IsScalar(instruction.operands[5], DType::kFloat32)) return "scalars are at least one float32";
  if (!IsScalar(instruction.operands[6], DType::kInt32)) return "step is at least one int32";
  if (instruction.operands[7].present && !IsScalar(instruction.operands[7], DType::kFloat32)) {
    return "clip is at least one float32";
  }
  return {};
}

}  // namespace nabla
