// Decodes and checks program words that may come from anywhere: after this a program cannot leave the memory
// bound to it.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "program/program.h"
#include "program/widen.h"

namespace nabla {
namespace {

constexpr size_t kHeaderWords = 8;
// Byte counts are numbers in JavaScript, which are exact up to here.
constexpr int64_t kMostBytes = int64_t{1} << 53;

// One line of the kernel list, as text.
struct Signature {
  const char* name;
  std::string_view operands;
  std::string_view attributes;
  std::string (*check)(const Instruction&);
};

constexpr Signature kSignatures[] = {
#define NABLA_KERNEL(name, Name, operands, attributes) {#name, operands, attributes, Check##Name},
#include "program/kernels.def"
#undef NABLA_KERNEL
};

// How many words of a list are required, how many are named, and whether the last one repeats.
struct Arity {
  size_t required = 0;
  size_t named = 0;
  bool repeats = false;
};

struct OperandName {
  std::string_view name;
  bool optional = false;
};

// The i-th name of a list such as "out= a b bias?", without its marks.
OperandName NameAt(std::string_view list, size_t index) {
  OperandName result;
  size_t begin = 0;
  for (size_t i = 0; begin < list.size(); i++) {
    const size_t end = std::min(list.find(' ', begin), list.size());
    std::string_view word = list.substr(begin, end - begin);
    // Beyond the end the last name repeats.
    if (i == index || end == list.size()) {
      result.optional = word.find_first_of("?*") != std::string_view::npos;
      result.name = word.substr(0, word.find_first_of("=?*:"));
      return result;
    }
    begin = end + 1;
  }
  return result;
}

Arity ArityOf(std::string_view list) {
  Arity arity;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(' ', begin), list.size());
    const std::string_view word = list.substr(begin, end - begin);
    if (word.find('*') != std::string_view::npos) {
      arity.repeats = true;
    } else {
      arity.named++;
      // An operand in the middle may be absent too, but its place is there.
      if (word.find('?') == std::string_view::npos) arity.required = arity.named;
    }
    begin = end + 1;
  }
  return arity;
}

std::string Expected(size_t least, size_t most, bool open) {
  if (open) return "at least " + std::to_string(least);
  if (least == most) return std::to_string(least);
  return std::to_string(least) + " to " + std::to_string(most);
}

class Decoder {
 public:
  Decoder(const int32_t* words, size_t count, Program& program)
      : words_(words), count_(count), program_(program) {}

  std::string Decode() {
    std::string error = Header();
    if (error.empty()) error = Slots();
    if (error.empty()) error = Operands();
    if (error.empty()) error = Code();
    return error;
  }

 private:
  struct PlacedOperand {
    Operand operand;
    int32_t slot;
    int64_t offset;
  };

  static std::string Wrong(const std::string& what, int64_t got, const std::string& expected) {
    return what + ", got " + std::to_string(got) + ", expected " + expected;
  }

  size_t left() const { return count_ - at_; }
  int32_t Next() { return words_[at_++]; }
  int64_t NextLong() {
    const uint64_t lo = static_cast<uint32_t>(Next());
    const uint64_t hi = static_cast<uint32_t>(Next());
    return static_cast<int64_t>(hi << 32 | lo);
  }

  std::string Header() {
    if (count_ < kHeaderWords)
      return Wrong("words of the program", static_cast<int64_t>(count_), "at least 8");
    const int32_t magic = Next();
    if (magic != kProgramMagic)
      return Wrong("first word", magic, std::to_string(kProgramMagic) + " (\"NBLA\")");
    const int32_t version = Next();
    if (version != kProgramVersion) {
      return Wrong("program version", version, std::to_string(kProgramVersion)) +
             "; addon and library differ: reinstall";
    }
    // Every slot, operand and instruction takes at least two words, so a larger count is wrong and must not
    // be reserved for.
    const int64_t most = static_cast<int64_t>(count_ / 2);
    int32_t* const counts[] = {&slots_, &operandCount_, &instructions_};
    const char* const names[] = {"number of slots", "number of operands", "number of instructions"};
    for (size_t i = 0; i < 3; i++) {
      *counts[i] = Next();
      if (*counts[i] < 0 || *counts[i] > most)
        return Wrong(names[i], *counts[i], "0 to " + std::to_string(most));
    }
    if (slots_ < 1) return Wrong("number of slots", slots_, "at least 1 (the workspace)");
    codeWords_ = Next();
    if (codeWords_ < 0) return Wrong("number of code words", codeWords_, "0 or more");
    workspace_ = NextLong();
    return {};
  }

