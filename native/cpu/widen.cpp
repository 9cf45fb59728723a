// Runs float32 kernels on bfloat16 and float16 operands: parts small enough for the second cache are
// converted into scratch, computed there in float32, and what was written is rounded back.
#include "cpu/widen.h"

#include <algorithm>
#include <cstring>

#include "cpu/amx.h"
#include "program/widen.h"

namespace nabla {
namespace {

using ScratchFn = size_t (*)(const Instruction&, int);
constexpr ScratchFn kScratch[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) Scratch##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
};

// Bytes of float32 that a part may take, independent of the number of threads, so that sums are too.
constexpr int64_t kPartBytes = int64_t{1} << 20;
// A matrix product packs its whole second operand for each part.
constexpr int64_t kLeastGemmRows = 256;

size_t Aligned(int64_t bytes) { return (static_cast<size_t>(bytes) + 63) / 64 * 64; }

// The parts of an instruction, as float32 instructions over scratch.
class Parts {
 public:
  explicit Parts(const Instruction& instruction) : whole_(instruction), plan_(PlanWidening(instruction)) {
    int64_t rowBytes = 0;
    for (size_t i = 0; i < count(); ++i) {
      if (IsWide(i) && plan_.share[i] == Share::kRows) rowBytes += RowSize(i) * 4;
    }
    const int64_t fitting = kPartBytes / std::max<int64_t>(1, rowBytes);
    const int64_t least = whole_.opcode == Opcode::kGemm && plan_.attribute != 0 ? kLeastGemmRows : 1;
    rows_ = std::min(plan_.count, std::max(least, fitting));
    for (size_t i = 0; i < count(); ++i) {
      at_[i] = bytes_;
      if (IsWide(i)) bytes_ += Aligned(PartSize(i, rows_) * 4);
    }
    for (size_t i = 0; i < plan_.outputs; ++i) {
      addend_[i] = bytes_;
      if (Adds(i)) bytes_ += Aligned(whole_.operands[i].size * 4);
    }
  }

  size_t count() const { return whole_.operands.size(); }
  const WidenPlan& plan() const { return plan_; }
  int64_t rows() const { return rows_; }
  size_t bytes() const { return bytes_; }

  // Whether the operand has a float32 twin in scratch.
  bool IsWide(size_t i) const { return whole_.operands[i].present && IsHalf(whole_.operands[i].dtype); }
  // Whether parts after the first are computed apart and added; a product adds by itself.
  bool Adds(size_t i) const {
    return whole_.operands[i].present && plan_.share[i] == Share::kSum && rows_ < plan_.count &&
           whole_.opcode != Opcode::kGemm;
  }
  int64_t RowSize(size_t i) const { return whole_.operands[i].size / plan_.count; }
  int64_t PartSize(size_t i, int64_t rows) const {
    return plan_.share[i] == Share::kRows ? RowSize(i) * rows : whole_.operands[i].size;
  }
  size_t twin(size_t i) const { return at_[i]; }
  size_t addend(size_t i) const { return addend_[i]; }

  // The instruction for so many rows, without memory.
  Instruction Part(int64_t rows) const {
    Instruction part = whole_;
    if (plan_.attribute >= 0)
      part.attributes[static_cast<size_t>(plan_.attribute)] = static_cast<int32_t>(rows);
    for (size_t i = 0; i < count(); ++i) {
      Operand& operand = part.operands[i];
      if (!operand.present) continue;
      if (IsWide(i)) operand.dtype = DType::kFloat32;
      operand.rank = 1;
      operand.dims[0] = operand.size = PartSize(i, rows);
    }
    return part;
  }

 private:
  const Instruction& whole_;
  const WidenPlan plan_;
  int64_t rows_ = 1;
  size_t bytes_ = 0;
  size_t at_[WidenPlan::kMostOperands] = {};
  size_t addend_[WidenPlan::kMostOperands] = {};
};

class Runner {
 public:
  Runner(const Call& call, const KernelTable& table, const Parts& parts)
      : call_(call), table_(table), parts_(parts) {
    copy_.opcode = Opcode::kCopy;
    copy_.operands.resize(2);
    copy_.attributes = {1, 0, 0, 0, 1, 1};
  }

  void Run() {
    const int64_t count = parts_.plan().count;
    for (size_t i = parts_.plan().outputs; i < parts_.count(); ++i) {
      if (parts_.IsWide(i) && parts_.plan().share[i] != Share::kRows) Bring(i, 0, 1);
    }
    Instruction part = parts_.Part(parts_.rows());
    for (int64_t begin = 0; begin < count; begin += parts_.rows()) {
      const int64_t rows = std::min(parts_.rows(), count - begin);
      if (rows < parts_.rows()) part = parts_.Part(rows);
      RunPart(part, begin, rows);
    }
    for (size_t i = 0; i < parts_.plan().outputs; ++i) {
      if (parts_.IsWide(i) && parts_.plan().share[i] != Share::kRows) TakeBack(i, 0, 1);
    }
  }

