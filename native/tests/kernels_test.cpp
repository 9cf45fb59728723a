// Compares reduce, softmax, softmaxGrad, softmaxCrossEntropy, gather and scatterAdd of every instruction set
// with the reference.
#include <limits>

#include "tests/kernel_case.h"

namespace nabla {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Box {
  int32_t outer, count, inner;
};

// Sizes below, at and above vectors, tiles, blocks and grains.
const Box kBoxes[] = {{0, 3, 1},    {3, 0, 1},      {2, 0, 5},     {1, 1, 1},     {5, 7, 1},    {32, 10, 1},
                      {3, 65, 1},   {2, 1000, 1},   {1, 3, 1},     {4, 3, 2},     {2, 31, 17},  {1, 32, 128},
                      {1, 600, 70}, {3, 5, 131},    {1, 9001, 1},  {1, 9000, 3},  {2, 1, 9},    {7, 2, 64},
                      {1, 3, 0},    {1, 200000, 1}, {1, 5000, 37}, {1, 700, 300}, {9, 20000, 1}};

std::string Name(const char* kernel, const Box& box, int kind) {
  return std::string(kernel) + " " + std::to_string(kind) + " [" + std::to_string(box.outer) + ", " +
         std::to_string(box.count) + ", " + std::to_string(box.inner) + "]";
}

void TestReduce(Counts& counts) {
  std::mt19937 random(1);
  for (const Box& box : kBoxes) {
    const int64_t in = int64_t{box.outer} * box.count * box.inner, out = int64_t{box.outer} * box.inner;
    for (int32_t kind = 0; kind < static_cast<int32_t>(ReduceKind::kCount); ++kind) {
      const ReduceKind reduce = static_cast<ReduceKind>(kind);
      const bool position = reduce == ReduceKind::kArgMax || reduce == ReduceKind::kArgMin;
      const bool extreme = position || reduce == ReduceKind::kMax || reduce == ReduceKind::kMin;
      const bool logical = reduce == ReduceKind::kAny || reduce == ReduceKind::kAll;
      const bool sum = reduce == ReduceKind::kSum || reduce == ReduceKind::kSumSquares;
      if (position && box.count == 0) continue;
      const std::vector<int32_t> attributes = {kind, box.outer, box.count, box.inner,
                                               Bits(sum ? 0.5f : 1.0f)};
      const std::vector<int32_t> unscaled = {kind, box.outer, box.count, box.inner, Bits(1)};
      const std::string name = Name("reduce", box, kind);
      const std::vector<float> floats(static_cast<size_t>(out), 7.0f);
      const std::vector<int32_t> ints(static_cast<size_t>(out), 7);
      const std::vector<uint8_t> bytes(static_cast<size_t>(out), 7);
      if (!logical) {
        std::vector<float> values = Floats(random, in, reduce == ReduceKind::kProd ? 0.99f : -1,
                                           reduce == ReduceKind::kProd ? 1.01f : 1);
        const auto add = [&](const std::vector<float>& x, const char* what) {
          KernelCase test(Opcode::kReduce, name + what);
          position ? test.Int(ints) : test.Float(floats);
          test.Float(x)
              .Attributes(attributes)
              .Tolerance(reduce == ReduceKind::kProd ? 1e-5 : 2e-6, 4e-7 * std::sqrt(1.0 + box.count));
          test.Compare(counts);
        };
        add(values, " float32");
        if (in > 2) {
          values[static_cast<size_t>(in / 2)] = kNaN;
          add(values, " with NaN");
          values[static_cast<size_t>(in - 1)] = kNaN;
          values[0] = kInf;
          add(values, " with NaN and infinity");
          add(std::vector<float>(static_cast<size_t>(in), extreme ? -kInf : 0.0f), " of equal elements");
        }
      }
      if (!logical && reduce != ReduceKind::kSumSquares) {
        KernelCase test(Opcode::kReduce, name + " int32");
        const auto values = Integers<int32_t>(random, in, extreme ? -9 : std::numeric_limits<int32_t>::min(),
                                              extreme ? 9 : std::numeric_limits<int32_t>::max());
        test.Int(ints).Int(values).Attributes(unscaled).Compare(counts);
      }
      if (extreme) {
        KernelCase test(Opcode::kReduce, name + " uint8");
        position ? test.Int(ints) : test.Byte(bytes);
        test.Byte(Integers<uint8_t>(random, in, 3, 250)).Attributes(unscaled).Compare(counts);
      }
      if (logical || (extreme && !position)) {
        for (int odds : {1, 60}) {
          auto values = Integers<uint8_t>(random, in, 0, odds);
          for (uint8_t& value : values)
            value = reduce == ReduceKind::kAny || reduce == ReduceKind::kMax ? value == odds : value != 0;
          KernelCase(Opcode::kReduce, name + " bool")
              .Bool(bytes)
              .Bool(values)
              .Attributes(unscaled)
              .Compare(counts);
        }
      }
    }
  }
}

void TestSoftmax(Counts& counts) {
  std::mt19937 random(2);
  const std::pair<int32_t, int32_t> shapes[] = {{0, 5},  {5, 0},   {1, 1},    {32, 10},  {3, 17},
                                                {2, 64}, {7, 100}, {2, 1027}, {1, 9000}, {90, 401}};
  for (const auto& [rows, columns] : shapes) {
    const int64_t size = int64_t{rows} * columns;
    const std::string name = " [" + std::to_string(rows) + ", " + std::to_string(columns) + "]";
    const std::vector<float> empty(static_cast<size_t>(size)), losses(static_cast<size_t>(rows));
    for (int kind = 0; kind < 4; ++kind) {
      std::vector<float> x = Floats(random, size, -20, 20);
      if (kind == 1 && size > 1) x[static_cast<size_t>(size / 2)] = kNaN;
      if (kind == 2 && size > 1) x[static_cast<size_t>(size / 2)] = -kInf;
      if (kind == 3) {
        for (int32_t i = 0; i < (rows > 0 ? columns : 0); ++i)
          x[static_cast<size_t>(i)] = -kInf;  // a row of nothing
        if (rows > 1 && columns > 0) x[static_cast<size_t>(size - 1)] = kInf;
      }
      for (int32_t log = 0; log < 2; ++log) {
        const std::string what = name + " log " + std::to_string(log) + " kind " + std::to_string(kind);
        const std::vector<int32_t> attributes = {rows, columns, log};
        KernelCase(Opcode::kSoftmax, "softmax" + what)
            .Float(empty)
            .Float(x)
            .Attributes(attributes)
            .Tolerance(5e-6, 4e-6 * log + 1e-30)
            .Compare(counts);
        KernelCase(Opcode::kSoftmax, "softmax in place" + what)
            .Float(x)
            .SameAs(0)
            .Attributes(attributes)
            .Tolerance(5e-6, 4e-6 * log + 1e-30)
            .Compare(counts);
        std::vector<float> y = Floats(random, size, log ? -20 : 0, log ? 0 : 1);
        if (kind == 2 && log && size > 0) y[0] = -kInf;
        const std::vector<float> dy = kind == 1 ? x : Floats(random, size);
        const double rounding = (kind == 1 ? 2e-5 : 1e-6) * std::sqrt(1.0 + columns);
        KernelCase(Opcode::kSoftmaxGrad, "softmaxGrad" + what)
            .Float(empty)
            .Float(y)
            .Float(dy)
            .Attributes(attributes)
            .Tolerance(1e-5, rounding)
            .Compare(counts);
        KernelCase inPlace(Opcode::kSoftmaxGrad, "softmaxGrad in place" + what);
        inPlace.Float(dy).Float(y).SameAs(0).Attributes(attributes).Tolerance(1e-5, rounding).Compare(counts);
      }
      for (int labelKind = 0; labelKind < 4; ++labelKind) {
        for (bool grad : {true, false}) {
          KernelCase test(Opcode::kSoftmaxCrossEntropy, "softmaxCrossEntropy" + name + " kind " +
                                                            std::to_string(kind) + " labels " +
                                                            std::to_string(labelKind));
          test.Float(losses);
          grad ? test.Float(empty) : test.Absent();
          test.Float(x).Attributes({rows, columns}).Tolerance(1e-5, 5e-6);
          if (labelKind == 0) test.Float(Floats(random, size, 0, 1));
          if (labelKind == 1) test.Int(Integers<int32_t>(random, rows, 0, std::max(0, columns - 1)));
          if (labelKind == 2)
            test.Byte(Integers<uint8_t>(random, rows, 0, std::min(255, std::max(0, columns - 1))));
          if (labelKind == 3)
            test.Int(Integers<int32_t>(random, rows, -columns / 9, columns));  // some out of range
          test.Compare(counts);
        }
      }
    }
  }
}

void TestGather(Counts& counts) {
  std::mt19937 random(3);
  struct Shape {
    int32_t count, tableRows, rowSize;
  };
  const Shape shapes[] = {{0, 4, 3},  {3, 4, 0},      {1, 1, 1}, {32, 60, 784}, {7, 5, 1},
                          {9, 3, 17}, {400, 50, 401}, {3, 0, 2}, {70000, 10, 2}};
  for (const Shape& s : shapes) {
    const int64_t table = int64_t{s.tableRows} * s.rowSize, out = int64_t{s.count} * s.rowSize;
    const std::vector<float> floats(static_cast<size_t>(out), 5.0f);
    for (int32_t cursor : {-2, 0, 2, 3, std::numeric_limits<int32_t>::min()}) {
      for (bool bad : {false, true}) {
        auto indices = Integers<int32_t>(random, (cursor == -2 ? 1 : 3) * int64_t{s.count}, 0,
                                         std::max(0, s.tableRows - 1));
        if (bad && !indices.empty()) {
          indices[indices.size() - 1] = s.tableRows;
          indices[indices.size() / 2] = -1;
        }
        const auto add = [&](KernelCase test, int32_t mode) {
          test.Int(indices);
          cursor == -2 ? test.Absent() : test.Int({cursor});
          test.Attributes({s.count, s.tableRows, s.rowSize, mode, Bits(0.25f), Bits(-0.5f)}).Compare(counts);
        };
        const std::string name = " " + std::to_string(s.count) + " of [" + std::to_string(s.tableRows) +
                                 ", " + std::to_string(s.rowSize) + "] cursor " + std::to_string(cursor);
        const auto bytes = Integers<uint8_t>(random, table, 0, 255);
        const auto ints = Integers<int32_t>(random, table, -1000, 1000);
        const auto values = Floats(random, table);
        add(KernelCase(Opcode::kGather, "gather float32" + name).Float(floats).Float(values), 0);
        add(KernelCase(Opcode::kGather, "gather uint8" + name)
                .Byte(std::vector<uint8_t>(static_cast<size_t>(out)))
                .Byte(bytes),
            0);
        add(KernelCase(Opcode::kGather, "gather affine float32" + name).Float(floats).Float(values), 1);
        add(KernelCase(Opcode::kGather, "gather affine int32" + name).Float(floats).Int(ints), 1);
        add(KernelCase(Opcode::kGather, "gather affine uint8" + name).Float(floats).Byte(bytes), 1);
        const int32_t most = bad ? s.rowSize : std::max(0, s.rowSize - 1);
        add(KernelCase(Opcode::kGather, "gather one-hot int32" + name)
                .Float(floats)
                .Int(Integers<int32_t>(random, s.tableRows, 0, most)),
            2);
        add(KernelCase(Opcode::kGather, "gather one-hot uint8" + name)
                .Float(floats)
                .Byte(Integers<uint8_t>(random, s.tableRows, 0, std::min(255, most))),
            2);
      }
    }
    for (int32_t accumulate = 0; accumulate < 2; ++accumulate) {
      for (bool bad : {false, true}) {
        auto indices = Integers<int32_t>(random, s.count, 0, std::max(0, s.tableRows - 1));
        if (bad && s.count > 0) indices[indices.size() / 2] = s.tableRows;
        KernelCase test(Opcode::kScatterAdd,
                        "scatterAdd " + std::to_string(s.count) + " x " + std::to_string(s.rowSize));
        test.Float(Floats(random, table)).Float(Floats(random, out)).Int(indices);
        test.Attributes({s.count, s.tableRows, s.rowSize, accumulate})
            .Tolerance(1e-5, 1e-6 * s.count)
            .Compare(counts);
      }
    }
  }
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  nabla::TestReduce(counts);
  nabla::TestSoftmax(counts);
  nabla::TestGather(counts);
  return counts.Finish("kernels_test.cpp");
}