  std::string Slots() {
    if (left() / 2 < static_cast<size_t>(slots_)) return "words end inside the slots";
    program_.slotBytes.reserve(static_cast<size_t>(slots_));
    for (int32_t i = 0; i < slots_; i++) {
      const int64_t bytes = NextLong();
      if (bytes < 0 || bytes > kMostBytes)
        return Wrong("bytes of slot " + std::to_string(i), bytes, "0 to 2^53");
      program_.slotBytes.push_back(bytes);
    }
    if (workspace_ != program_.slotBytes[0]) {
      return Wrong("bytes of the workspace", workspace_,
                   "those of slot 0, " + std::to_string(program_.slotBytes[0]));
    }
    return {};
  }

  std::string Operands() {
    operands_.reserve(static_cast<size_t>(operandCount_));
    for (int32_t i = 0; i < operandCount_; i++) {
      const std::string error = ReadOperand();
      if (!error.empty()) return "operand " + std::to_string(i) + ": " + error;
    }
    return {};
  }

  std::string ReadOperand() {
    if (left() < 5) return "words end inside it";
    PlacedOperand placed{};
    placed.slot = Next();
    placed.offset = NextLong();
    const int32_t dtype = Next();
    const int32_t rank = Next();
    if (placed.slot < 0 || placed.slot >= slots_)
      return Wrong("slot", placed.slot, "0 to " + std::to_string(slots_ - 1));
    if (dtype < 0 || dtype > static_cast<int32_t>(DType::kFloat16)) return Wrong("dtype", dtype, "0 to 5");
    if (rank < 0 || rank > kMaxRank) return Wrong("rank", rank, "0 to " + std::to_string(kMaxRank));
    if (left() < static_cast<size_t>(rank)) return "words end inside it";
    Operand& operand = placed.operand;
    operand.dtype = static_cast<DType>(dtype);
    operand.rank = rank;
    operand.present = true;
    // Zeros are left out of the extent, so that a product of some of the dimensions never overflows either.
    int64_t extent = 1;
    bool empty = false;
    for (int32_t d = 0; d < rank; d++) {
      const int32_t dim = Next();
      if (dim < 0) return Wrong("dimension " + std::to_string(d), dim, "0 or more");
      operand.dims[d] = dim;
      empty = empty || dim == 0;
      if (dim != 0 && (__builtin_mul_overflow(extent, int64_t{dim}, &extent) || extent > kMostBytes / 4)) {
        return "more elements than can be counted";
      }
    }
    operand.size = empty ? 0 : extent;
    const int64_t slotBytes = program_.slotBytes[static_cast<size_t>(placed.slot)];
    if (placed.offset < 0 || placed.offset > slotBytes) {
      return Wrong("byte offset", placed.offset, "0 to " + std::to_string(slotBytes));
    }
    if (placed.offset % SizeOf(operand.dtype) != 0) {
      return Wrong("byte offset", placed.offset, "a multiple of " + std::to_string(SizeOf(operand.dtype)));
    }
    if (operand.bytes() > slotBytes - placed.offset) {
      return Wrong("end in slot " + std::to_string(placed.slot), placed.offset + operand.bytes(),
                   "at most " + std::to_string(slotBytes));
    }
    operands_.push_back(placed);
    return {};
  }

