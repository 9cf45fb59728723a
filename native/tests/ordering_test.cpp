// Compares cumulate, sort, resize and resizeGrad of every instruction set with the reference.
#include <limits>

#include "tests/kernel_case.h"

namespace nabla {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::string Text(std::initializer_list<int32_t> numbers) {
  std::string text = " [";
  for (int32_t n : numbers) text += std::to_string(n) + " ";
  return text + "]";
}

void TestCumulate(Counts& counts) {
  std::mt19937 random(11);
  const int32_t boxes[][3] = {{0, 3, 2},  {2, 0, 3},  {3, 4, 0},  {1, 1, 1},     {5, 7, 1},    {2, 1000, 1},
                              {3, 5, 31}, {2, 9, 32}, {2, 9, 33}, {1, 300, 130}, {4000, 20, 1}};
  for (const auto& [outer, count, inner] : boxes) {
    const int64_t size = int64_t{outer} * count * inner;
    for (int32_t kind = 0; kind < 4; ++kind) {
      for (int32_t flags = 0; flags < 4; ++flags) {
        const std::vector<int32_t> attributes = {kind, outer, count, inner, flags & 1, flags >> 1};
        const std::string name = "cumulate" + Text({kind, outer, count, inner, flags});
        std::vector<float> x = kind == 1 ? Floats(random, size, 0.99f, 1.01f) : Floats(random, size);
        const std::vector<float> floats(static_cast<size_t>(size), 7.0f);
        KernelCase(Opcode::kCumulate, name)
            .Float(floats)
            .Float(x)
            .Attributes(attributes)
            .Tolerance(1e-6, 1e-6)
            .Compare(counts);
        for (float special : {kInf, -kInf, kNaN}) {
          if (size == 0) break;
          x[static_cast<size_t>(size / 2)] = special;
          KernelCase(Opcode::kCumulate, name + " special")
              .Float(floats)
              .Float(x)
              .Attributes(attributes)
              .Tolerance(1e-6, 1e-6)
              .Compare(counts);
        }
        if (kind == 3) continue;
        const auto ints = Integers<int32_t>(random, size, std::numeric_limits<int32_t>::min(),
                                            std::numeric_limits<int32_t>::max());
        KernelCase(Opcode::kCumulate, name + " int32")
            .Int(std::vector<int32_t>(ints.size()))
            .Int(ints)
            .Attributes(attributes)
            .Compare(counts);
      }
    }
  }
}

void TestSort(Counts& counts) {
  std::mt19937 random(12);
  const int32_t shapes[][2] = {{0, 3},   {3, 0},   {1, 1},    {5, 7},   {3, 255},
                               {3, 256}, {3, 257}, {1, 5000}, {900, 11}};
  for (const auto& [rows, columns] : shapes) {
    const int64_t size = int64_t{rows} * columns;
    const std::vector<int32_t> places(static_cast<size_t>(size), -7);
    for (int32_t descending = 0; descending < 2; ++descending) {
      for (int given = 1; given < 4; ++given) {
        const std::string name = "sort" + Text({rows, columns, descending, given});
        const auto finish = [&](KernelCase test, auto values) {
          auto empty = values;
          std::fill(empty.begin(), empty.end(), 0);
          const DType dtype = sizeof(values[0]) == 1                                 ? DType::kUint8
                              : std::is_same_v<decltype(values), std::vector<float>> ? DType::kFloat32
                                                                                     : DType::kInt32;
          (given & 1) != 0 ? test.Operands(dtype, empty) : test.Absent();
          (given & 2) != 0 ? test.Int(places) : test.Absent();
          test.Operands(dtype, values)
              .Attributes({rows, columns, descending})
              .Tolerance(-1, 0)
              .Compare(counts);
        };
        std::vector<float> x = Floats(random, size);
        finish(KernelCase(Opcode::kSort, name), x);
        const float special[] = {kNaN, kInf, -kInf, 0.0f, -0.0f, 1e-40f, -1e-40f, -kNaN, 1.0f};
        for (size_t i = 0; i < x.size(); ++i) x[i] = special[random() % 9];
        finish(KernelCase(Opcode::kSort, name + " special"), x);
        finish(KernelCase(Opcode::kSort, name + " int32"),
               Integers<int32_t>(random, size, std::numeric_limits<int32_t>::min(),
                                 std::numeric_limits<int32_t>::max()));
        finish(KernelCase(Opcode::kSort, name + " equal"), Integers<int32_t>(random, size, -1, 1));
        finish(KernelCase(Opcode::kSort, name + " uint8"), Integers<uint8_t>(random, size, 0, 255));
      }
    }
  }
}

void TestResize(Counts& counts) {
  std::mt19937 random(13);
  const int32_t shapes[][6] = {{0, 2, 2, 3, 4, 4},  {2, 3, 4, 0, 5, 5},  {1, 1, 1, 1, 3, 2},
                               {2, 3, 5, 3, 6, 10}, {1, 7, 5, 17, 3, 9}, {2, 4, 4, 64, 4, 4},
                               {1, 5, 4, 2, 1, 1},  {3, 2, 3, 1, 0, 4},  {1, 64, 64, 8, 31, 97}};
  for (const auto& [batch, inH, inW, channels, outH, outW] : shapes) {
    const int64_t in = int64_t{batch} * inH * inW * channels, out = int64_t{batch} * outH * outW * channels;
    for (int32_t mode = 0; mode < 2; ++mode) {
      for (int32_t centers = 0; centers < 3; ++centers) {
        const std::vector<int32_t> attributes = {mode, batch, inH,          inW,         channels,
                                                 outH, outW,  centers == 1, centers == 2};
        const std::string name = Text({mode, batch, inH, inW, channels, outH, outW, centers});
        const std::vector<float> small(static_cast<size_t>(in), 7.0f), large(static_cast<size_t>(out), 7.0f);
        KernelCase(Opcode::kResize, "resize" + name)
            .Float(large)
            .Float(Floats(random, in))
            .Attributes(attributes)
            .Tolerance(1e-5, 1e-6)
            .Compare(counts);
        KernelCase(Opcode::kResizeGrad, "resizeGrad" + name)
            .Float(small)
            .Float(Floats(random, out))
            .Attributes(attributes)
            .Tolerance(1e-5, 1e-5)
            .Compare(counts);
        if (mode == 0) {
          KernelCase(Opcode::kResize, "resize uint8" + name)
              .Byte(std::vector<uint8_t>(static_cast<size_t>(out)))
              .Byte(Integers<uint8_t>(random, in, 0, 255))
              .Attributes(attributes)
              .Compare(counts);
        }
      }
    }
  }
}

void TestRules(Counts& counts) {
  const auto refused = [&](const KernelCase& test, const char* what) {
    counts.Expect(!test.Check().empty(), std::string("refuses ") + what);
  };
  refused(KernelCase(Opcode::kCumulate, "").Float({1, 2}).Float({1, 2}).Attributes({0, 1, 3, 1, 0, 0}),
          "a cumulate of another size");
  refused(KernelCase(Opcode::kCumulate, "").Float({1, 2}).Float({1, 2}).Attributes({4, 1, 2, 1, 0, 0}),
          "an unknown cumulate");
  refused(KernelCase(Opcode::kCumulate, "").Int({1, 2}).Int({1, 2}).Attributes({3, 1, 2, 1, 0, 0}),
          "logSumExp of integers");
  refused(KernelCase(Opcode::kSort, "").Absent().Absent().Float({1, 2}).Attributes({1, 2, 0}),
          "a sort without outputs");
  refused(KernelCase(Opcode::kSort, "").Float({1}).Absent().Float({1, 2}).Attributes({1, 2, 0}),
          "a sort into too little");
  refused(KernelCase(Opcode::kResize, "").Float({1}).Float({1}).Attributes({1, 1, 1, 1, 1, 1, 1, 1, 1}),
          "both kinds of centers");
  refused(KernelCase(Opcode::kResize, "").Byte({1}).Byte({1}).Attributes({1, 1, 1, 1, 1, 1, 1, 0, 0}),
          "bilinear bytes");
  refused(KernelCase(Opcode::kResize, "").Float({1}).Float({}).Attributes({0, 1, 0, 1, 1, 1, 1, 0, 0}),
          "something from nothing");
  refused(KernelCase(Opcode::kResizeGrad, "").Int({1}).Int({1}).Attributes({0, 1, 1, 1, 1, 1, 1, 0, 0}),
          "integer gradients");
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  nabla::TestCumulate(counts);
  nabla::TestSort(counts);
  nabla::TestResize(counts);
  nabla::TestRules(counts);
  return counts.Finish("ordering_test.cpp");
}
