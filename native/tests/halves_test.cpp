// bfloat16 and float16: conversions, map and copy to the bit, and float32 kernels run on parts of operands of
// 16 bits, beside the reference on every instruction set.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/halves.h"
#include "cpu/widen.h"
#include "program/widen.h"
#include "tests/kernel_case.h"

namespace nabla {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<uint16_t> HalvesOf(DType dtype, const std::vector<float>& values) {
  std::vector<uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(), [dtype](float x) { return ToHalf(dtype, x); });
  return halves;
}

// What both dtypes make of all 65,536 patterns, and of the float32 around each of them.
void TestConversions(Counts& counts) {
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    const std::string name = dtype == DType::kFloat16 ? "float16" : "bfloat16";
    const int digits = dtype == DType::kFloat16 ? 11 : 8, least = dtype == DType::kFloat16 ? -24 : -133;
    const uint32_t infinity = dtype == DType::kFloat16 ? 0x7c00 : 0x7f80;
    bool exact = true, same = true, nearest = true;
    double below = 0;
    for (uint32_t bits = 0; bits < 0x8000; ++bits) {
      const uint16_t half = static_cast<uint16_t>(bits), negative = static_cast<uint16_t>(bits | 0x8000);
      const float value = FromHalf(dtype, half), opposite = FromHalf(dtype, negative);
      if (bits > infinity) {
        same = same && std::isnan(value) && std::isnan(opposite) &&
               std::isnan(FromHalf(dtype, ToHalf(dtype, value)));
        continue;
      }
      // By the definition: significand times a power of two.
      const int fraction = digits - 1, exponent = static_cast<int>(bits >> fraction);
      const double significand = (bits & ((1u << fraction) - 1)) + (exponent > 0 ? 1u << fraction : 0u);
      const double wanted =
          bits == infinity ? kInf : std::ldexp(significand, least + std::max(exponent - 1, 0));
      exact = exact && value == wanted && opposite == -wanted && std::signbit(opposite);
      same = same && ToHalf(dtype, value) == half && ToHalf(dtype, opposite) == negative;
      if (bits == 0) continue;
      // Halfway from the last one, the float32 below it and the one above it.
      const uint32_t step = 1u << (digits - 1), top = bits - 1;
      const double one = std::ldexp(static_cast<double>((top & (step - 1)) + (top < step ? 0 : step)) + 1,
                                    least + std::max(static_cast<int>(top / step) - 1, 0));
      const double middle = (below + (bits == infinity ? one : wanted)) / 2;
      const float half32 = static_cast<float>(middle);
      const uint16_t even = static_cast<uint16_t>(bits % 2 == 0 ? bits : bits - 1);
      if (half32 == middle) {
        nearest = nearest && ToHalf(dtype, half32) == even &&
                  ToHalf(dtype, std::nextafter(half32, 0.0f)) == bits - 1 &&
                  ToHalf(dtype, std::nextafter(half32, kInf)) == bits &&
                  ToHalf(dtype, -half32) == (even | 0x8000);
      }
      below = wanted;
    }
    counts.Expect(exact, "every " + name + " is the number that it stands for");
    counts.Expect(same, "every " + name + " comes back");
    counts.Expect(nearest, name + " is the nearest, halfway the even one");
    // NaN with a payload in the lower half only.
    const uint32_t word = 0x7f800001;
    float signaling;
    std::memcpy(&signaling, &word, sizeof signaling);
    counts.Expect(std::isnan(FromHalf(dtype, ToHalf(dtype, signaling))), name + ": a NaN stays one");
    counts.Expect(ToHalf(dtype, kInf) == infinity && ToHalf(dtype, 3.4e38f) == infinity &&
                      ToHalf(dtype, -3.4e38f) == (infinity | 0x8000) && ToHalf(dtype, -0.0f) == 0x8000,
                  name + ": infinities, what is too large, and -0");
  }
}

std::vector<float> WithSpecials(std::vector<float> values) {
  const float special[] = {kNaN,   kInf,    -kInf,   0.0f,        -0.0f,
                           1e-40f, -3e-41f, 3.4e38f, 1.00390625f, 1.01171875f};
  for (size_t i = 0; i < std::size(special) && i * 3 < values.size(); ++i) values[i * 3] = special[i];
  return values;
}

