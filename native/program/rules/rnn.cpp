// The rules of rnn and rnnGrad: every operand has the size that kind, batch, time and units say.
#include "program/rnn.h"

#include "program/rules/rule.h"

namespace nabla {
namespace {

// Empty if the attributes make sense; products of them are then checked operand by operand.
std::string CheckShape(const Instruction& instruction) {
  for (int32_t attribute : instruction.attributes) {
    if (attribute < 0) return "an attribute is negative";
  }
  if (instruction.attr(0) >= static_cast<int32_t>(RnnKind::kCount)) return "unknown kind";
  if (!IsFlag(instruction.attr(4))) return "backwards is neither 0 nor 1";
  int64_t largest = 0;
  const int64_t batch = instruction.attr(1), time = instruction.attr(2), units = instruction.attr(3);
  // The reserve is the largest section that the kernels address: at most 6 numbers a unit and a step.
  if (!Product({batch, time + 1, units, 8}, largest)) return "batch * time * units is too large";
  if (!Product({units, units, 8}, largest)) return "units is too large";
  return {};
}

bool Fits(const Operand& operand, std::initializer_list<int64_t> factors) {
  return !operand.present || HasSize(operand, DType::kFloat32, factors);
}

bool MaskFits(const Operand& mask, const RnnShape& shape) {
  return !mask.present || HasSize(mask, DType::kBool, {shape.batch, shape.time});
}

}  // namespace

std::string CheckRnn(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 10, 5, {0, 2, 3, 5, 6, 8, 9}); !wrong.empty())
    return wrong;
  if (std::string wrong = CheckShape(instruction); !wrong.empty()) return wrong;
  const RnnShape shape(instruction);
  const auto& operands = instruction.operands;
  const bool lstm = shape.kind == RnnKind::kLstm;
  if (!lstm && (operands[2].present || operands[6].present)) return "only an LSTM has cells";
  if (!Fits(operands[0], {shape.batch, shape.time, shape.units}))
    return "y is not float32 [batch, time, units]";
  for (size_t i : {1, 2, 5, 6}) {
    if (!Fits(operands[i], {shape.batch, shape.units})) return "a state is not float32 [batch, units]";
  }
  if (!Fits(operands[3], {shape.reserveRows(), shape.units})) return "reserve does not fit kind and sizes";
  if (!Fits(operands[4], {shape.batch, shape.time, shape.sums()}))
    return "input is not float32 [batch, time, sums]";
  if (!Fits(operands[7], {shape.units, shape.sums()})) return "recurrent is not float32 [units, sums]";
  if (!Fits(operands[8], {RnnBiases(shape.kind), shape.units})) return "bias does not fit kind and units";
  if (!MaskFits(operands[9], shape)) return "mask is not bool [batch, time]";
  return {};
}

std::string CheckRnnGrad(const Instruction& instruction) {
  if (std::string wrong = CheckCounts(instruction, 11, 5, {1, 2, 3, 4, 5, 6, 7, 10}); !wrong.empty())
    return wrong;
  if (std::string wrong = CheckShape(instruction); !wrong.empty()) return wrong;
  const RnnShape shape(instruction);
  const auto& operands = instruction.operands;
  const bool lstm = shape.kind == RnnKind::kLstm;
  if (!lstm && (operands[4].present || operands[7].present)) return "only an LSTM has cells";
  if (operands[1].present != (shape.kind == RnnKind::kGru))
    return "dProduct goes with a GRU, and only with it";
  for (size_t i : {0, 1}) {
    if (!Fits(operands[i], {shape.batch, shape.time, shape.sums()})) {
      return "dInput or dProduct is not float32 [batch, time, sums]";
    }
  }
  if (!Fits(operands[2], {RnnBiases(shape.kind), shape.units})) return "dBias does not fit kind and units";
  for (size_t i : {3, 4, 6, 7}) {
    if (!Fits(operands[i], {shape.batch, shape.units})) return "a state is not float32 [batch, units]";
  }
  if (!Fits(operands[5], {shape.batch, shape.time, shape.units}))
    return "dy is not float32 [batch, time, units]";
  if (!Fits(operands[8], {shape.reserveRows(), shape.units})) return "reserve does not fit kind and sizes";
  if (!Fits(operands[9], {shape.units, shape.sums()})) return "recurrent is not float32 [units, sums]";
  if (!MaskFits(operands[10], shape)) return "mask is not bool [batch, time]";
  return {};
}

}  // namespace nabla
