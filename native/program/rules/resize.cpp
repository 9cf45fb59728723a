// The rules of resize and resizeGrad.
#include "program/rules/rule.h"

namespace nabla {
namespace {

std::string CheckImages(const Instruction& instruction, const Operand& small, const Operand& large) {
  const int32_t mode = instruction.attr(0);
  if (mode < 0 || mode >= static_cast<int32_t>(ResizeMode::kCount)) return "unknown mode";
  const int64_t batch = instruction.attr(1), inH = instruction.attr(2), inW = instruction.attr(3);
  const int64_t channels = instruction.attr(4), outH = instruction.attr(5), outW = instruction.attr(6);
  if (!HasSize(small, small.dtype, {batch, inH, inW, channels}))
    return "the input's images do not fit their sizes";
  if (!HasSize(large, small.dtype, {batch, outH, outW, channels})) {
    return "the output's images do not fit their sizes, or differ in dtype";
  }
  if (batch * channels > 0 && outH * outW > 0 && inH * inW == 0) return "images of nothing cannot be resized";
  if (!IsFlag(instruction.attr(7))) return "alignCorners is neither 0 nor 1";
  if (!IsFlag(instruction.attr(8))) return "halfPixelCenters is neither 0 nor 1";
  if (instruction.attr(7) == 1 && instruction.attr(8) == 1)
    return "alignCorners and halfPixelCenters exclude each other";
  return {};
}

}  // namespace

std::string CheckResize(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 2, 9); !wrong.empty()) return wrong;
  const Operand& input = instruction.operands[1];
  const bool bilinear = instruction.attr(0) == static_cast<int32_t>(ResizeMode::kBilinear);
  if (bilinear && input.dtype != DType::kFloat32) return "bilinear takes float32";
  return CheckImages(instruction, input, instruction.operands[0]);
}

std::string CheckResizeGrad(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 2, 9); !wrong.empty()) return wrong;
  if (instruction.operands[0].dtype != DType::kFloat32) return "gradients are float32";
  return CheckImages(instruction, instruction.operands[0], instruction.operands[1]);
}

}  // namespace nabla
