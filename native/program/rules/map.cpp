// The rule of the map kernel: what its operands and micro-operations must satisfy before any backend runs
// them.
#include <string>

#include "program/micro.h"
#include "program/program.h"

namespace nabla {
namespace {

constexpr int kStateWords = 3;  // key (low, high) and step of a random state input

char RegisterType(DType dtype) { return IsFloating(dtype) ? 'f' : 'i'; }

// NumPy's rule, one way: every dimension of the input, counted from the right, is 1 or the output's.
bool BroadcastsTo(const Operand& input, const Operand& out) {
  if (input.rank > out.rank) return false;
  for (int32_t i = 1; i <= input.rank; i++) {
    const int64_t have = input.dims[input.rank - i];
    if (have != 1 && have != out.dims[out.rank - i]) return false;
  }
  return true;
}

std::string At(int micro, const MicroInfo& info) {
  return "micro-operation " + std::to_string(micro) + " (" + info.name + "): ";
}

// How an input is used: a random state is read as a whole, anything else element by element.
enum class Use : uint8_t { kNone, kElements, kState };

// Checks one micro-operation whose result will be register `defined`, and notes how it uses the inputs.
std::string CheckMicro(const Instruction& instruction, int micro, int inputs, const char* types, Use* uses) {
  const int32_t* words = &instruction.attributes[static_cast<size_t>(micro) * kMicroWords];
  if (words[0] < 0 || words[0] >= static_cast<int32_t>(Micro::kCount)) {
    return "micro-operation " + std::to_string(micro) + ": unknown operation " + std::to_string(words[0]);
  }
  const MicroInfo& info = kMicros[words[0]];
  const int defined = inputs + micro;
  for (int i = 0; i < kMicroWords - 1; i++) {
    const int32_t word = words[1 + i];
    const std::string what = "operand " + std::to_string(i) + " is " + std::to_string(word);
    if (i >= info.arity) {
      if (word != 0) return At(micro, info) + what + ", expected 0 because it is not used";
      continue;
    }
    const char type = info.operands[i];
    if (type == '#') continue;
    const int limit = type == '@' ? inputs : defined;
    if (word < 0 || word >= limit) {
      return At(micro, info) + what + ", expected a number from 0 to " + std::to_string(limit - 1);
    }
    if (type != '@' && types[word] != type) {
      return At(micro, info) + what + ", a register of type " + types[word] + ", expected type " + type;
    }
    if (word >= inputs) continue;
    const Use use = type == '@' ? Use::kState : Use::kElements;
    if (uses[word] != Use::kNone && uses[word] != use) {
      return At(micro, info) + what + ", an input used both as a random state and by element";
    }
    uses[word] = use;
  }
  return "";
}

}  // namespace

std::string CheckMap(const Instruction& instruction) {
  const int count = static_cast<int>(instruction.operands.size());
  if (count < 1 || count > 1 + kMaxMapInputs) {
    return "has " + std::to_string(count) + " operands, expected an output and at most " +
           std::to_string(kMaxMapInputs) + " inputs";
  }
  const size_t words = instruction.attributes.size();
  if (words == 0 || words % kMicroWords != 0 || words > static_cast<size_t>(kMaxMicro) * kMicroWords) {
    return "has " + std::to_string(words) + " words of micro-operations, expected " +
           std::to_string(kMicroWords) + " for each of 1 to " + std::to_string(kMaxMicro);
  }
  const int inputs = count - 1;
  const int micros = static_cast<int>(words / kMicroWords);
  char types[kMaxMapInputs + kMaxMicro] = {};
  Use uses[kMaxMapInputs] = {};
  for (int i = 0; i < count; i++) {
    if (!instruction.operands[static_cast<size_t>(i)].present)
      return "operand " + std::to_string(i) + " is absent";
  }
  for (int i = 0; i < inputs; i++)
    types[i] = RegisterType(instruction.operands[static_cast<size_t>(i) + 1].dtype);
  for (int m = 0; m < micros; m++) {
    const std::string problem = CheckMicro(instruction, m, inputs, types, uses);
    if (!problem.empty()) return problem;
    types[inputs + m] = kMicros[instruction.attributes[static_cast<size_t>(m) * kMicroWords]].result;
  }

  const Operand& out = instruction.operands[0];
  const char last = types[inputs + micros - 1];
  if (last != RegisterType(out.dtype)) {
    return std::string("the last micro-operation gives type ") + last + ", expected " +
           RegisterType(out.dtype) + " for the output's dtype";
  }
  for (int i = 0; i < inputs; i++) {
    const Operand& input = instruction.operands[static_cast<size_t>(i) + 1];
    if (uses[i] == Use::kState) {
      if (input.dtype != DType::kInt32 || input.size < kStateWords) {
        return "input " + std::to_string(i) + " is a random state, expected int32 with at least " +
               std::to_string(kStateWords) + " elements";
      }
    } else if (!BroadcastsTo(input, out)) {
      return "input " + std::to_string(i) + " does not broadcast to the output's shape";
    }
  }
  return "";
}

}  // namespace nabla