std::vector<int32_t> MicroWords(std::initializer_list<std::initializer_list<int32_t>> micros) {
  std::vector<int32_t> words;
  for (const auto& micro : micros) {
    words.insert(words.end(), micro);
    words.resize((words.size() + 3) / 4 * 4);
  }
  return words;
}

// Tests of kernels on one of the dtypes.
class Suite {
 public:
  Suite(DType dtype, Counts& counts) : dtype_(dtype), counts(counts) {}

  void Run() {
    TestAllPatterns();
    TestMap();
    TestCopy();
    TestGemm();
    TestConvolutions(8, 12);
    // Enough channels for Winograd's filtering.
    TestConvolutions(16, 24);
    TestRows();
    TestAttention();
  }

 private:
  std::string Name() const { return dtype_ == DType::kFloat16 ? "float16" : "bfloat16"; }
  std::vector<uint16_t> Halves(const std::vector<float>& values) const { return HalvesOf(dtype_, values); }

  // Vectors and what is left after them, both ways, by map and by copy.
  void TestAllPatterns() {
    std::vector<uint16_t> patterns(0x10000 + 5);
    for (size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<uint16_t>(i * 40503);
    std::vector<float> numbers(patterns.size());
    std::transform(patterns.begin(), patterns.end(), numbers.begin(),
                   [this](uint16_t bits) { return FromHalf(dtype_, bits); });
    // Beside each number, to both sides, and halfway.
    std::vector<float> between;
    for (const float x : numbers) {
      between.insert(between.end(), {x, std::nextafter(x, kInf), std::nextafter(x, -kInf)});
      between.push_back(x * (1 + (dtype_ == DType::kFloat16 ? 0x1p-11f : 0x1p-8f)));
    }
    const int32_t size = static_cast<int32_t>(numbers.size()), more = static_cast<int32_t>(between.size());
    const int32_t identity = static_cast<int32_t>(Micro::k_identity);
    for (const bool copy : {true, false}) {
      const Opcode opcode = copy ? Opcode::kCopy : Opcode::kMap;
      const auto attributes = [&](int32_t count) {
        return copy ? std::vector<int32_t>{1, 0, 0, count, 1, 1} : MicroWords({{identity, 0}});
      };
      KernelCase widen(opcode, "all of " + Name());
      widen.Float(std::vector<float>(numbers.size())).Operands(dtype_, patterns);
      widen.Attributes(attributes(size)).Tolerance(-1, 0).Compare(counts);
      KernelCase narrow(opcode, "all around " + Name());
      narrow.Operands(dtype_, std::vector<uint16_t>(between.size())).Float(between);
      narrow.Attributes(attributes(more)).Tolerance(-1, 0).Compare(counts);
    }
  }

  void TestMap() {
    std::mt19937 random(1);
    const int32_t identity = static_cast<int32_t>(Micro::k_identity),
                  add = static_cast<int32_t>(Micro::k_add), relu = static_cast<int32_t>(Micro::k_relu);
    for (const int64_t size : {0, 1, 5, 31, 512, 1500, 70001}) {
      const std::string of = " of " + std::to_string(size);
      const std::vector<float> a = WithSpecials(Floats(random, size)), b = Floats(random, size);
      const std::vector<float> zeros(static_cast<size_t>(size));
      const auto half = [this](KernelCase& test, const std::vector<float>& values) {
        test.Operands(dtype_, Halves(values));
      };
      KernelCase narrow(Opcode::kMap, "map to " + Name() + of);
      half(narrow, zeros);
      narrow.Float(a).Attributes(MicroWords({{identity, 0}})).Tolerance(-1, 0).Compare(counts);
      KernelCase widen(Opcode::kMap, "map from " + Name() + of);
      widen.Float(zeros);
      half(widen, a);
      widen.Attributes(MicroWords({{identity, 0}})).Tolerance(-1, 0).Compare(counts);
      KernelCase sum(Opcode::kMap, "sum of " + Name() + " and float32" + of);
      half(sum, zeros);
      half(sum, a);
      sum.Float(b).Attributes(MicroWords({{add, 0, 1}, {relu, 2}})).Tolerance(-1, 0).Compare(counts);
      if (size == 0) continue;
      KernelCase scalar(Opcode::kMap, "sum with one " + Name() + of);
      half(scalar, zeros);
      scalar.Float(b);
      half(scalar, {1.5f});
      scalar.Attributes(MicroWords({{add, 0, 1}})).Tolerance(-1, 0).Compare(counts);
    }
  }

  void TestCopy() {
    std::mt19937 random(2);
    struct Walk {
      const char* name;
      std::vector<int32_t> attributes;
      int64_t outSize, inSize;
    };
    const Walk walks[] = {
        {"contiguous", {1, 0, 0, 1003, 1, 1}, 1003, 1003},
        {"transpose", {2, 0, 0, 37, 53, 53, 1, 1, 37}, 37 * 53, 37 * 53},
        {"slice", {2, 0, 11, 3, 4, 4, 1, 10, 1}, 12, 60},
        {"broadcast", {2, 0, 0, 100, 7, 7, 1, 0, 1}, 700, 7},
        {"flip", {1, 0, 99, 100, 1, -1}, 100, 100},
        {"large", {1, 0, 0, 200000, 1, 1}, 200000, 200000},
    };
    const auto add = [&random](KernelCase& test, DType dtype, int64_t size) {
      const std::vector<float> values = WithSpecials(Floats(random, size, -300, 300));
      if (IsHalf(dtype)) test.Operands(dtype, HalvesOf(dtype, values));
      if (dtype == DType::kFloat32) test.Float(values);
      if (dtype == DType::kInt32) test.Int(Integers<int32_t>(random, size, -100000, 100000));
      if (dtype == DType::kUint8) test.Byte(Integers<uint8_t>(random, size, 0, 255));
      if (dtype == DType::kBool) test.Bool(Integers<uint8_t>(random, size, 0, 1));
    };
    for (const Walk& walk : walks) {
      for (int other = 0; other < 6; ++other) {
        for (const bool out : {true, false}) {
          KernelCase test(Opcode::kCopy, std::string("copy ") + walk.name + (out ? " to " : " from ") +
                                             Name() + ", dtype " + std::to_string(other));
          add(test, out ? dtype_ : static_cast<DType>(other), walk.outSize);
          add(test, out ? static_cast<DType>(other) : dtype_, walk.inSize);
          test.Attributes(walk.attributes).Tolerance(-1, 0).Compare(counts);
        }
      }
    }
  }

  // An operand of a kernel that is run through float32.
  struct Part {
    DType dtype;
    std::vector<float> values;
    bool present = true;
  };

  Part Half(std::vector<float> values) const { return {dtype_, std::move(values), true}; }
  static Part Whole(std::vector<float> values) { return {DType::kFloat32, std::move(values), true}; }
  static Part None() { return {DType::kFloat32, {}, false}; }

  static std::string CheckRule(const Instruction& instruction) {
    switch (instruction.opcode) {
#define NABLA_KERNEL(name, Name, operands, attributes) \
  case Opcode::k##Name:                                \
    return CheckWidened(instruction, Check##Name);
#include "program/kernels.def"
#undef NABLA_KERNEL
      case Opcode::kCount:
        break;
    }
    return "no such kernel";
  }

  static Instruction MakeInstruction(Opcode opcode, const std::vector<int32_t>& attributes,
                                     const std::vector<Part>& parts) {
    Instruction instruction;
    instruction.opcode = opcode;
    instruction.attributes = attributes;
    for (const Part& part : parts) {
      Operand operand;
      operand.present = part.present;
      operand.dtype = part.dtype;
      operand.rank = 1;
      operand.dims[0] = operand.size = static_cast<int64_t>(part.values.size());
      instruction.operands.push_back(operand);
    }
    return instruction;
  }

  // Runs the instruction on every table and compares its first `outputs` operands with the reference in
  // float32.
  void TestWidened(const std::string& name, Opcode opcode, const std::vector<int32_t>& attributes,
                   const std::vector<Part>& parts, size_t outputs, double tolerance) {
    KernelCase exact(opcode, name);
    for (const Part& part : parts) {
      std::vector<float> values = part.values;
      if (part.dtype == dtype_)
        for (float& value : values) value = FromHalf(dtype_, ToHalf(dtype_, value));
      part.present ? exact.Float(values) : exact.Absent();
    }
    exact.Attributes(attributes);
    const std::string bad = exact.Check();
    if (!bad.empty()) return counts.Expect(false, name + ": " + bad);
    const KernelCase::Result wanted = exact.Run(*FindKernelTable("reference"), 1, 0);

    Instruction instruction = MakeInstruction(opcode, attributes, parts);
    counts.Expect(NeedsWidening(instruction), name + ": needs widening");
    const std::string refused = CheckRule(instruction);
    if (!refused.empty()) return counts.Expect(false, name + ": refused: " + refused);
    for (const KernelTable* table : UsableKernelTables()) {
      for (int threads = 1; threads <= 2; ++threads) {
        constexpr size_t kGuard = 64;
        std::vector<std::vector<std::byte>> memory;
        for (size_t i = 0; i < parts.size(); ++i) {
          const size_t bytes = static_cast<size_t>(instruction.operands[i].bytes());
          memory.emplace_back(bytes + 2 * kGuard, std::byte{0xa5});
          const std::vector<uint16_t> halves = Halves(parts[i].values);
          const bool half = parts[i].dtype == dtype_;
          if (bytes > 0)
            std::memcpy(memory[i].data() + kGuard,
                        half ? static_cast<const void*>(halves.data()) : parts[i].values.data(), bytes);
          if (parts[i].present) instruction.operands[i].data = memory[i].data() + kGuard;
        }
        const size_t scratchBytes = ScratchWidened(instruction, threads);
        std::vector<std::byte> scratch(scratchBytes + 2 * kGuard, std::byte{0x5a});
        const size_t aligned = (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
        ThreadPool pool(threads);
        Fault fault;
        RunWidened(Call{instruction, scratch.data() + aligned, pool, fault}, *table);
        bool guarded = true, near = true;
        for (size_t i = aligned + scratchBytes; i < scratch.size(); ++i)
          guarded = guarded && scratch[i] == std::byte{0x5a};
        for (size_t i = 0; i < parts.size(); ++i) {
          for (size_t g = 0; g < kGuard; ++g) {
            guarded = guarded && memory[i][g] == std::byte{0xa5};
            guarded = guarded && memory[i][memory[i].size() - 1 - g] == std::byte{0xa5};
          }
          if (i >= outputs || !parts[i].present) continue;
          const auto* want = reinterpret_cast<const float*>(wanted.contents[i].data());
          const std::byte* got = memory[i].data() + kGuard;
          const bool half = parts[i].dtype == dtype_;
          for (size_t e = 0; e < parts[i].values.size(); ++e) {
            const float value = half ? FromHalf(dtype_, reinterpret_cast<const uint16_t*>(got)[e])
                                     : reinterpret_cast<const float*>(got)[e];
            // One half of the last place of bfloat16, and what float32 sums differ by.
            const double allowed = (half ? std::abs(want[e]) / 256 : 0) + tolerance * (1 + std::abs(want[e]));
            near = near && std::abs(double{value} - want[e]) <= allowed;
          }
        }
        const std::string where = name + " on " + table->name + ", " + std::to_string(threads) + " threads";
        counts.Expect(guarded, where + ": wrote outside an operand or its scratch");
        counts.Expect(near, where + ": differs");
      }
    }
  }

  void TestGemm() {
    std::mt19937 random(3);
    struct Product {
      const char* name;
      int32_t batch, m, n, k, transA, transB;
      bool bias, wideOut, wideB;
    };
    const Product products[] = {
        {"gemm", 1, 17, 9, 33, 0, 0, false, false, false},
        {"gemm of several parts", 1, 700, 200, 300, 0, 0, true, false, false},
        {"gemm with float32 weights", 1, 700, 200, 300, 0, 1, true, false, true},
        {"gemm over parts of its depth", 1, 40, 30, 5000, 1, 0, false, true, false},
        {"gemm over parts of its depth, rounded", 1, 40, 30, 5000, 1, 0, false, false, false},
        {"gemm transposed twice", 1, 20, 30, 40, 1, 1, false, false, false},
        {"batched gemm", 50, 64, 48, 80, 0, 1, false, false, false},
        {"gemm with turned operands", 1, 100, 70, 330, 1, 0, false, false, false},
        {"gemm with a turned second operand", 1, 100, 70, 330, 0, 1, true, false, false},
        {"gemm with both turned", 1, 99, 65, 400, 1, 1, false, true, false},
        {"gemm without depth", 1, 4, 5, 0, 0, 0, true, false, false},
        {"gemm of nothing", 1, 0, 5, 3, 0, 0, false, false, false},
        {"batched gemm of nothing", 0, 4, 5, 3, 0, 0, false, false, false},
    };
    for (const Product& p : products) {
      const int32_t strides = p.batch > 1 ? 1 : 0;
      const std::vector<int32_t> attributes = {p.batch,
                                               p.m,
                                               p.n,
                                               p.k,
                                               p.transA,
                                               p.transB,
                                               strides * p.m * p.k,
                                               strides * p.k * p.n,
                                               strides * p.m * p.n,
                                               p.bias ? 1 : 0,
                                               0,
                                               Bits(1.0f)};
      const int64_t batch = p.batch;
      const std::vector<float> out = Floats(random, batch * p.m * p.n);
      const std::vector<float> b = Floats(random, batch * p.k * p.n, -1, 1);
      TestWidened(p.name, Opcode::kGemm, attributes,
                  {p.wideOut ? Whole(out) : Half(out), Half(Floats(random, batch * p.m * p.k, -1, 1)),
                   p.wideB ? Whole(b) : Half(b), p.bias ? Half(Floats(random, p.n)) : None()},
                  // Tiles round float32 weights where the result is rounded.
                  1, p.wideB ? 0.05 : 1e-4);
    }
    const auto refuses = [&](const char* what, std::vector<int32_t> attributes,
                             const std::vector<Part>& parts) {
      counts.Expect(!CheckRule(MakeInstruction(Opcode::kGemm, attributes, parts)).empty(), what);
    };
    const std::vector<float> four(4);
    refuses("accumulating in 16 bits is refused", {1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 1, Bits(1.0f)},
            {Half(four), Half(four), Half(four), None()});
    refuses("gaps in 16 bits are refused", {2, 1, 2, 2, 0, 0, 2, 0, 3, 0, 0, Bits(1.0f)},
            {Half(std::vector<float>(5)), Half(four), Half(four), None()});
    refuses("short operands are refused", {1, 2, 2, 3, 0, 0, 0, 0, 0, 0, 0, Bits(1.0f)},
            {Half(four), Half(four), Half(four), None()});
    // Rows that lie further apart than they are long are converted whole.
    TestWidened(
        "gemm with gaps between matrices", Opcode::kGemm, {3, 2, 4, 5, 0, 0, 16, 20, 8, 0, 0, Bits(1.0f)},
        {Half(Floats(random, 24)), Half(Floats(random, 42)), Half(Floats(random, 60)), None()}, 1, 1e-5);
  }

  void TestConvolutions(int32_t in, int32_t out) {
    std::mt19937 random(4);
    const int32_t batch = 37, side = 32, made = side - 2;
    const std::vector<int32_t> sizes = {batch, 1, side, side, in, 1, made, made, out, 1, 3,
                                        3,     1, 1,    1,    1,  1, 1,    0,    0,   0, 1};
    const int64_t inputs = int64_t{batch} * side * side * in, outputs = int64_t{batch} * made * made * out;
    const int64_t filters = 9 * in * out;
    std::vector<int32_t> withActivation = sizes;
    withActivation.push_back(1);
    TestWidened("conv", Opcode::kConv, withActivation,
                {Half(std::vector<float>(static_cast<size_t>(outputs))), Half(Floats(random, inputs, -1, 1)),
                 Whole(Floats(random, filters, -1, 1)), Half(Floats(random, out))},
                1, 1e-4);
    TestWidened("convInputGrad", Opcode::kConvInputGrad, sizes,
                {Half(std::vector<float>(static_cast<size_t>(inputs))), Half(Floats(random, outputs, -1, 1)),
                 Half(Floats(random, filters, -1, 1))},
                1, 1e-4);
    for (const bool wide : {true, false}) {
      const std::vector<float> gradient(static_cast<size_t>(filters));
      TestWidened("convFilterGrad", Opcode::kConvFilterGrad, sizes,
                  {wide ? Whole(gradient) : Half(gradient), Half(Floats(random, inputs, -1, 1)),
                   Half(Floats(random, outputs, -1, 1))},
                  1, 2e-3);
    }
    const std::vector<int32_t> windows = {0, batch, 1, side, side, in, 1, side / 2, side / 2,
                                          1, 2,     2, 1,    2,    2,  0, 0,        0};
    const int64_t pooled = inputs / 4;
    const std::vector<float> x = Floats(random, inputs, -4, 4);
    std::vector<float> y(static_cast<size_t>(pooled));
    TestWidened("pool", Opcode::kPool, windows, {Half(y), Half(x)}, 1, 0);
    std::vector<int32_t> averages = windows;
    averages[0] = 1;
    TestWidened("poolGrad", Opcode::kPoolGrad, averages,
                {Half(x), Half(x), Half(y), Half(Floats(random, pooled))}, 1, 1e-6);
  }

  void TestRows() {
    std::mt19937 random(5);
    const int32_t rows = 1500, columns = 300;
    const int64_t size = int64_t{rows} * columns;
    const auto half = [&](int64_t count) { return Half(Floats(random, count)); };
    TestWidened("softmax", Opcode::kSoftmax, {rows, columns, 0}, {half(size), half(size)}, 1, 1e-5);
    TestWidened("softmaxGrad", Opcode::kSoftmaxGrad, {rows, columns, 1}, {half(size), half(size), half(size)},
                1, 2e-3);
    TestWidened("normalize", Opcode::kNormalize, {rows, columns, 1, Bits(1e-3f)},
                {half(size), Whole(Floats(random, rows)), Whole(Floats(random, rows)), half(size),
                 Whole(Floats(random, columns)), half(columns)},
                3, 1e-4);
    TestWidened("normalizeGrad", Opcode::kNormalizeGrad, {rows, columns},
                {half(size), Whole(Floats(random, columns)), half(columns), half(size), half(size),
                 Whole(Floats(random, rows, -0.1f, 0.1f)), Whole(Floats(random, rows, 0.5f, 1)),
                 Whole(Floats(random, columns))},
                3, 2e-3);
    const auto reduce = [&](const char* name, ReduceKind kind, int32_t outer, int32_t count, int32_t inner,
                            bool wide) {
      const std::vector<float> out(static_cast<size_t>(outer * inner));
      TestWidened(name, Opcode::kReduce, {static_cast<int32_t>(kind), outer, count, inner, Bits(1.0f)},
                  {wide ? Whole(out) : Half(out), half(int64_t{outer} * count * inner)}, 1, 1e-3);
    };
    reduce("sum of rows", ReduceKind::kSum, 1500, 300, 1, false);
    reduce("sum over rows", ReduceKind::kSum, 1, 5000, 70, true);
    reduce("sum over rows, rounded", ReduceKind::kSumSquares, 1, 5000, 70, false);
    reduce("largest over rows", ReduceKind::kMax, 1, 5000, 70, false);
    counts.Expect(!CheckRule(MakeInstruction(Opcode::kSort, {1, 4, 0}, {half(4), None(), half(4)})).empty(),
                  "sort takes none");
  }

  void TestAttention() {
    std::mt19937 random(6);
    const int32_t batch = 5, heads = 4, time = 96, dim = 32, width = heads * dim, row = 3 * width;
    const int64_t tokens = int64_t{batch} * time;
    for (const bool masked : {false, true}) {
      const std::vector<int32_t> attributes = {
          batch, heads,     heads,          time, time,           dim,       dim, row, 0, row, width,
          row,   2 * width, masked ? 1 : 0, 0,    masked ? 0 : 1, Bits(0.2f)};
      const Part mask = masked ? Whole(Floats(random, int64_t{batch} * time * time, -2, 0)) : None();
      const std::vector<float> fused = Floats(random, tokens * row, -1, 1),
                               out = Floats(random, tokens * width);
      const std::vector<float> statistics(static_cast<size_t>(batch * heads * time));
      TestWidened("attention", Opcode::kAttention, attributes,
                  {Half(out), Whole(statistics), Half(fused), Half(fused), Half(fused), mask}, 2, 2e-4);
      TestWidened(
          "attentionGrad", Opcode::kAttentionGrad, attributes,
          {Half(fused), None(), None(), Half(fused), Half(fused), Half(fused), Half(out),
           Whole(std::vector<float>(statistics.size(), 5.0f)), Half(Floats(random, tokens * width)), mask},
          1, 2e-3);
    }
  }

  const DType dtype_;
  Counts& counts;
};

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  nabla::TestConversions(counts);
  nabla::Suite(nabla::DType::kBfloat16, counts).Run();
  nabla::Suite(nabla::DType::kFloat16, counts).Run();
  return counts.Finish("halves_test");
}
