// The rules of softmax, softmaxGrad and softmaxCrossEntropy.
#include "program/rules/rule.h"

namespace nabla {
namespace {

// softmax and softmaxGrad: every operand is float32 [rows, columns].
std::string CheckRows(const Instruction& instruction, size_t operands) {
  if (std::string wrong = CheckCounts(instruction, operands, 3); !wrong.empty()) return wrong;
  for (const Operand& operand : instruction.operands) {
    if (!HasSize(operand, DType::kFloat32, {instruction.attr(0), instruction.attr(1)})) {
      return "an operand is not rows * columns elements of float32";
    }
  }
  if (!IsFlag(instruction.attr(2))) return "log is neither 0 nor 1";
  return {};
}

}  // namespace

std::string CheckSoftmax(const Instruction& instruction) { return CheckRows(instruction, 2); }

std::string CheckSoftmaxGrad(const Instruction& instruction) { return CheckRows(instruction, 3); }

std::string CheckSoftmaxCrossEntropy(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 4, 2, {1}); !wrong.empty()) return wrong;
  const Operand& loss = instruction.operands[0];
  const Operand& grad = instruction.operands[1];
  const Operand& logits = instruction.operands[2];
  const Operand& labels = instruction.operands[3];
  const int64_t rows = instruction.attr(0), columns = instruction.attr(1);
  if (!HasSize(logits, DType::kFloat32, {rows, columns})) return "logits do not fit rows and columns";
  if (!HasSize(loss, DType::kFloat32, {rows})) return "loss is not one float32 a row";
  if (grad.present && !HasSize(grad, DType::kFloat32, {rows, columns}))
    return "grad does not fit rows and columns";
  const bool distribution = HasSize(labels, DType::kFloat32, {rows, columns});
  const bool classes = HasSize(labels, DType::kInt32, {rows}) || HasSize(labels, DType::kUint8, {rows});
  if (!distribution && !classes) {
    return "labels are neither float32 [rows, columns] nor int32 or uint8 [rows]";
  }
  return {};
}

}  // namespace nabla
