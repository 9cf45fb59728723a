// Starts map: gives values registers, and broadcast inputs their strides.
#include "cuda/kernels/map.h"

#include <algorithm>

#include "cuda/launcher.h"
#include "program/micro.h"

namespace nabla::cuda {
namespace {

constexpr Entry kMap8 = {"map", "map8"}, kMap44 = {"map", "map44"}, kMapWide = {"map", "mapWide"};
constexpr int kValues = kMaxMapInputs + kMaxMicro;

// Merges the output's dimensions as far as all broadcast inputs allow, and finds those inputs' strides.
void Merge(const Instruction& instruction, MapParams& p) {
  const Operand& out = instruction.operands[0];
  int64_t left[kMaxMapInputs];  // elements of the input in the dimensions still to come
  int64_t dims[kMaxRank] = {};
  for (int i = 0; i < p.inputs; i++) left[i] = instruction.operands[static_cast<size_t>(i) + 1].size;
  int rank = 0;
  for (int d = 0; d < out.rank; d++) {
    const int64_t dim = out.dims[d];
    if (dim == 1) continue;
    bool merge = rank > 0;
    int64_t stride[kMaxMapInputs] = {};
    for (int i = 0; i < p.inputs; i++) {
      if (p.input[i].load != MapLoad::kBroadcast) continue;
      const Operand& input = instruction.operands[static_cast<size_t>(i) + 1];
      const int own = d - (out.rank - input.rank);
      const int64_t inputDim = own < 0 ? 1 : input.dims[own];
      left[i] /= inputDim;
      stride[i] = inputDim == 1 ? 0 : left[i];
      merge = merge && p.strides[i][rank - 1] == stride[i] * dim;
    }
    const int at = merge ? rank - 1 : rank++;
    dims[at] = merge ? dims[at] * dim : dim;
    for (int i = 0; i < p.inputs; i++) p.strides[i][at] = static_cast<int32_t>(stride[i]);
  }
  p.places.rank = rank;
  for (int d = 0; d < rank; d++) p.places.dims[d] = Divider(dims[d]);
}

// Registers in the order of need, each free again after its value's last reader. Returns how many.
int GiveRegisters(const Instruction& instruction, MapParams& p) {
  int last[kValues], reg[kValues] = {};
  std::fill_n(last, kValues, -1);
  for (int m = 0; m < p.steps; m++) {
    const int32_t* const words = &instruction.attributes[static_cast<size_t>(m) * kMicroWords];
    for (int k = 0; k < kMicros[words[0]].arity; k++) {
      const char type = kMicros[words[0]].operands[k];
      if (type == 'f' || type == 'i') last[words[1 + k]] = m;
    }
  }
  last[p.inputs + p.steps - 1] = p.steps;
  uint64_t taken = 0;
  int count = 1;
  const auto take = [&] {
    const int place = __builtin_ctzll(~taken);
    taken |= uint64_t{1} << place;
    count = std::max(count, place + 1);
    return place;
  };
  for (int i = 0; i < p.inputs; i++) {
    MapInput& input = p.input[i];
    if (last[i] < 0) input.load = MapLoad::kNone;
    if (input.load != MapLoad::kNone) input.reg = reg[i] = take();
  }
  for (int m = 0; m < p.steps; m++) {
    const int32_t* const words = &instruction.attributes[static_cast<size_t>(m) * kMicroWords];
    const MicroInfo& info = kMicros[words[0]];
    MapStep& step = p.step[m];
    int32_t* const operands[] = {&step.a, &step.b, &step.c};
    for (int k = 0; k < info.arity; k++) {
      const int32_t word = words[1 + k];
      const bool isRegister = info.operands[k] == 'f' || info.operands[k] == 'i';
      *operands[k] = isRegister ? reg[word] : word;
      if (isRegister && last[word] == m) taken &= ~(uint64_t{1} << reg[word]);
    }
    step.micro = static_cast<uint16_t>(words[0]);
    // Operands are read before the result is written, so that it may take one's place.
    reg[p.inputs + m] = take();
    step.out = static_cast<uint16_t>(reg[p.inputs + m]);
    if (last[p.inputs + m] < 0) taken &= ~(uint64_t{1} << reg[p.inputs + m]);
  }
  p.result = reg[p.inputs + p.steps - 1];
  return count;
}

}  // namespace

size_t ScratchMap(const Instruction&) { return 0; }

void LaunchMap(Launcher& launcher) {
  const Instruction& instruction = launcher.instruction();
  const Operand& out = launcher.operand(0);
  if (out.size == 0) return;
  MapParams p = {};
  p.out = out.data;
  p.size = out.size;
  p.outBytes = static_cast<int32_t>(SizeOf(out.dtype));
  p.inputs = static_cast<int32_t>(instruction.operands.size()) - 1;
  p.steps = static_cast<int32_t>(instruction.attributes.size()) / kMicroWords;
  bool broadcast = false;
  for (int i = 0; i < p.inputs; i++) {
    const Operand& input = launcher.operand(static_cast<size_t>(i) + 1);
    const MapLoad load = input.size == out.size ? MapLoad::kSame
                         : input.size == 1      ? MapLoad::kOne
                                                : MapLoad::kBroadcast;
    p.input[i] = {input.data, load, static_cast<int32_t>(SizeOf(input.dtype)), 0, 0};
  }
  const int registers = GiveRegisters(instruction, p);
  for (int i = 0; i < p.inputs; i++) broadcast = broadcast || p.input[i].load == MapLoad::kBroadcast;
  if (broadcast) Merge(instruction, p);
  const bool wide = out.size > int64_t{UINT32_MAX};
  const Entry& entry = wide ? kMapWide : registers <= 8 ? kMap8 : kMap44;
  launcher.Launch(entry, {BlocksFor(out.size, kMapThreads * kMapElements)}, kMapThreads, p);
}

}  // namespace nabla::cuda
