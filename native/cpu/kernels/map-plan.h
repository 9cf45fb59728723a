// How one map instruction is run: which inputs are read in place, which are spread out into block registers,
// which register every value lives in, and how the output is cut into blocks. Target-independent; made anew
// for each run on the stack, in some ten nanoseconds for a short chain.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "program/micro.h"
#include "program/program.h"

namespace nabla {

// Elements of a block register: small enough that some ten registers stay in the first-level cache.
constexpr int64_t kMapBlock = 512;
// Bytes from one block register to the next: a line more than needed, so that they do not fall into the same
// cache sets, and so that the last vector, of 64 bytes at most, may be written whole.
constexpr size_t kMapRegisterBytes = kMapBlock * 4 + 64;
constexpr int kMapValues = kMaxMapInputs + kMaxMicro;

enum class MapInput : uint8_t {
  kUnused,    // by no micro-operation element by element; random states too
  kDirect,    // same shape, 32 bits: read where it lies
  kScalar,    // one element: spread over a register once
  kWiden,     // same shape, 8 or 16 bits: widened into a register each block
  kPeriodic,  // repeats within a block: spread out once
  kRow,       // 32 bits, contiguous within the row that a block lies in: read where it lies
  kSpread,    // any other broadcasting: spread out each block
};

struct MapPlan {
  int inputs = 0;
  int micros = 0;
  MapInput kind[kMaxMapInputs] = {};
  int8_t reg[kMapValues];         // block register of each value, -1 where it has none
  int64_t period[kMaxMapInputs];  // elements, of kPeriodic inputs
  bool hoisted[kMaxMicro];        // the same for all elements: computed once
  int registers = 0;              // block registers in use
  int64_t cost = 0;               // of an element, in additions
  // Blocks: row r, segment s of the output is [r * rowLength + s * block, ...), at most `block` long and
  // never past the row.
  int64_t rowLength = 0;
  int64_t block = 0;
  int64_t segments = 0;  // blocks of a row
  int64_t blocks = 0;
  // The output's shape with dimensions merged where no broadcasting tells them apart, and the strides of
  // broadcast inputs.
  int rank = 0;
  int64_t dims[kMaxRank];
  int64_t strides[kMaxMapInputs][kMaxRank];
};

namespace internal {

// A row this long is worth blocks of its own; shorter rows share one.
constexpr int64_t kMapLongRow = 256;
// Blocks of a plan without registers only bound the work that a thread takes at a time.
constexpr int64_t kMapFreeBlock = 8192;

inline int64_t MicroCost(Micro micro) {
  if (micro >= Micro::k_exp && micro <= Micro::k_erfinv) return 8;
  switch (micro) {
    case Micro::k_pow:
    case Micro::k_mod:
    case Micro::k_floorDiv:
    case Micro::k_floorDivInt:
    case Micro::k_modInt:
      return 16;
    case Micro::k_atan2:
    case Micro::k_gelu:
    case Micro::k_geluSlope:
      return 8;
    case Micro::k_random:
    case Micro::k_randomBits:
      return 4;
    default:
      return 1;
  }
}

inline bool IsBroadcast(MapInput kind) {
  return kind == MapInput::kPeriodic || kind == MapInput::kRow || kind == MapInput::kSpread;
}

// Merges the output's dimensions as far as the broadcast inputs allow, and finds those inputs' strides.
inline void MergeDimensions(const Instruction& instruction, MapPlan& plan) {
  const Operand& out = instruction.operands[0];
  int64_t size[kMaxMapInputs];  // elements of the input in the dimensions that are still to come
  for (int i = 0; i < plan.inputs; i++) size[i] = instruction.operands[static_cast<size_t>(i) + 1].size;
  for (int d = 0; d < out.rank; d++) {
    const int64_t dim = out.dims[d];
    if (dim == 1) continue;
    bool merge = plan.rank > 0;
    int64_t stride[kMaxMapInputs] = {};
    for (int i = 0; i < plan.inputs; i++) {
      if (!IsBroadcast(plan.kind[i])) continue;
      const Operand& input = instruction.operands[static_cast<size_t>(i) + 1];
      const int own = d - (out.rank - input.rank);
      const int64_t inputDim = own < 0 ? 1 : input.dims[own];
      size[i] /= inputDim;
      stride[i] = inputDim == 1 ? 0 : size[i];
      merge = merge && plan.strides[i][plan.rank - 1] == stride[i] * dim;
    }
    const int at = merge ? plan.rank - 1 : plan.rank++;
    plan.dims[at] = merge ? plan.dims[at] * dim : dim;
    for (int i = 0; i < plan.inputs; i++) plan.strides[i][at] = stride[i];
  }
}

// Elements after which a broadcast input repeats.
inline int64_t PeriodOf(const MapPlan& plan, int input) {
  int d = 0;
  while (d < plan.rank && plan.strides[input][d] == 0) d++;
  int64_t period = 1;
  for (; d < plan.rank; d++) period *= plan.dims[d];
  return period;
}

// Decides how broadcast inputs are read and how long blocks are. Periods are products of the last dimensions,
// so that each divides the longer ones.
inline void CutBlocks(const Instruction& instruction, MapPlan& plan, bool broadcast) {
  const int64_t size = instruction.operands[0].size;
  plan.rowLength = size;
  plan.block = kMapBlock;
  if (!broadcast) return;
  MergeDimensions(instruction, plan);
  const int64_t inner = plan.dims[plan.rank - 1];
  if (inner >= kMapLongRow) {
    plan.rowLength = inner;
    for (int i = 0; i < plan.inputs; i++) {
      const bool wide = SizeOf(instruction.operands[static_cast<size_t>(i) + 1].dtype) == 4;
      if (IsBroadcast(plan.kind[i]) && wide && plan.strides[i][plan.rank - 1] != 0)
        plan.kind[i] = MapInput::kRow;
    }
    return;
  }
  int64_t longest = 1;
  for (int i = 0; i < plan.inputs; i++) {
    if (!IsBroadcast(plan.kind[i])) continue;
    const int64_t period = PeriodOf(plan, i);
    if (period > kMapBlock) continue;
    plan.kind[i] = MapInput::kPeriodic;
    plan.period[i] = period;
    longest = std::max(longest, period);
  }
  // Whole vectors too, if that leaves room.
  const int64_t even = std::lcm(longest, int64_t{16});
  const int64_t unit = even <= kMapBlock ? even : longest;
  plan.block = kMapBlock / unit * unit;
}

inline bool NeedsRegister(MapInput kind) {
  return kind == MapInput::kScalar || kind == MapInput::kWiden || kind == MapInput::kPeriodic ||
         kind == MapInput::kSpread;
}

// Finds the last reader of every value and which values are the same for all elements.
inline void FindUses(const Instruction& instruction, MapPlan& plan, int8_t* lastUse) {
  bool uniform[kMapValues];
  for (int i = 0; i < plan.inputs; i++)
    uniform[i] = instruction.operands[static_cast<size_t>(i) + 1].size == 1;
  for (int m = 0; m < plan.micros; m++) {
    const int32_t* words = &instruction.attributes[static_cast<size_t>(m) * kMicroWords];
    const MicroInfo& info = kMicros[words[0]];
    bool same = info.arity > 0;
    for (int k = 0; k < info.arity; k++) {
      const char type = info.operands[k];
      if (type == '@') same = false;
      if (type == '@' || type == '#') continue;
      lastUse[words[1 + k]] = static_cast<int8_t>(m);
      same = same && uniform[words[1 + k]];
    }
    plan.hoisted[m] = same && m + 1 < plan.micros;
    uniform[plan.inputs + m] = plan.hoisted[m];
    if (!plan.hoisted[m]) plan.cost += MicroCost(static_cast<Micro>(words[0]));
  }
}

// Gives every value that needs one a block register, and reuses it after the value's last reader.
inline void PlaceRegisters(const Instruction& instruction, MapPlan& plan, const int8_t* lastUse) {
  uint64_t taken = 0;
  const auto place = [&](int value) {
    const int reg = __builtin_ctzll(~taken);
    taken |= uint64_t{1} << reg;
    plan.reg[value] = static_cast<int8_t>(reg);
    plan.registers = std::max(plan.registers, reg + 1);
  };
  // Values that live through all blocks first: they are never given back.
  for (int i = 0; i < plan.inputs; i++) {
    plan.reg[i] = -1;
    if (NeedsRegister(plan.kind[i])) place(i);
  }
  for (int m = 0; m < plan.micros; m++) {
    if (plan.hoisted[m]) place(plan.inputs + m);
  }
  const bool direct = SizeOf(instruction.operands[0].dtype) == 4;
  for (int m = 0; m < plan.micros; m++) {
    if (plan.hoisted[m]) continue;
    const int value = plan.inputs + m;
    const int32_t* words = &instruction.attributes[static_cast<size_t>(m) * kMicroWords];
    const MicroInfo& info = kMicros[words[0]];
    // The result may take an operand's place: every vector is read before it is written.
    for (int k = 0; k < info.arity; k++) {
      if (info.operands[k] == '@' || info.operands[k] == '#') continue;
      const int word = words[1 + k];
      if (word < plan.inputs) {
        if (plan.kind[word] != MapInput::kWiden && plan.kind[word] != MapInput::kSpread) continue;
      } else if (plan.hoisted[word - plan.inputs]) {
        continue;
      }
      if (lastUse[word] == m) taken &= ~(uint64_t{1} << plan.reg[word]);
    }
    plan.reg[value] = -1;
    if (direct && m + 1 == plan.micros) continue;
    place(value);
    if (lastUse[value] < 0 && m + 1 < plan.micros) taken &= ~(uint64_t{1} << plan.reg[value]);
  }
}

}  // namespace internal

// Plans an instruction that CheckMap has accepted. Uses shapes and dtypes only, so that the plan at load and
// those of the runs agree.
inline void PlanMap(const Instruction& instruction, MapPlan& plan) {
  const Operand& out = instruction.operands[0];
  plan.inputs = static_cast<int>(instruction.operands.size()) - 1;
  plan.micros = static_cast<int>(instruction.attributes.size() / kMicroWords);
  if (out.size == 0) return;
  int8_t lastUse[kMapValues];
  std::fill_n(lastUse, plan.inputs + plan.micros, int8_t{-1});
  internal::FindUses(instruction, plan, lastUse);
  bool broadcast = false;
  for (int i = 0; i < plan.inputs; i++) {
    const Operand& input = instruction.operands[static_cast<size_t>(i) + 1];
    if (lastUse[i] < 0) {
      plan.kind[i] = MapInput::kUnused;
    } else if (input.size == out.size && (out.size > 1 || SizeOf(input.dtype) == 4)) {
      plan.kind[i] = SizeOf(input.dtype) == 4 ? MapInput::kDirect : MapInput::kWiden;
    } else if (input.size == 1) {
      plan.kind[i] = MapInput::kScalar;
    } else {
      plan.kind[i] = MapInput::kSpread;
      broadcast = true;
    }
  }
  internal::CutBlocks(instruction, plan, broadcast);
  internal::PlaceRegisters(instruction, plan, lastUse);
  if (plan.registers == 0) plan.block = internal::kMapFreeBlock;
  if (plan.block >= plan.rowLength) {
    plan.block = plan.rowLength;
    plan.segments = 1;
  } else {
    plan.segments = (plan.rowLength + plan.block - 1) / plan.block;
  }
  plan.blocks = plan.rowLength == out.size ? plan.segments : out.size / plan.rowLength * plan.segments;
}

}  // namespace nabla
