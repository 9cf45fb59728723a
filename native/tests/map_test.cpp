// Compares the map kernel of every instruction set this machine has with the reference; a program of its own.
#include "cpu/targets.h"
#include "hwy/detect_targets.h"
// Targets first: the sets of instructions are fixed before anything of Highway is read.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cpu/halves.h"
#include "cpu/kernel.h"
#include "program/micro.h"
#include "tests/map_cases.h"

namespace nabla {
#define NABLA_DECLARE(set)       \
  namespace set {                \
  void RunMap(const Call& call); \
  }
#if HWY_TARGETS & HWY_SCALAR
NABLA_DECLARE(N_SCALAR)
#endif
#if HWY_TARGETS & HWY_EMU128
NABLA_DECLARE(N_EMU128)
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
  sets.push_back({"scalar", &N_SCALAR::RunMap});
#endif
#if HWY_TARGETS & HWY_EMU128
  sets.push_back({"emu128", &N_EMU128::RunMap});
#endif
#if HWY_TARGETS & HWY_SSE4
  if (__builtin_cpu_supports("sse4.2")) sets.push_back({"sse4", &N_SSE4::RunMap});
#endif
#if HWY_TARGETS & HWY_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    sets.push_back({"avx2", &N_AVX2::RunMap});
#endif
#if HWY_TARGETS & HWY_AVX3
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    sets.push_back({"avx3", &N_AVX3::RunMap});
  }
#endif
#if HWY_TARGETS & HWY_NEON
  sets.push_back({"neon", &N_NEON::RunMap});
#endif
#if HWY_TARGETS & HWY_WASM
  sets.push_back({"wasm", &N_WASM::RunMap});
#endif
  return sets;
}

int passed = 0, failed = 0;

void Expect(bool good, const std::string& what) {
  good ? passed++ : failed++;
  if (!good && failed <= 30) std::printf("FAILED %s\n", what.c_str());
}

std::string Check(const Chain& chain, std::vector<Buffer*> operands) {
  Instruction instruction;
  for (Buffer* b : operands) instruction.operands.push_back(b->operand());
  instruction.attributes = chain.words;
  return CheckMap(instruction);
}

// operands[0] is the output. Checks the rule, then runs.
bool Run(RunFn run, const Chain& chain, std::vector<Buffer*> operands, int threads = 1) {
  static ThreadPool one(1), several(3);
  ThreadPool& pool = threads == 1 ? one : several;
  Instruction instruction;
  for (Buffer* b : operands) instruction.operands.push_back(b->operand());
  instruction.attributes = chain.words;
  const std::string problem = CheckMap(instruction);
  if (!problem.empty()) {
    Expect(false, "rule: " + problem);
    return false;
  }
  constexpr size_t kLine = 64;
  const size_t need = ScratchMap(instruction, pool.threads());
  std::vector<unsigned char> scratch(need + 2 * kLine, 0x5A);
  unsigned char* base =
      scratch.data() + (kLine - reinterpret_cast<uintptr_t>(scratch.data()) % kLine) % kLine;
  Fault fault;
  run(Call{instruction, reinterpret_cast<std::byte*>(base), pool, fault});
  const bool inside =
      std::all_of(base + need, scratch.data() + scratch.size(), [](unsigned char b) { return b == 0x5A; });
  return inside && operands[0]->GuardIntact();
}

