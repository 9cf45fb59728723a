// Compares the matrix product of every instruction set this machine has with the reference; a program of its
// own.
#include "cpu/targets.h"
#include "hwy/detect_targets.h"
// Targets first: the sets of instructions are fixed before anything of Highway is read.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/kernel.h"

namespace nabla {
#define NABLA_DECLARE(set)        \
  namespace set {                 \
  void RunGemm(const Call& call); \
  }
#if HWY_TARGETS & HWY_SCALAR
NABLA_DECLARE(N_SCALAR)
#endif
#if HWY_TARGETS & HWY_SSE4
NABLA_DECLARE(N_SSE4)
#endif
#if HWY_TARGETS & HWY_AVX2
NABLA_DECLARE(N_AVX2)
#endif
#if HWY_TARGETS & HWY_AVX3
NABLA_DECLARE(N_AVX3)
#endif
#if HWY_TARGETS & HWY_NEON
NABLA_DECLARE(N_NEON)
#endif
#if HWY_TARGETS & HWY_WASM
NABLA_DECLARE(N_WASM)
#endif
NABLA_DECLARE(ref)
#undef NABLA_DECLARE

namespace {

struct Set {
  const char* name;
  RunFn run;
};

std::vector<Set> Sets() {
  std::vector<Set> sets;
#if HWY_TARGETS & HWY_SCALAR
  sets.push_back({"scalar", &N_SCALAR::RunGemm});
#endif
#if HWY_TARGETS & HWY_SSE4
  if (__builtin_cpu_supports("sse4.2")) sets.push_back({"sse4", &N_SSE4::RunGemm});
#endif
#if HWY_TARGETS & HWY_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    sets.push_back({"avx2", &N_AVX2::RunGemm});
#endif
#if HWY_TARGETS & HWY_AVX3
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    sets.push_back({"avx3", &N_AVX3::RunGemm});
  }
#endif
#if HWY_TARGETS & HWY_NEON
  sets.push_back({"neon", &N_NEON::RunGemm});
#endif
#if HWY_TARGETS & HWY_WASM
  sets.push_back({"wasm", &N_WASM::RunGemm});
#endif
  return sets;
}

int passed = 0, failed = 0;

void Expect(bool good, const char* set, const char* what) {
  good ? passed++ : failed++;
  if (!good && failed <= 20) std::printf("FAILED %s: %s\n", set, what);
}

struct Case {
  int32_t batch = 1, m = 1, n = 1, k = 1, transA = 0, transB = 0;
  int32_t gapA = 0, gapB = 0, gapOut = 0;  // elements between matrices; -1: stride 0
  bool bias = false;
  Activation activation = Activation::kNone;
  int32_t accumulate = 0;
  float alpha = 1;
};

float Random() {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
}

constexpr float kGuard = 12345.0f;

// A block of numbers with guards around it that begins `shift` elements off a cache line. What follows the
// last number is as near as the allocation allows, so that AddressSanitizer sees a read past it.
struct Numbers {
  std::vector<float> values;
  size_t begin, size;
  Numbers(size_t count, size_t shift) : values(count + 16 + shift, kGuard), begin(16 + shift), size(count) {
    for (size_t i = 0; i < count; i++) values[begin + i] = Random();
  }
  float* data() { return values.data() + begin; }
};

Operand MakeOperand(float* data, size_t size) {
  Operand operand;
  operand.data = reinterpret_cast<std::byte*>(data);
  operand.rank = 1;
  operand.dims[0] = operand.size = static_cast<int64_t>(size);
  operand.present = true;
  return operand;
}

Instruction MakeInstruction(const Case& c) {
  const auto stride = [](int32_t gap, int32_t size) { return gap < 0 ? 0 : size + gap; };
  Instruction instruction;
  instruction.opcode = Opcode::kGemm;
  int32_t alpha;
  std::memcpy(&alpha, &c.alpha, sizeof alpha);
  instruction.attributes = {c.batch,
                            c.m,
                            c.n,
                            c.k,
                            c.transA,
                            c.transB,
                            stride(c.gapA, c.m * c.k),
                            stride(c.gapB, c.k * c.n),
                            stride(c.gapOut, c.m * c.n),
                            static_cast<int32_t>(c.activation),
                            c.accumulate,
                            alpha};
  return instruction;
}

size_t SizeOfAll(int64_t batch, int64_t stride, int64_t each) {
  return batch == 0 || each == 0 ? 0 : static_cast<size_t>((batch - 1) * stride + each);
}

void RunCase(const Case& c, const std::vector<Set>& sets, ThreadPool& one, ThreadPool& two) {
  Instruction instruction = MakeInstruction(c);
  const size_t shift = static_cast<size_t>(passed % 5);
  Numbers a(SizeOfAll(c.batch, instruction.attr(6), int64_t{c.m} * c.k), shift);
  Numbers b(SizeOfAll(c.batch, instruction.attr(7), int64_t{c.k} * c.n), shift * 3 % 7);
  Numbers bias(static_cast<size_t>(c.n), 1);
  Numbers out(SizeOfAll(c.batch, instruction.attr(8), int64_t{c.m} * c.n), shift * 2 % 5);
  const std::vector<float> before = out.values;
  instruction.operands = {MakeOperand(out.data(), out.size), MakeOperand(a.data(), a.size),
                          MakeOperand(b.data(), b.size),
                          c.bias ? MakeOperand(bias.data(), bias.size) : Operand{}};
  char what[256];
  std::snprintf(what, sizeof what,
                "batch %d m %d n %d k %d trans %d%d strides %d %d %d bias %d act %d accumulate %d alpha %g",
                c.batch, c.m, c.n, c.k, c.transA, c.transB, instruction.attr(6), instruction.attr(7),
                instruction.attr(8), c.bias, static_cast<int>(c.activation), c.accumulate,
                static_cast<double>(c.alpha));
  Expect(CheckGemm(instruction).empty(), "rule", what);

  // Exactly what the kernel asked for, so that AddressSanitizer sees a write past it; filled with NaN as
  // stale memory may be.
  instruction.scratchBytes = ScratchGemm(instruction, 2);
  auto* scratch = static_cast<std::byte*>(std::aligned_alloc(64, (instruction.scratchBytes + 63) / 64 * 64));
  for (size_t i = 0; i < instruction.scratchBytes; i++) scratch[i] = std::byte{0xff};
  Fault fault;
  const Call call{instruction, scratch, one, fault};
  const Call callTwo{instruction, scratch, two, fault};
  ref::RunGemm(call);
  const std::vector<float> expected = out.values;
  const double bound =
      2e-6 * std::sqrt(static_cast<double>(c.k) + 1) * (1 + std::fabs(static_cast<double>(c.alpha))) + 2e-6;
  for (const Set& set : sets) {
    out.values = before;
    set.run(call);
    const std::vector<float> got = out.values;
    bool near = true;
    for (size_t i = 0; i < got.size(); i++) {
      const bool inside = i >= out.begin && i < out.begin + out.size;
      near = near && (inside ? std::fabs(double{got[i]} - double{expected[i]}) <= bound : got[i] == kGuard);
    }
    Expect(near, set.name, what);
    out.values = before;
    set.run(callTwo);
    Expect(std::memcmp(out.values.data(), got.data(), got.size() * sizeof(float)) == 0, set.name,
           "2 threads differ from 1");
  }
  std::free(scratch);
}

void Sizes(const std::vector<Set>& sets, ThreadPool& one, ThreadPool& two) {
  const int32_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 15, 16, 17, 28, 31, 33, 65};
  int turn = 0;
  for (int32_t m : sizes) {
    for (int32_t n : sizes) {
      for (int32_t k : {1, 2, 3, 6, 17, 64}) {
        Case c;
        c.m = m, c.n = n, c.k = k;
        c.transA = turn & 1, c.transB = turn >> 1 & 1;
        c.bias = turn % 3 == 0;
        c.activation = static_cast<Activation>(turn % 4);
        if (turn % 7 == 0) c.accumulate = 1, c.bias = false, c.activation = Activation::kNone;
        if (turn % 5 == 0) c.alpha = 0.37f;
        turn += turn % 24 == 0 ? 2 : 1;
        RunCase(c, sets, one, two);
      }
    }
  }
}

