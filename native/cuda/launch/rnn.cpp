// Starts rnn and its gradient: a launch a step.
#include "cuda/kernels/rnn.h"

#include <algorithm>

#include "cuda/launcher.h"
#include "program/rnn.h"

namespace nabla::cuda {
namespace {

// By kind.
constexpr Entry kStep[] = {
    {"rnn", "rnnSimpleTanh"}, {"rnn", "rnnSimpleRelu"}, {"rnn", "rnnLstm"}, {"rnn", "rnnGru"}};
constexpr Entry kGradStep[] = {{"rnn_grad", "rnnGradSimpleTanh"},
                               {"rnn_grad", "rnnGradSimpleRelu"},
                               {"rnn_grad", "rnnGradLstm"},
                               {"rnn_grad", "rnnGradGru"}};
constexpr Entry kGradEnd[] = {{"rnn_grad", "rnnGradEndSimple"},
                              {"rnn_grad", "rnnGradEndSimple"},
                              {"rnn_grad", "rnnGradEndLstm"},
                              {"rnn_grad", "rnnGradEndGru"}};
constexpr Entry kBegin = {"rnn", "rnnBegin"}, kBias = {"rnn_grad", "rnnGradBias"},
                kBiasJoin = {"rnn_grad", "rnnGradBiasJoin"};
// Rows that are worth a block of their own, and blocks that share a column of the bias, at most.
constexpr int64_t kSplitRows = 64, kMostSplits = 64;

RnnStep FirstStep(const RnnShape& s) {
  RnnStep at = {};
  at.time = s.time;
  at.batch = static_cast<int32_t>(s.batch);
  at.units = static_cast<int32_t>(s.units);
  at.kind = s.kind;
  at.unitBlocks = static_cast<int32_t>(BlocksFor(s.units, kRnnUnits));
  return at;
}

Grid StepGrid(const RnnShape& s) { return {BlocksFor(s.batch, kRnnRows) * BlocksFor(s.units, kRnnUnits)}; }

// Decided by the shape alone, so that a sum is the same on every GPU.
int64_t Splits(const RnnShape& s) {
  return std::clamp<int64_t>(s.batch * s.time / kSplitRows, 1, kMostSplits);
}

}  // namespace

// Two states and a cell.
size_t ScratchRnn(const Instruction& instruction) {
  const RnnShape s(instruction);
  return static_cast<size_t>(3 * s.batch * s.units) * sizeof(float);
}

void LaunchRnn(Launcher& launcher) {
  const RnnShape s(launcher.instruction());
  const int64_t states = s.batch * s.units;
  RnnParams p = {};
  p.y = launcher.data<float>(0);
  p.hLast = launcher.data<float>(1);
  p.cLast = launcher.data<float>(2);
  if (float* const reserve = launcher.data<float>(3); reserve != nullptr) {
    p.former = reserve;
    p.saved = reserve + s.savedAt();
    if (s.kind == RnnKind::kLstm) p.cells = reserve + s.cellsAt();
  }
  p.input = launcher.data<float>(4);
  p.h0 = launcher.data<float>(5);
  p.c0 = launcher.data<float>(6);
  p.recurrent = launcher.data<float>(7);
  p.bias = launcher.data<float>(8);
  p.mask = launcher.data<uint8_t>(9);
  p.states[0] = launcher.scratch<float>();
  p.states[1] = p.states[0] + states;
  p.cell = p.states[1] + states;
  p.at = FirstStep(s);
  launcher.Launch(kBegin, {BlocksFor(states, kRnnThreads)}, kRnnThreads, p);
  for (int64_t step = 0; step < s.time; step++) {
    p.at.step = step;
    p.at.t = s.timeOf(step);
    launcher.Launch(kStep[static_cast<int>(s.kind)], StepGrid(s), kRnnThreads, p);
  }
}

// The carried gradient, the cell's, and parts of the bias's.
size_t ScratchRnnGrad(const Instruction& instruction) {
  const RnnShape s(instruction);
  const int64_t bias = instruction.operands[2].present ? Splits(s) * RnnBiases(s.kind) * s.units : 0;
  return static_cast<size_t>(2 * s.batch * s.units + bias) * sizeof(float);
}

void LaunchRnnGrad(Launcher& launcher) {
  const RnnShape s(launcher.instruction());
  const int64_t states = s.batch * s.units;
  RnnGradParams p = {};
  p.dInput = launcher.data<float>(0);
  p.dProduct = launcher.operand(1).present ? launcher.data<float>(1) : p.dInput;
  p.dBias = launcher.data<float>(2);
  p.dh0 = launcher.data<float>(3);
  p.dc0 = launcher.data<float>(4);
  p.dy = launcher.data<float>(5);
  p.dhLast = launcher.data<float>(6);
  p.dcLast = launcher.data<float>(7);
  p.former = launcher.data<float>(8);
  p.saved = p.former + s.savedAt();
  p.cells = p.former + s.cellsAt();
  p.recurrent = launcher.data<float>(9);
  p.mask = launcher.data<uint8_t>(10);
  p.carried = launcher.scratch<float>();
  p.dCell = p.carried + states;
  p.partial = p.dCell + states;
  p.biases = RnnBiases(s.kind) * s.units;
  p.splits = static_cast<int32_t>(Splits(s));
  p.at = FirstStep(s);
  const size_t kind = static_cast<size_t>(s.kind);
  for (int64_t step = s.time - 1; step >= 0; step--) {
    p.at.step = step;
    p.at.t = s.timeOf(step);
    p.nextTime = s.timeOf(step + 1);
    launcher.Launch(kGradStep[kind], StepGrid(s), kRnnThreads, p);
  }
  if (p.dh0 != nullptr || p.dc0 != nullptr) {
    // Before the first step.
    p.at.step = -1;
    p.nextTime = s.timeOf(0);
    launcher.Launch(kGradEnd[kind], StepGrid(s), kRnnThreads, p);
  }
  if (p.dBias != nullptr) {
    launcher.Launch(kBias, {BlocksFor(p.biases, kRnnAcross), p.splits}, kRnnThreads, p);
    launcher.Launch(kBiasJoin, {BlocksFor(p.biases, kRnnThreads)}, kRnnThreads, p);
  }
}

}  // namespace nabla::cuda
