// Compares copy and update of every instruction set with the reference, and shows hostile attributes to their
// rules.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernel_case.h"

namespace nabla {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int32_t kMost = std::numeric_limits<int32_t>::max();

struct Strided {
  const char* name;
  int32_t outSize, inSize;
  std::vector<int32_t> attributes;
};

const std::vector<Strided>& Copies() {
  static const std::vector<Strided> copies = {
      {"one element", 3, 2, {0, 2, 1}},
      {"contiguous", 1000, 1000, {1, 0, 0, 1000, 1, 1}},
      {"contiguous, large", 200000, 200000, {2, 0, 0, 400, 500, 500, 1, 500, 1}},
      {"transpose", 35, 35, {2, 0, 0, 7, 5, 5, 1, 1, 7}},
      {"transpose, large", 300 * 517, 300 * 517, {2, 0, 0, 300, 517, 517, 1, 1, 300}},
      {"permutation",
       2 * 9 * 10 * 11,
       2 * 9 * 10 * 11,
       {4, 0, 0, 2, 9, 10, 11, 990, 110, 11, 1, 990, 1, 99, 9}},
      {"slice", 12, 60, {2, 0, 11, 3, 4, 4, 1, 10, 1}},
      {"strided slice", 12, 100, {2, 0, 11, 3, 4, 4, 1, 20, 2}},
      {"pad", 60, 12, {2, 11, 0, 3, 4, 10, 1, 4, 1}},
      {"flip", 100, 100, {2, 0, 99, 10, 10, 10, 1, -10, -1}},
      {"flip out", 100, 100, {2, 99, 0, 10, 10, -10, -1, 10, 1}},
      {"broadcast rows", 700, 7, {2, 0, 0, 100, 7, 7, 1, 0, 1}},
      {"broadcast columns", 700, 100, {2, 0, 0, 100, 7, 7, 1, 1, 0}},
      {"tile", 60, 10, {2, 0, 0, 6, 10, 10, 1, 0, 1}},
      {"diagonal", 36, 6, {1, 0, 0, 6, 7, 1}},
      {"interleave", 40, 20, {1, 1, 0, 20, 2, 1}},
      {"fill", 100000, 1, {1, 0, 0, 100000, 1, 0}},
      {"nothing", 4, 4, {2, 0, 0, 0, 3, 1, 1, 1, 1}},
      {"nothing in nothing", 0, 0, {1, 0, 0, 0, 1, 1}},
      {"rank 8", 256, 256, {8,  0, 0, 2, 2, 2, 2, 2, 2, 2,  2,  128, 64, 32,
                            16, 8, 4, 2, 1, 1, 2, 4, 8, 16, 32, 64,  128}},
  };
  return copies;
}

void AddOperand(KernelCase& test, DType dtype, int64_t size, std::mt19937& random) {
  if (dtype == DType::kFloat32) {
    std::vector<float> values = Floats(random, size, -400, 400);
    const float special[] = {kNaN, kInf,  -kInf,  0.0f,   -0.0f,  2147483648.0f, -2147483648.0f,
                             3e9f, -3e9f, 255.0f, 255.9f, 256.0f, 0.5f};
    for (size_t i = 0; i < std::size(special); ++i) {
      if (size > 0 && (i + 1) * 7 < values.size()) values[(i + 1) * 7] = special[i];
    }
    test.Float(values);
  } else if (dtype == DType::kInt32) {
    std::vector<int32_t> values = Integers<int32_t>(random, size, -kMost, kMost);
    for (size_t i = 0; i < values.size(); i += 3) values[i] = 0;
    test.Int(values);
  } else if (dtype == DType::kUint8) {
    test.Byte(Integers<uint8_t>(random, size, 0, 255));
  } else {
    test.Bool(Integers<uint8_t>(random, size, 0, 1));
  }
}

void TestCopy(Counts& counts) {
  std::mt19937 random(4);
  for (const Strided& copy : Copies()) {
    for (int in = 0; in < 4; ++in) {
      for (int out = 0; out < 4; ++out) {
        KernelCase test(Opcode::kCopy, std::string("copy ") + copy.name + " " + std::to_string(in) + " to " +
                                           std::to_string(out));
        AddOperand(test, static_cast<DType>(out), copy.outSize, random);
        AddOperand(test, static_cast<DType>(in), copy.inSize, random);
        test.Attributes(copy.attributes).Tolerance(-1, 0).Compare(counts);
      }
    }
  }
  const std::vector<std::vector<int32_t>> hostile = {
      {},
      {1, 0},
      {-1, 0, 0},
      {9, 0, 0},
      {kMost, 0, 0},
      {1, 0, 0, 10, 1},
      {1, 0, 0, 11, 1, 1},
      {1, 1, 0, 10, 1, 1},
      {1, 0, 1, 10, 1, 1},
      {1, -1, 0, 10, 1, 1},
      {1, 0, -1, 10, 1, 1},
      {1, 0, 0, 10, -1, 1},
      {1, 0, 0, 10, 1, -1},
      {1, 0, 0, -1, 1, 1},
      {1, 0, 0, 10, 0, 1},
      {1, 0, 0, kMost, 0, 0},
      {1, 0, 0, kMost, kMost, kMost},
      {2, 0, 0, kMost, kMost, kMost, -kMost, 0, 0},
      {2, 0, 0, 2, 2, 1, 1, 1, 1},
      {2, 0, 0, 3, 3, 2, 1, 1, 1},
      {0, 10, 0},
      {0, 0, -1},
  };
  for (size_t i = 0; i < hostile.size(); ++i) {
    KernelCase test(Opcode::kCopy, "hostile");
    test.Float(std::vector<float>(10)).Float(std::vector<float>(10)).Attributes(hostile[i]);
    counts.Expect(!test.Check().empty(), "copy accepts hostile attributes " + std::to_string(i));
  }
}

struct Optimizer {
  UpdateKind kind;
  int32_t flags;
  float beta1, beta2, epsilon;
};

// Whether the first state is a mean or a sum of squares, and not negative.
bool IsSquare(UpdateKind kind) {
  return kind == UpdateKind::kRmsprop || kind == UpdateKind::kAdagrad || kind == UpdateKind::kAdadelta ||
         kind == UpdateKind::kFtrl;
}

bool HasSecondState(UpdateKind kind) {
  return kind != UpdateKind::kSgd && kind != UpdateKind::kMomentum && kind != UpdateKind::kAdagrad &&
         kind != UpdateKind::kLion;
}

void TestUpdate(Counts& counts) {
  std::mt19937 random(5);
  const Optimizer optimizers[] = {
      {UpdateKind::kSgd, 0, 0, 0, 0},
      {UpdateKind::kMomentum, 0, 0.9f, 0, 0},
      {UpdateKind::kMomentum, kUpdateNesterov, 0.9f, 0, 0},
      {UpdateKind::kRmsprop, 0, 0, 0.9f, 1e-7f},
      {UpdateKind::kRmsprop, 0, 0.8f, 0.9f, 1e-7f},
      {UpdateKind::kRmsprop, kUpdateCentered, 0, 0.9f, 1e-3f},
      {UpdateKind::kRmsprop, kUpdateCentered, 0.8f, 0.9f, 1e-3f},
      {UpdateKind::kAdam, 0, 0.9f, 0.999f, 1e-7f},
      {UpdateKind::kAdam, 0, 0.9f, 0.999f, 1e-10f},
      {UpdateKind::kAdam, 0, 0.9f, 0.999f, 1e-12f},
      {UpdateKind::kAdam, kUpdateAmsgrad, 0.9f, 0.999f, 1e-7f},
      {UpdateKind::kAdam, kUpdateAmsgrad, 0.5f, 0.9f, 1e-12f},
      {UpdateKind::kAdagrad, 0, 0, 0, 1e-7f},
      {UpdateKind::kAdadelta, 0, 0, 0.95f, 1e-7f},
      {UpdateKind::kAdamax, 0, 0.9f, 0.999f, 1e-7f},
      {UpdateKind::kNadam, 0, 0.9f, 0.999f, 1e-7f},
      {UpdateKind::kNadam, 0, 0.9f, 0.999f, 1e-12f},
      {UpdateKind::kFtrl, 0, 0, 0, 0},
      {UpdateKind::kFtrl, 0, 0.3f, 0.2f, 0.1f},
      {UpdateKind::kLion, 0, 0.9f, 0.99f, 0},
  };
  for (const Optimizer& o : optimizers) {
    for (int64_t size : {0, 1, 15, 16, 17, 100, 1000, 40007}) {
      for (int variant = 0; variant < 4; ++variant) {
        const std::string name = "update " + std::to_string(static_cast<int>(o.kind)) + " flags " +
                                 std::to_string(o.flags) + " size " + std::to_string(size) + " variant " +
                                 std::to_string(variant);
        std::vector<float> grads = Floats(random, size);
        std::vector<float> state1 = Floats(random, size, IsSquare(o.kind) ? 0.5f : -1, 1);
        std::vector<float> state2 = Floats(random, size, 0, 1),
                           state3 = Floats(random, size, o.kind == UpdateKind::kAdam ? 0 : -0.1f, 0.1f);
        if (variant == 1 && size > 12) {
          // Far numbers: zeros everywhere, tiny and huge gradients, infinities, NaN.
          const float far[] = {0, 0, 1e-30f, 1e-19f, 1e15f, 1e18f, kInf, kNaN, 1e-10f, 1e10f, 0, -0.0f};
          for (size_t i = 0; i < std::size(far); ++i) grads[i] = far[i];
          for (size_t i = 0; i < std::size(far); ++i) state1[i] = state2[i] = state3[i] = 0;
          // Ftrl divides by the root of its first state, which begins above 0.
          if (o.kind == UpdateKind::kFtrl) std::fill_n(state1.begin(), std::size(far), 0.1f);
          state2[10] = kInf;
        }
        KernelCase test(Opcode::kUpdate, name);
        test.Float(Floats(random, size)).Float(grads);
        o.kind == UpdateKind::kSgd ? test.Absent() : test.Float(state1);
        HasSecondState(o.kind) ? test.Float(state2) : test.Absent();
        (o.flags & (kUpdateCentered | kUpdateAmsgrad)) != 0 ? test.Float(state3) : test.Absent();
        test.Float({0.01f, 5.0f}).Int({variant == 2 ? 1000000 : variant});
        variant == 3 ? test.Float({0.3f}) : test.Absent();
        test.Attributes({static_cast<int32_t>(o.kind), o.flags, Bits(o.beta1), Bits(o.beta2), Bits(o.epsilon),
                         Bits(variant == 3 ? 0.1f : 0.0f)});
        test.Tolerance(2e-6, 4e-7).Compare(counts);

        // A result must not depend on where threads divide the range.
        for (const KernelTable* table : UsableKernelTables()) {
          const auto one = test.Run(*table, 1, 0), three = test.Run(*table, 3, 0);
          counts.Expect(one.contents == three.contents,
                        name + " on " + table->name + ": 3 threads give other bits than 1");
        }
      }
    }
  }
  // A step below 0 leaves everything as it is, whatever the gradients are.
  for (const Optimizer& o : optimizers) {
    const std::string name = "update " + std::to_string(static_cast<int>(o.kind)) + " that is passed over";
    KernelCase passed(Opcode::kUpdate, name);
    passed.Float(Floats(random, 100)).Float(std::vector<float>(100, kNaN));
    passed.Float(Floats(random, 100)).Float(Floats(random, 100)).Float(Floats(random, 100));
    passed.Float({0.01f}).Int({-1}).Float({kNaN});
    passed.Attributes(
        {static_cast<int32_t>(o.kind), o.flags, Bits(o.beta1), Bits(o.beta2), Bits(o.epsilon), Bits(0.1f)});
    for (const KernelTable* table : UsableKernelTables()) {
      counts.Expect(passed.Run(*table, 2, 1).contents == passed.contents(), name + " on " + table->name);
    }
  }
  // No state stays at a denormal number, or every further step is slow.
  KernelCase decayed(Opcode::kUpdate, "decayed");
  decayed.Float(std::vector<float>(17, 1)).Float(std::vector<float>(17, 0));
  decayed.Float(std::vector<float>(17, 1.2e-38f)).Float(std::vector<float>(17, 1.176e-38f)).Absent();
  decayed.Float({0.01f}).Int({3}).Absent();
  decayed.Attributes({static_cast<int32_t>(UpdateKind::kAdam), 0, Bits(0.9f), Bits(0.999f), Bits(1e-7f), 0});
  for (const KernelTable* table : UsableKernelTables()) {
    if (std::strcmp(table->name, "reference") == 0) continue;
    const auto got = decayed.Run(*table, 1, 0);
    for (const size_t state : {2, 3}) {
      std::vector<float> values(17);
      std::memcpy(values.data(), got.contents[state].data(), 17 * sizeof(float));
      const bool denormal = std::any_of(values.begin(), values.end(),
                                        [](float value) { return std::fpclassify(value) == FP_SUBNORMAL; });
      counts.Expect(!denormal, std::string("update leaves denormal states on ") + table->name);
    }
  }
  KernelCase missing(Opcode::kUpdate, "missing state");
  missing.Float({1}).Float({1}).Float({1}).Absent().Absent().Float({1}).Int({0}).Absent();
  missing.Attributes({static_cast<int32_t>(UpdateKind::kAdam), 0, 0, 0, 0, 0});
  counts.Expect(!missing.Check().empty(), "update accepts adam without its second state");
  KernelCase uneven(Opcode::kUpdate, "uneven");
  uneven.Float({1, 2}).Float({1}).Absent().Absent().Absent().Float({1}).Int({0}).Absent().Attributes(
      {0, 0, 0, 0, 0, 0});
  counts.Expect(!uneven.Check().empty(), "update accepts ranges of different sizes");
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  nabla::TestCopy(counts);
  nabla::TestUpdate(counts);
  return counts.Finish("copy_update_test.cpp");
}
