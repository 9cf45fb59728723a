// The rules of conv, convInputGrad and convFilterGrad: operands have the sizes that the attributes say, and windows begin
// inside the padded input, so that no sum of coordinates overflows.
#include "cpu/kernels/conv-plan.h"
#include "program/rules/rule.h"

namespace nabla {
namespace {

constexpr size_t kAttributes = 22;
constexpr int64_t kMostWindow = int64_t{1} << 28;  // numbers that a row of a window reaches over

// Operands in the order of the roles: input, filter, output.
std::string CheckConvolution(const Instruction& instruction, const Operand& input, const Operand& filter,
                             const Operand& output) {
  for (size_t i = 0; i < kAttributes; i++) {
    if (instruction.attr(i) < 0) return "attribute " + std::to_string(i) + " is negative";
  }
  const conv::Shape s = conv::ReadShape(instruction);
  if (s.groups < 1 || s.inC % s.groups != 0 || s.outC % s.groups != 0) {
    return "channels are not a multiple of groups";
  }
  for (int i = 0; i < 3; i++) {
    if (s.kernel[i] < 1 || s.stride[i] < 1 || s.dilation[i] < 1) {
      return "kernel, stride and dilation must be at least 1";
    }
    const int64_t window = (s.kernel[i] - 1) * s.dilation[i] + 1;
    if (s.pad[i] >= window) return "padding must be smaller than the window";
    if (s.out[i] > 0 && (s.out[i] - 1) * s.stride[i] >= s.in[i] + s.pad[i]) {
      return "the last window begins after the input's end";
    }
    int64_t reach = 0;
    if (!Product({window, std::max(s.inC, s.outC) + 1}, reach) || reach > kMostWindow) return "the window is too large";
  }
  if (!HasSize(input, DType::kFloat32, {s.batch, s.in[0], s.in[1], s.in[2], s.inC})) return "input has another size";
  if (!HasSize(filter, DType::kFloat32, {s.kernel[0], s.kernel[1], s.kernel[2], s.inGroup(), s.outC})) {
    return "filter has another size";
  }
  if (!HasSize(output, DType::kFloat32, {s.batch, s.out[0], s.out[1], s.out[2], s.outC})) {
    return "output has another size";
  }
  return {};
}

}  // namespace

std::string CheckConv(const Instruction& instruction) {
  const std::string error = CheckCounts(instruction, 4, kAttributes + 1, {3});
  if (!error.empty()) return error;
  const int32_t activation = instruction.attr(kAttributes);
  if (activation < 0 || activation >= static_cast<int32_t>(Activation::kCount)) return "unknown activation";
  const Operand& bias = instruction.operands[3];
  if (bias.present && !HasSize(bias, DType::kFloat32, {instruction.attr(8)})) return "bias must hold outC elements";
  return CheckConvolution(instruction, instruction.operands[1], instruction.operands[2], instruction.operands[0]);
}

std::string CheckConvInputGrad(const Instruction& instruction) {
  const std::string error = CheckCounts(instruction, 3, kAttributes);
  if (!error.empty()) return error;
  return CheckConvolution(instruction, instruction.operands[0], instruction.operands[2], instruction.operands[1]);
}

std::string CheckConvFilterGrad(const Instruction& instruction) {
  const std::string error = CheckCounts(instruction, 3, kAttributes);
  if (!error.empty()) return error;
  return CheckConvolution(instruction, instruction.operands[1], instruction.operands[0], instruction.operands[2]);
}

}  // namespace nabla