// Every micro-operation on its own over the same operands.
void TestMicros(const Set& set) {
  std::mt19937 random(1);
  std::vector<float> a = Values(random);
  std::vector<float> b(a.size()), c(a.size());
  for (size_t i = 0; i < a.size(); i++) {
    const size_t specials = std::size(kSpecial);
    b[i] = i % 3 == 0   ? std::round(a[(i * 31 + 7) % a.size()])
           : i % 3 == 1 ? a[(i * 7 + 3) % specials]
                        : a[(i * 13 + 5) % a.size()];
    c[i] = a[(i * 17 + 11) % a.size()];
  }
  for (const float x : kSpecial) {  // every pair
    for (const float y : kSpecial) {
      a.push_back(x);
      b.push_back(y);
      c.push_back(0.5f);
    }
  }
  std::vector<int32_t> ints[3];
  for (size_t i = 0; i < a.size(); i++) {
    const int32_t edges[] = {0, 1, -1, 2, -2, 7, INT32_MAX, INT32_MIN, INT32_MIN + 1, -7};
    for (int k = 0; k < 3; k++) {
      const int32_t any = static_cast<int32_t>(random());
      ints[k].push_back(i % 3 == 0 ? any : i % 3 == 1 ? edges[random() % 10] : any >> 20);
    }
  }
  Buffer floats[3] = {FromValues(DType::kFloat32, a), FromValues(DType::kFloat32, b),
                      FromValues(DType::kFloat32, c)};
  Buffer whole[3] = {FromValues(DType::kInt32, ints[0]), FromValues(DType::kInt32, ints[1]),
                     FromValues(DType::kInt32, ints[2])};
  const int64_t size = static_cast<int64_t>(a.size());
  for (int32_t m = 0; m < static_cast<int32_t>(Micro::kCount); m++) {
    const MicroInfo& info = kMicros[m];
    const Micro micro = static_cast<Micro>(m);
    Chain chain{3, {}};
    std::vector<Buffer*> inputs;
    int32_t operands[3] = {0, 0, 0};
    for (int k = 0; k < 3; k++) {
      const char type = k < info.arity ? info.operands[k] : 'f';
      inputs.push_back(type == 'i' || type == '@' ? &whole[k] : &floats[k]);
      if (k < info.arity) operands[k] = type == '#' ? 1234567 : k;
    }
    chain.Add(micro, operands[0], operands[1], operands[2]);
    const DType dtype = info.result == 'f' ? DType::kFloat32 : DType::kInt32;
    Buffer got(dtype, {size}), want(dtype, {size});
    Expect(Run(set.run, chain, {&got, inputs[0], inputs[1], inputs[2]}),
           std::string(set.name) + " bounds " + info.name);
    Run(&ref::RunMap, chain, {&want, inputs[0], inputs[1], inputs[2]});
    if (info.result == 'i') {
      Expect(Same(got, want), std::string(set.name) + " " + info.name);
      continue;
    }
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < got.size(); i++) {
      const float g = got.as<float>()[i], w = want.as<float>()[i];
      double ulps = Ulps(g, w);
      if (std::signbit(g) != std::signbit(w) && !std::isnan(w) && micro != Micro::k_sigmoid) ulps = 1e20;
      // An unfused product is rounded first.
      if (micro == Micro::k_mulAdd) {
        volatile float product = floats[0].as<float>()[i] * floats[1].as<float>()[i];
        ulps = std::min(ulps, Ulps(g, product + floats[2].as<float>()[i]));
      }
      const bool flushes = micro == Micro::k_sigmoid || micro == Micro::k_softplus || micro == Micro::k_gelu;
      if (flushes && std::abs(g - w) < std::numeric_limits<float>::min()) ulps = 0;
      // It crosses zero, next to which the digits of a sum are lost.
      if (micro == Micro::k_geluSlope && std::abs(g - w) < 3e-7f) ulps = 0;
      if (ulps > worst) worst = ulps, at = i;
    }
    if (Bound(micro) > 0) std::printf("  %-7s %-9s %4.0f ulp\n", set.name, info.name, worst);
    char text[200];
    std::snprintf(text, sizeof text, "%s %s: %g ulp at (%.9g, %.9g, %.9g), got %.9g, want %.9g", set.name,
                  info.name, worst, static_cast<double>(floats[0].as<float>()[at]),
                  static_cast<double>(floats[1].as<float>()[at]),
                  static_cast<double>(floats[2].as<float>()[at]), static_cast<double>(got.as<float>()[at]),
                  static_cast<double>(want.as<float>()[at]));
    Expect(worst <= Bound(micro), text);
  }
}