 private:
  std::byte* Twin(size_t i) const { return call_.scratch + parts_.twin(i); }
  // Where rows of an operand begin.
  std::byte* RowsOf(size_t i, int64_t begin) const {
    const Operand& operand = call_.operand(i);
    const int64_t first = parts_.plan().share[i] == Share::kRows ? begin * parts_.RowSize(i) : 0;
    return operand.data + first * SizeOf(operand.dtype);
  }

  void RunPart(Instruction& part, int64_t begin, int64_t rows) {
    const WidenPlan& plan = parts_.plan();
    for (size_t i = 0; i < parts_.count(); ++i) {
      Operand& operand = part.operands[i];
      if (!operand.present) continue;
      operand.data = parts_.IsWide(i) ? Twin(i) : RowsOf(i, begin);
      if (i < plan.outputs && begin > 0 && parts_.Adds(i)) operand.data = call_.scratch + parts_.addend(i);
      const bool rowsOfInput = i >= plan.outputs && parts_.IsWide(i) && plan.share[i] == Share::kRows;
      if (!rowsOfInput) continue;
      // Queries, keys and values may be one memory.
      size_t same = plan.outputs;
      while (same < i && !(parts_.IsWide(same) && plan.share[same] == Share::kRows &&
                           call_.operand(same).data == call_.operand(i).data &&
                           call_.operand(same).dtype == call_.operand(i).dtype &&
                           call_.operand(same).size == call_.operand(i).size)) {
        ++same;
      }
      if (same < i) {
        operand.data = Twin(same);
      } else {
        Bring(i, begin, rows);
      }
    }
    if (part.opcode == Opcode::kGemm && plan.share[0] == Share::kSum && begin > 0) part.attributes[10] = 1;
    table_.run[static_cast<size_t>(part.opcode)](
        Call{part, call_.scratch + parts_.bytes(), call_.pool, call_.fault});
    for (size_t i = 0; i < plan.outputs; ++i) {
      if (!part.operands[i].present) continue;
      if (begin > 0 && parts_.Adds(i)) Add(i);
      if (parts_.IsWide(i) && plan.share[i] == Share::kRows) TakeBack(i, begin, rows);
    }
  }

  void Add(size_t i) const {
    const Operand& whole = call_.operand(i);
    float* to = reinterpret_cast<float*>(parts_.IsWide(i) ? Twin(i) : whole.data);
    const float* from = reinterpret_cast<const float*>(call_.scratch + parts_.addend(i));
    for (int64_t e = 0; e < whole.size; ++e) to[e] += from[e];
  }

  void Bring(size_t i, int64_t begin, int64_t rows) {
    Copy(DType::kFloat32, Twin(i), call_.operand(i).dtype, RowsOf(i, begin), parts_.PartSize(i, rows));
  }
  void TakeBack(size_t i, int64_t begin, int64_t rows) {
    Copy(call_.operand(i).dtype, RowsOf(i, begin), DType::kFloat32, Twin(i), parts_.PartSize(i, rows));
  }

  void Copy(DType to, std::byte* out, DType from, std::byte* in, int64_t size) {
    const auto set = [size](Operand& operand, DType dtype, std::byte* data) {
      operand.present = true;
      operand.dtype = dtype;
      operand.data = data;
      operand.rank = 1;
      operand.dims[0] = operand.size = size;
    };
    set(copy_.operands[0], to, out);
    set(copy_.operands[1], from, in);
    copy_.attributes[3] = static_cast<int32_t>(size);
    table_.run[static_cast<size_t>(Opcode::kCopy)](Call{copy_, nullptr, call_.pool, call_.fault});
  }

  const Call& call_;
  const KernelTable& table_;
  const Parts& parts_;
  Instruction copy_;
};

}  // namespace

size_t ScratchWidened(const Instruction& instruction, int threads) {
  const Parts parts(instruction);
  const ScratchFn own = kScratch[static_cast<size_t>(instruction.opcode)];
  size_t most = own(parts.Part(parts.rows()), threads);
  const int64_t rest = parts.plan().count % parts.rows();
  if (rest > 0) most = std::max(most, own(parts.Part(rest), threads));
  const size_t widened = parts.bytes() + most;
  return TakesAmx(instruction) ? std::max(widened, ScratchAmx(instruction, threads)) : widened;
}

void RunWidened(const Call& call, const KernelTable& table) {
  // Tiles belong to the widest instruction set: who asks for another one gets that.
  if (std::strcmp(table.name, "avx3") == 0 && TakesAmx(call.instruction)) return RunAmx(call);
  const Parts parts(call.instruction);
  Runner(call, table, parts).Run();
}

}  // namespace nabla