void Shapes(const std::vector<Set>& sets, ThreadPool& one, ThreadPool& two) {
  const int32_t shapes[][3] = {
      {32, 128, 784}, {32, 10, 128},   {784, 128, 32}, {32, 784, 128}, {1, 128, 784},  {2, 300, 50},
      {3, 300, 50},   {5, 200, 401},   {100, 7, 300},  {97, 257, 100}, {257, 97, 801}, {300, 1030, 33},
      {1030, 40, 50}, {130, 261, 821}, {700, 1, 64},   {1, 700, 64},   {1, 1, 3000},   {270, 270, 270}};
  for (const auto& shape : shapes) {
    for (int32_t trans = 0; trans < 4; trans++) {
      for (int32_t variant = 0; variant < 3; variant++) {
        Case c;
        c.m = shape[0], c.n = shape[1], c.k = shape[2];
        c.transA = trans & 1, c.transB = trans >> 1;
        c.bias = variant == 1;
        c.accumulate = variant == 2;
        c.activation = variant == 1 ? static_cast<Activation>(1 + trans % 3) : Activation::kNone;
        c.alpha = variant == 2 ? -1.5f : 1.0f;
        RunCase(c, sets, one, two);
      }
    }
  }
}

void Batches(const std::vector<Set>& sets, ThreadPool& one, ThreadPool& two) {
  for (int32_t trans = 0; trans < 4; trans++) {
    for (int32_t variant = 0; variant < 6; variant++) {
      for (int32_t large : {0, 1}) {
        Case c;
        c.batch = 3 + variant;
        c.m = large ? 61 : 9, c.n = large ? 70 : 21, c.k = large ? 130 : 11;
        c.transA = trans & 1, c.transB = trans >> 1;
        c.gapA = variant % 3 - 1, c.gapB = variant % 2 - 1, c.gapOut = variant % 4;
        c.bias = variant % 2 == 0;
        c.activation = static_cast<Activation>(variant % 4);
        RunCase(c, sets, one, two);
      }
    }
  }
}