void FillRandomly(Buffer& buffer, std::mt19937& random) {
  for (size_t i = 0; i < buffer.size(); i++) {
    const int32_t value = static_cast<int32_t>(random() % 2001) - 1000;
    switch (buffer.dtype) {
      case DType::kFloat32:
        buffer.as<float>()[i] = static_cast<float>(value) / 64;
        break;
      case DType::kInt32:
        buffer.as<int32_t>()[i] = value;
        break;
      case DType::kUint8:
        buffer.as<uint8_t>()[i] = static_cast<uint8_t>(value);
        break;
      case DType::kBool:
        buffer.as<uint8_t>()[i] = value & 1;
        break;
      case DType::kBfloat16:
      case DType::kFloat16:
        buffer.as<uint16_t>()[i] = ToHalf(buffer.dtype, static_cast<float>(value) / 64);
        break;
    }
  }
}

// Random chains of operations with exact results over random broadcast shapes and dtypes.
void TestChains(const Set& set) {
  std::mt19937 random(7);
  const auto pick = [&](int64_t n) { return static_cast<int32_t>(random() % static_cast<uint64_t>(n)); };
  std::vector<Micro> exact;
  for (int32_t m = 0; m < static_cast<int32_t>(Micro::kCount); m++) {
    const Micro micro = static_cast<Micro>(m);
    if (Bound(micro) == 0 && micro != Micro::k_mulAdd) exact.push_back(micro);
  }
  const int64_t dims[] = {1, 1, 2, 3, 5, 10, 16, 17, 64, 255, 256, 300, 513, 1100};
  for (int round = 0; round < 600; round++) {
    Shape shape;
    int64_t size = 1;
    for (int rank = pick(5); rank > 0; rank--) {
      const int64_t dim = round % 50 == 49 && rank == 1 ? 0 : dims[pick(std::size(dims))];
      if (size * dim > 70000) continue;
      shape.push_back(dim);
      size *= dim;
    }
    const int inputs = pick(kMaxMapInputs) + 1;
    std::vector<Buffer> buffers;
    std::string types;
    for (int i = 0; i < inputs; i++) {
      // Now and then fewer dimensions, some of them stretched.
      Shape own(shape.begin() + (pick(3) == 0 ? pick(static_cast<int64_t>(shape.size()) + 1) : 0),
                shape.end());
      for (int64_t& d : own) d = pick(4) == 0 ? 1 : d;
      if (pick(5) == 0) std::fill(own.begin(), own.end(), 1);
      const DType dtype = pick(2) == 0 ? DType::kFloat32 : static_cast<DType>(pick(4));
      buffers.emplace_back(dtype, own, dtype == DType::kFloat32 ? 4 : 1 + (SizeOf(dtype) == 4) * 3);
      FillRandomly(buffers.back(), random);
      types += dtype == DType::kFloat32 ? 'f' : 'i';
    }
    buffers.emplace_back(DType::kInt32, Shape{4});
    FillRandomly(buffers.back(), random);
    Chain chain{inputs + 1, {}};
    types += '@';
    if (inputs == kMaxMapInputs) {
      buffers.pop_back(), types.pop_back();
      chain.inputs = inputs;
    } else {  // read at least once, or it would have to broadcast
      chain.Add(Micro::k_randomBits, inputs, 3);
      types += 'i';
    }
    const int micros = pick(kMaxMicro) + 1;
    while (static_cast<int>(chain.words.size()) < micros * kMicroWords) {
      const Micro micro = exact[static_cast<size_t>(pick(static_cast<int64_t>(exact.size())))];
      const MicroInfo& info = kMicros[static_cast<int>(micro)];
      int32_t operands[3] = {0, 0, 0};
      bool possible = true;
      for (int k = 0; k < info.arity && possible; k++) {
        if (info.operands[k] == '#') {
          operands[k] = pick(100);
          continue;
        }
        std::vector<int32_t> fitting;
        for (size_t r = 0; r < types.size(); r++) {
          if (types[r] == info.operands[k]) fitting.push_back(static_cast<int32_t>(r));
        }
        possible = !fitting.empty();
        if (possible) operands[k] = fitting[static_cast<size_t>(pick(static_cast<int64_t>(fitting.size())))];
      }
      if (!possible) continue;
      chain.Add(micro, operands[0], operands[1], operands[2]);
      types += info.result;
    }
    const DType dtype = types.back() == 'f' ? DType::kFloat32 : static_cast<DType>(1 + pick(3));
    Buffer got(dtype, shape), want(dtype, shape);
    std::vector<Buffer*> operands{&want};
    for (Buffer& b : buffers) operands.push_back(&b);
    const std::string what = std::string(set.name) + " chain " + std::to_string(round);
    Run(&ref::RunMap, chain, operands);
    operands[0] = &got;
    Expect(Run(set.run, chain, operands, round % 2 == 0 ? 1 : 3) && Same(got, want), what);
    // In place, over the first input that has the output's shape and element size.
    for (size_t i = 0; i < static_cast<size_t>(inputs); i++) {
      if (buffers[i].shape != shape || SizeOf(buffers[i].dtype) != SizeOf(dtype)) continue;
      Buffer in = buffers[i];
      in.dtype = dtype;
      // The same memory under two dtypes: the operand keeps its own.
      Instruction instruction;
      for (Buffer* b : operands) instruction.operands.push_back(b->operand());
      instruction.operands[0].data = instruction.operands[i + 1].data = in.as<std::byte>();
      instruction.attributes = chain.words;
      static ThreadPool pool(3);
      std::vector<std::max_align_t> scratch(ScratchMap(instruction, 3) / sizeof(std::max_align_t) + 1);
      Fault fault;
      set.run(Call{instruction, reinterpret_cast<std::byte*>(scratch.data()), pool, fault});
      Expect(Same(in, want), what + " in place");
      break;
    }
  }
}

