// Compares rnn and rnnGrad of every instruction set with the reference, over kinds, sizes, masks, directions
// and absent operands.
#include "program/rnn.h"
#include "tests/kernel_case.h"

namespace nabla {
namespace {

struct Size {
  int32_t batch, time, units;
};

// Units below, at and above vectors and panels; batches below, at and above tiles.
constexpr Size kSizes[] = {{0, 3, 4},  {3, 0, 5},   {2, 3, 0},   {1, 1, 1},   {2, 3, 5},   {3, 4, 16},
                           {5, 2, 17}, {16, 3, 33}, {33, 2, 48}, {17, 5, 64}, {4, 40, 20}, {2, 2, 129}};

void TestSize(Counts& counts, std::mt19937& random, const Size& size, RnnKind kind, int options) {
  const int64_t batch = size.batch, time = size.time, units = size.units;
  const bool lstm = kind == RnnKind::kLstm, gru = kind == RnnKind::kGru;
  const bool begun = options & 1, masked = options & 2, backwards = options & 4, biased = options & 8;
  const std::vector<int32_t> attributes = {static_cast<int32_t>(kind), size.batch, size.time, size.units,
                                           backwards};
  const std::string name = " kind " + std::to_string(attributes[0]) + " [" + std::to_string(batch) + ", " +
                           std::to_string(time) + ", " + std::to_string(units) + "] options " +
                           std::to_string(options);
  const int64_t sums = RnnGates(kind) * units;
  Instruction shapeOnly;
  shapeOnly.attributes = attributes;
  const RnnShape shape(shapeOnly);
  const auto zeros = [](int64_t n) { return std::vector<float>(static_cast<size_t>(n)); };
  const auto optional = [&](KernelCase& test, bool there, int64_t n) {
    there ? test.Float(Floats(random, n, -1, 1)) : test.Absent();
  };
  const auto written = [&](KernelCase& test, bool there, int64_t n) {
    there ? test.Float(zeros(n)) : test.Absent();
  };
  const float range = 1.5f / std::sqrt(1.0f + static_cast<float>(units));
  const std::vector<float> recurrent = Floats(random, units * sums, -range, range);
  const std::vector<uint8_t> mask = Integers<uint8_t>(random, batch * time, 0, 1);

  KernelCase forward(Opcode::kRnn, "rnn" + name);
  written(forward, options % 3 != 0, batch * time * units);
  forward.Float(zeros(batch * units));
  written(forward, lstm && begun, batch * units);
  written(forward, !masked || begun, shape.reserveRows() * units);
  forward.Float(Floats(random, batch * time * sums));
  optional(forward, begun, batch * units);
  optional(forward, lstm && begun, batch * units);
  forward.Float(recurrent);
  optional(forward, biased, RnnBiases(kind) * units);
  masked ? forward.Bool(mask) : forward.Absent();
  forward.Attributes(attributes).Tolerance(2e-5, 2e-5).Compare(counts);

  // States, cells and gates as a forward run could have left them: between -1 and 1, the gates of LSTM and
  // GRU above 0.
  std::vector<float> reserve = Floats(random, shape.reserveRows() * units, -1, 1);
  if (lstm || gru) {
    const size_t end = static_cast<size_t>(shape.cellsAt());
    for (size_t i = static_cast<size_t>(shape.savedAt()); i < end; ++i) reserve[i] = std::abs(reserve[i]);
  }
  KernelCase backward(Opcode::kRnnGrad, "rnnGrad" + name);
  written(backward, true, batch * time * sums);
  written(backward, gru, batch * time * sums);
  written(backward, biased, RnnBiases(kind) * units);
  written(backward, begun, batch * units);
  written(backward, lstm && begun, batch * units);
  optional(backward, options % 3 != 0, batch * time * units);
  optional(backward, options % 3 != 1, batch * units);
  optional(backward, lstm && !masked, batch * units);
  backward.Float(reserve).Float(recurrent);
  masked ? backward.Bool(mask) : backward.Absent();
  backward.Attributes(attributes).Tolerance(5e-5, 5e-5).Compare(counts);
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  std::mt19937 random(1);
  for (const nabla::Size& size : nabla::kSizes) {
    for (int kind = 0; kind < static_cast<int>(nabla::RnnKind::kCount); ++kind) {
      for (int options = 0; options < 16; ++options) {
        nabla::TestSize(counts, random, size, static_cast<nabla::RnnKind>(kind), options);
      }
    }
  }
  return counts.Finish("rnn_test.cpp");
}