void Empties(const std::vector<Set>& sets, ThreadPool& one, ThreadPool& two) {
  for (int32_t trans = 0; trans < 4; trans++) {
    for (int32_t zero = 0; zero < 16; zero++) {
      for (int32_t variant = 0; variant < 3; variant++) {
        Case c;
        c.batch = zero & 8 ? 0 : 2;
        c.m = zero & 1 ? 0 : 5, c.n = zero & 2 ? 0 : 9, c.k = zero & 4 ? 0 : 6;
        c.transA = trans & 1, c.transB = trans >> 1;
        c.bias = variant == 1;
        c.activation = variant == 1 ? Activation::kTanh : Activation::kNone;
        c.accumulate = variant == 2;
        RunCase(c, sets, one, two);
      }
    }
  }
}

// NaN and infinity pass through, also through relu, and only into the elements that they belong to.
void Specials(const std::vector<Set>& sets, ThreadPool& one) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  for (int32_t activation = 0; activation < 4; activation++) {
    Case c;
    c.m = 9, c.n = 21, c.k = 7;
    c.activation = static_cast<Activation>(activation);
    Instruction instruction = MakeInstruction(c);
    Numbers a(63, 1), b(147, 2), out(189, 3);
    a.data()[2 * 7 + 3] = nan;
    a.data()[4 * 7] = infinity;
    a.data()[5 * 7] = 1e30f;
    instruction.operands = {MakeOperand(out.data(), 189), MakeOperand(a.data(), 63),
                            MakeOperand(b.data(), 147), Operand{}};
    std::vector<float> scratch(ScratchGemm(instruction, 1) / sizeof(float) + 16);
    auto* aligned =
        reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
    Fault fault;
    const Call call{instruction, aligned, one, fault};
    ref::RunGemm(call);
    const std::vector<float> expected = out.values;
    for (const Set& set : sets) {
      set.run(call);
      bool same = true;
      for (size_t i = 0; i < expected.size(); i++) {
        const float x = out.values[i], y = expected[i];
        same = same && (std::isnan(y) ? std::isnan(x)
                                      : x == y || std::fabs(x - y) <= 1e-5f * std::fmax(1.0f, std::fabs(y)));
      }
      Expect(same, set.name, "NaN and infinity");
    }
  }
}

// The rule refuses what would leave an operand, also with attributes chosen to overflow.
void Rules() {
  const auto refused = [](const char* what, auto change) {
    Case c;
    c.batch = 2, c.m = 4, c.n = 5, c.k = 6;
    Instruction instruction = MakeInstruction(c);
    static float memory[64];
    instruction.operands = {MakeOperand(memory, 40), MakeOperand(memory, 48), MakeOperand(memory, 60),
                            MakeOperand(memory, 5)};
    Expect(CheckGemm(instruction).empty(), "rule", "a good instruction is accepted");
    change(instruction);
    Expect(!CheckGemm(instruction).empty(), "rule", what);
  };
  for (size_t i = 0; i < 11; i++) {
    refused("negative attribute", [i](Instruction& x) { x.attributes[i] = -1; });
    refused("huge attribute", [i](Instruction& x) { x.attributes[i] = std::numeric_limits<int32_t>::max(); });
  }
  refused("everything huge", [](Instruction& x) {
    for (size_t i : {0, 1, 2, 3, 6, 7, 8}) x.attributes[i] = std::numeric_limits<int32_t>::max();
  });
  for (size_t i = 0; i < 4; i++) {
    refused("operand too small", [i](Instruction& x) { x.operands[i].size--; });
    refused("dtype", [i](Instruction& x) { x.operands[i].dtype = DType::kInt32; });
  }
  for (size_t i = 0; i < 3; i++)
    refused("missing operand", [i](Instruction& x) { x.operands[i].present = false; });
  refused("overlapping out", [](Instruction& x) { x.attributes[8] = 0; });
  refused("accumulate with bias", [](Instruction& x) { x.attributes[10] = 1; });
  refused("accumulate with activation", [](Instruction& x) {
    x.operands[3].present = false;
    x.attributes[9] = 1, x.attributes[10] = 1;
  });
  refused("too few attributes", [](Instruction& x) { x.attributes.pop_back(); });
  refused("too few operands", [](Instruction& x) { x.operands.pop_back(); });
}

int Main() {
  ThreadPool one(1), two(2);
  const std::vector<Set> sets = Sets();
  Rules();
  Sizes(sets, one, two);
  Shapes(sets, one, two);
  Batches(sets, one, two);
  Empties(sets, one, two);
  Specials(sets, one);
  std::printf("gemm_test: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace nabla

int main() { return nabla::Main(); }
