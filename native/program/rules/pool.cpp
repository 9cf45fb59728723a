// The rules of pool and poolGrad: operands have the sizes that the attributes say, and every window holds at least one
// element of the input.
#include "cpu/kernels/conv-plan.h"
#include "program/rules/rule.h"

namespace nabla {
namespace {

constexpr size_t kAttributes = 18;

std::string CheckPooling(const Instruction& instruction, const Operand& input) {
  for (size_t i = 0; i < kAttributes; i++) {
    if (instruction.attr(i) < 0) return "attribute " + std::to_string(i) + " is negative";
  }
  if (instruction.attr(0) >= static_cast<int32_t>(PoolKind::kCount)) return "unknown kind";
  const conv::Shape s = conv::ReadPool(instruction);
  for (int i = 0; i < 3; i++) {
    if (s.kernel[i] < 1 || s.stride[i] < 1) return "kernel and stride must be at least 1";
    if (s.pad[i] >= s.kernel[i]) return "padding must be smaller than the window";
    if (s.out[i] > 0 && (s.in[i] == 0 || (s.out[i] - 1) * s.stride[i] >= s.in[i] + s.pad[i])) {
      return "the last window begins after the input's end";
    }
  }
  if (!HasSize(input, DType::kFloat32, {s.batch, s.in[0], s.in[1], s.in[2], s.inC})) return "input has another size";
  return {};
}

bool IsPooled(const Instruction& instruction, const Operand& operand) {
  const conv::Shape s = conv::ReadPool(instruction);
  return HasSize(operand, DType::kFloat32, {s.batch, s.out[0], s.out[1], s.out[2], s.outC});
}

}  // namespace

std::string CheckPool(const Instruction& instruction) {
  std::string error = CheckCounts(instruction, 2, kAttributes);
  if (error.empty()) error = CheckPooling(instruction, instruction.operands[1]);
  if (error.empty() && !IsPooled(instruction, instruction.operands[0])) error = "out has another size";
  return error;
}

std::string CheckPoolGrad(const Instruction& instruction) {
  std::string error = CheckCounts(instruction, 4, kAttributes);
  if (error.empty()) error = CheckPooling(instruction, instruction.operands[1]);
  if (!error.empty()) return error;
  if (instruction.operands[0].dtype != DType::kFloat32 || instruction.operands[0].size != instruction.operands[1].size) {
    return "out has another size than input";
  }
  if (!IsPooled(instruction, instruction.operands[2]) || !IsPooled(instruction, instruction.operands[3])) {
    return "y or dy has another size";
  }
  return {};
}

}  // namespace nabla