// Philox4x32-10 as Salmon et al. (2011) write it down.
void Philox(const uint32_t (&counter)[4], const uint32_t (&key)[2], uint32_t (&words)[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  std::copy(std::begin(counter), std::end(counter), words);
  for (int round = 0; round < 10; round++) {
    const uint64_t low = uint64_t{words[0]} * 0xD2511F53, high = uint64_t{words[2]} * 0xCD9E8D57;
    const uint32_t w1 = words[1], w3 = words[3];
    words[0] = static_cast<uint32_t>(high >> 32) ^ w1 ^ k0;
    words[1] = static_cast<uint32_t>(high);
    words[2] = static_cast<uint32_t>(low >> 32) ^ w3 ^ k1;
    words[3] = static_cast<uint32_t>(low);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

// The known answers published with Random123 for philox4x32-10.
void TestKnownAnswers() {
  constexpr uint32_t kOnes = 0xffffffff;
  const struct {
    uint32_t counter[4], key[2], words[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& k : known) {
    uint32_t words[4];
    Philox(k.counter, k.key, words);
    Expect(std::equal(std::begin(words), std::end(words), std::begin(k.words)), "Philox known answer");
  }
}

// Both random micro-operations against the plain generator, for several lengths, keys, steps and streams.
void TestRandom(const Set& set) {
  std::mt19937 random(3);
  for (const int64_t size : {1, 3, 4, 5, 31, 32, 33, 513, 5000}) {
    const uint32_t key[2] = {static_cast<uint32_t>(random()), static_cast<uint32_t>(random())};
    const uint32_t step = static_cast<uint32_t>(random()), stream = static_cast<uint32_t>(random());
    Buffer state = FromValues<uint32_t>(DType::kInt32, {key[0], key[1], step});
    Buffer bits(DType::kInt32, {size}), uniform(DType::kFloat32, {size});
    Chain first{1, {}}, second{1, {}};
    first.Add(Micro::k_randomBits, 0, static_cast<int32_t>(stream));
    second.Add(Micro::k_random, 0, static_cast<int32_t>(stream));
    bool good = Run(set.run, first, {&bits, &state}) && Run(set.run, second, {&uniform, &state});
    for (size_t i = 0; i < bits.size(); i++) {
      const uint32_t counter[4] = {static_cast<uint32_t>(i / 4), 0, step, stream};
      uint32_t words[4];
      Philox(counter, key, words);
      const uint32_t want = words[i % 4];
      good = good && bits.as<uint32_t>()[i] == want;
      good = good && uniform.as<float>()[i] == static_cast<float>(want >> 8) * 0x1p-24f;
    }
    Expect(good, std::string(set.name) + " random numbers, " + std::to_string(size));
  }
}

void TestRule() {
  Buffer out(DType::kFloat32, {2, 3}), same(DType::kFloat32, {2, 3}), row(DType::kFloat32, {3}),
      bad(DType::kFloat32, {2});
  Buffer ints(DType::kInt32, {2, 3}), state(DType::kInt32, {3}), small(DType::kInt32, {2});
  const auto refused = [&](std::vector<int32_t> words, std::vector<Buffer*> operands, const char* what) {
    Expect(!Check(Chain{0, std::move(words)}, std::move(operands)).empty(),
           std::string("rule accepts ") + what);
  };
  const int32_t add = static_cast<int32_t>(Micro::k_add), relu = static_cast<int32_t>(Micro::k_relu);
  const int32_t random = static_cast<int32_t>(Micro::k_random),
                toFloat = static_cast<int32_t>(Micro::k_toFloat);
  Expect(Check(Chain{0, {add, 0, 1, 0}}, {&out, &same, &row}).empty(), "rule refuses a row");
  Expect(Check(Chain{0, {random, 0, 5, 0}}, {&out, &state}).empty(), "rule refuses a random state");
  refused({}, {&out, &same}, "no micro-operation");
  refused({add, 0, 0}, {&out, &same}, "half a micro-operation");
  refused({-1, 0, 0, 0}, {&out, &same}, "a negative operation");
  refused({static_cast<int32_t>(Micro::kCount), 0, 0, 0}, {&out, &same}, "an unknown operation");
  refused({relu, 1, 0, 0}, {&out, &same}, "a register that is not defined yet");
  refused({relu, -1, 0, 0}, {&out, &same}, "a negative register");
  refused({relu, 0, 1, 0}, {&out, &same}, "an unused word that is not 0");
  refused({relu, 0, 0, 0}, {&out, &ints}, "an int register as float");
  refused({relu, 0, 0, 0}, {&ints, &same}, "a float result for an int output");
  refused({add, 0, 1, 0}, {&out, &same, &bad}, "shapes that do not broadcast");
  refused({random, 0, 0, 0}, {&out, &small}, "a short random state");
  refused({random, 0, 0, 0}, {&out, &same}, "a float random state");
  refused({random, 1, 0, 0}, {&out, &state}, "a random state that is no input");
  refused({random, 0, 0, 0, toFloat, 0, 0, 0}, {&out, &state}, "a random state read by element");
  std::vector<int32_t> many;
  for (int i = 0; i <= kMaxMicro; i++) many.insert(many.end(), {relu, 0, 0, 0});
  refused(many, {&out, &same}, "too many micro-operations");
  refused({relu, 0, 0, 0}, std::vector<Buffer*>(kMaxMapInputs + 2, &out), "too many inputs");
  refused({relu, 0, 0, 0}, {}, "no output");
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::TestRule();
  nabla::TestKnownAnswers();
  for (const nabla::Set& set : nabla::Sets()) {
    nabla::TestMicros(set);
    nabla::TestRandom(set);
    nabla::TestChains(set);
  }
  std::printf("map_test: %d passed, %d failed\n", nabla::passed, nabla::failed);
  return nabla::failed == 0 ? 0 : 1;
}