  std::string Code() {
    if (left() != static_cast<size_t>(codeWords_)) {
      return Wrong("number of code words", codeWords_, std::to_string(left()) + " as follow the operands");
    }
    program_.code.reserve(static_cast<size_t>(instructions_));
    for (int32_t i = 0; i < instructions_; i++) {
      std::string error = ReadInstruction(i);
      if (!error.empty()) return error;
    }
    if (left() != 0) return Wrong("words after the last instruction", static_cast<int64_t>(left()), "0");
    return {};
  }

  std::string ReadInstruction(int32_t index) {
    std::string where = "instruction " + std::to_string(index);
    if (left() < 3) return where + ": words end inside it";
    const size_t begin = at_;
    const int32_t opcode = Next();
    constexpr int32_t kOpcodes = static_cast<int32_t>(Opcode::kCount);
    if (opcode < 0 || opcode >= kOpcodes) {
      return where + ": " + Wrong("opcode", opcode, "0 to " + std::to_string(kOpcodes - 1));
    }
    const Signature& signature = kSignatures[opcode];
    where += std::string(" (") + signature.name + "): ";
    const int32_t words = Next();
    const int32_t operands = Next();
    if (words < 3 || static_cast<size_t>(words) > count_ - begin) {
      return where + Wrong("words of the instruction", words, "3 to " + std::to_string(count_ - begin));
    }
    const Arity arity = ArityOf(signature.operands);
    if (operands < 0 || operands > words - 3 || static_cast<size_t>(operands) < arity.required ||
        (!arity.repeats && static_cast<size_t>(operands) > arity.named)) {
      return where + Wrong("operands", operands, Expected(arity.required, arity.named, arity.repeats));
    }
    program_.code.emplace_back();
    Instruction& instruction = program_.code.back();
    instruction.opcode = static_cast<Opcode>(opcode);
    const size_t places = std::max(static_cast<size_t>(operands), arity.named);
    instruction.operands.resize(places);
    instruction.slots.assign(places, -1);
    instruction.offsets.assign(places, 0);
    for (size_t i = 0; i < static_cast<size_t>(operands); i++) {
      const int32_t id = Next();
      const OperandName name = NameAt(signature.operands, i);
      const bool absentAllowed = name.optional && i < arity.named;
      if (id == -1 && absentAllowed) continue;
      if (id < 0 || id >= operandCount_) {
        return where +
               Wrong("operand " + std::string(name.name), id,
                     "0 to " + std::to_string(operandCount_ - 1) + (absentAllowed ? " or -1 (absent)" : ""));
      }
      const PlacedOperand& placed = operands_[static_cast<size_t>(id)];
      instruction.operands[i] = placed.operand;
      instruction.slots[i] = placed.slot;
      instruction.offsets[i] = placed.offset;
    }
    const Arity attributes = ArityOf(signature.attributes);
    const size_t attributeWords = static_cast<size_t>(words - 3 - operands);
    if (attributeWords < attributes.named || (!attributes.repeats && attributeWords > attributes.named)) {
      return where + Wrong("attribute words", static_cast<int64_t>(attributeWords),
                           Expected(attributes.named, attributes.named, attributes.repeats));
    }
    instruction.attributes.assign(words_ + at_, words_ + at_ + attributeWords);
    at_ += attributeWords;
    instruction.widened = NeedsWidening(instruction);
    const std::string refused =
        instruction.widened ? CheckWidened(instruction, signature.check) : signature.check(instruction);
    return refused.empty() ? std::string() : where + refused;
  }

  const int32_t* words_;
  size_t count_;
  Program& program_;
  size_t at_ = 0;
  int32_t slots_ = 0, operandCount_ = 0, instructions_ = 0, codeWords_ = 0;
  int64_t workspace_ = 0;
  std::vector<PlacedOperand> operands_;
};

}  // namespace

std::string DecodeProgram(const int32_t* words, size_t count, Program& program) {
  program = Program();
  std::string error = Decoder(words, count, program).Decode();
  if (!error.empty()) program = Program();
  return error;
}

}  // namespace nabla
