// Runs one instruction on every instruction set and compares with the reference: values, faults, and the
// memory around operands.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cpu/table.h"

namespace nabla {

struct Counts {
  int passed = 0, failed = 0;
  void Expect(bool good, const std::string& what) {
    good ? ++passed : ++failed;
    if (!good) std::printf("failed: %s\n", what.c_str());
  }
  // Prints the last line of a test program; its exit code.
  int Finish(const char* file) const {
    std::printf("%s: %d passed, %d failed\n", file, passed, failed);
    return failed == 0 ? 0 : 1;
  }
};

inline int32_t Bits(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline std::vector<float> Floats(std::mt19937& random, int64_t count, float low = -3, float high = 3) {
  std::uniform_real_distribution<float> draw(low, high);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = draw(random);
  return values;
}

template <class T>
std::vector<T> Integers(std::mt19937& random, int64_t count, int64_t low, int64_t high) {
  std::uniform_int_distribution<int64_t> draw(low, high);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = static_cast<T>(draw(random));
  return values;
}

// An instruction with the contents of its operands.
class KernelCase {
 public:
  KernelCase(Opcode opcode, std::string name) : name_(std::move(name)) { instruction_.opcode = opcode; }

  KernelCase& Attributes(std::vector<int32_t> attributes) {
    instruction_.attributes = std::move(attributes);
    return *this;
  }
  // A float result may differ by relative * |result| + absolute.
  KernelCase& Tolerance(double relative, double absolute) {
    relative_ = relative;
    absolute_ = absolute;
    return *this;
  }
  template <class T>
  KernelCase& Operands(DType dtype, const std::vector<T>& values) {
    Operand operand;
    operand.present = true;
    operand.dtype = dtype;
    operand.rank = 1;
    operand.dims[0] = operand.size = static_cast<int64_t>(values.size());
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return Add(operand, std::move(bytes));
  }
  KernelCase& Float(const std::vector<float>& values) { return Operands(DType::kFloat32, values); }
  KernelCase& Int(const std::vector<int32_t>& values) { return Operands(DType::kInt32, values); }
  KernelCase& Byte(const std::vector<uint8_t>& values) { return Operands(DType::kUint8, values); }
  KernelCase& Bool(const std::vector<uint8_t>& values) { return Operands(DType::kBool, values); }
  KernelCase& Absent() { return Add(Operand(), {}); }
  // The next operand is this one's memory.
  KernelCase& SameAs(size_t operand) {
    Add(instruction_.operands[operand], {});
    same_.back() = static_cast<int>(operand);
    return *this;
  }

  const Instruction& instruction() const { return instruction_; }
  // What the operands hold before the instruction runs.
  const std::vector<std::vector<std::byte>>& contents() const { return contents_; }

  std::string Check() const {
    switch (instruction_.opcode) {
#define NABLA_KERNEL(name, Name, operands, attributes) \
  case Opcode::k##Name:                                \
    return Check##Name(instruction_);
#include "program/kernels.def"
#undef NABLA_KERNEL
      case Opcode::kCount:
        break;
    }
    return "no such kernel";
  }

  // Compares every table with the reference, with 1 and 2 threads, aligned and not.
  void Compare(Counts& counts) const {
    const std::string refused = Check();
    if (!refused.empty()) return counts.Expect(false, name_ + ": refused: " + refused);
    const Result wanted = Run(*FindKernelTable("reference"), 1, 0);
    for (const KernelTable* table : UsableKernelTables()) {
      if (std::strcmp(table->name, "reference") == 0) continue;
      for (int threads = 1; threads <= 2; ++threads) {
        for (size_t shift : {0, 1, 3}) {
          const Result got = Run(*table, threads, shift);
          const std::string wrong = Difference(wanted, got);
          counts.Expect(wrong.empty(), name_ + " on " + table->name + ", " + std::to_string(threads) +
                                           " threads, shift " + std::to_string(shift) + ": " + wrong);
        }
      }
    }
  }

  struct Result {
    std::vector<std::vector<std::byte>> contents;
    Fault fault;
    bool guards = true;
  };

  // shift: elements by which operands miss 64-byte alignment.
  Result Run(const KernelTable& table, int threads, size_t shift) const {
    constexpr size_t kGuard = 64;
    Instruction instruction = instruction_;
    std::vector<std::vector<std::byte>> memory;
    std::vector<size_t> starts;
    for (size_t i = 0; i < contents_.size(); ++i) {
      Operand& operand = instruction.operands[i];
      // Under AddressSanitizer the operand ends where its memory ends, so that reads beyond it are seen as
      // well.
#if defined(__SANITIZE_ADDRESS__)
      constexpr size_t kBehind = 0;
#else
      constexpr size_t kBehind = kGuard;
#endif
      const size_t bytes = contents_[i].size();
      const size_t off = kGuard + shift * static_cast<size_t>(SizeOf(operand.dtype));
      memory.emplace_back(off + bytes + kBehind, std::byte{0xa5});
      if (bytes > 0) std::memcpy(memory[i].data() + off, contents_[i].data(), bytes);
      operand.data = operand.present ? memory[i].data() + off : nullptr;
      starts.push_back(off);
      if (same_[i] >= 0) operand.data = instruction.operands[static_cast<size_t>(same_[i])].data;
    }
    Result result;
    ThreadPool pool(threads);
    size_t scratchBytes = 0;
    switch (instruction.opcode) {
#define NABLA_KERNEL(name, Name, operands, attributes)  \
  case Opcode::k##Name:                                 \
    scratchBytes = Scratch##Name(instruction, threads); \
    break;
#include "program/kernels.def"
#undef NABLA_KERNEL
      case Opcode::kCount:
        break;
    }
    std::vector<std::byte> scratch(scratchBytes + 64);
    const size_t aligned = (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
    table.run[static_cast<size_t>(instruction.opcode)](
        Call{instruction, scratch.data() + aligned, pool, result.fault});
    for (size_t i = 0; i < memory.size(); ++i) {
      const auto begin = memory[i].begin() + static_cast<std::ptrdiff_t>(starts[i]);
      const auto end = begin + static_cast<std::ptrdiff_t>(contents_[i].size());
      for (auto at = memory[i].begin(); at != begin; ++at)
        result.guards = result.guards && *at == std::byte{0xa5};
      for (auto at = end; at != memory[i].end(); ++at)
        result.guards = result.guards && *at == std::byte{0xa5};
      result.contents.emplace_back(begin, end);
    }
    return result;
  }

 private:
  KernelCase& Add(const Operand& operand, std::vector<std::byte> bytes) {
    instruction_.operands.push_back(operand);
    contents_.push_back(std::move(bytes));
    same_.push_back(-1);
    return *this;
  }

  std::string Difference(const Result& wanted, const Result& got) const {
    if (!got.guards) return "wrote outside an operand";
    if (wanted.fault.code != got.fault.code || wanted.fault.value != got.fault.value ||
        wanted.fault.limit != got.fault.limit) {
      return "another fault";
    }
    if (wanted.fault.code != FaultCode::kNone) return {};
    for (size_t i = 0; i < contents_.size(); ++i) {
      const bool isFloat = instruction_.operands[i].dtype == DType::kFloat32 && relative_ >= 0;
      const size_t step = isFloat ? sizeof(float) : 1;
      for (size_t at = 0; at < contents_[i].size(); at += step) {
        if (isFloat) {
          float a, b;
          std::memcpy(&a, wanted.contents[i].data() + at, sizeof a);
          std::memcpy(&b, got.contents[i].data() + at, sizeof b);
          if (Near(a, b)) continue;
          return "operand " + std::to_string(i) + "[" + std::to_string(at / 4) + "] is " + std::to_string(b) +
                 ", not " + std::to_string(a) + ", off by " + std::to_string(1e6 * (b - a)) + "e-6";
        }
        if (wanted.contents[i][at] != got.contents[i][at]) {
          return "operand " + std::to_string(i) + " differs at byte " + std::to_string(at);
        }
      }
    }
    return {};
  }

  bool Near(float a, float b) const {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    if (std::isinf(a) || std::isinf(b)) return a == b;
    return std::abs(double{a} - b) <= absolute_ + relative_ * std::abs(double{a});
  }

  std::string name_;
  Instruction instruction_;
  std::vector<std::vector<std::byte>> contents_;
  std::vector<int> same_;
  double relative_ = 1e-6, absolute_ = 1e-7;  // relative below 0: equal to the bit
};

}  // namespace nabla
