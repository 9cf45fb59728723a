// Compares convolutions, their gradients and pooling of every instruction set with the reference.
#include <limits>

#include "tests/kernel_case.h"

namespace nabla {
namespace {

// One dimension: size, kernel, stride, dilation, padding before and after.
struct Axis {
  int32_t in = 1, kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;
  int32_t out() const { return (in + before + after - (kernel - 1) * dilation - 1) / stride + 1; }
};

struct Case {
  const char* name;
  int32_t batch, inC, outC, groups;
  Axis d, h, w;
};

constexpr Axis kOne = {};

const Case kCases[] = {
    {"mnist first", 3, 1, 32, 1, kOne, {28, 3}, {28, 3}},
    {"mnist second", 2, 32, 64, 1, kOne, {26, 3}, {26, 3}},
    {"same", 2, 5, 7, 1, kOne, {9, 3, 1, 1, 1, 1}, {11, 3, 1, 1, 1, 1}},
    {"same, even kernel", 2, 4, 3, 1, kOne, {6, 2, 1, 1, 0, 1}, {5, 4, 1, 1, 1, 2}},
    {"strided", 2, 3, 16, 1, kOne, {17, 3, 2}, {16, 3, 2}},
    {"strided, same", 1, 8, 17, 1, kOne, {15, 5, 2, 1, 2, 2}, {16, 5, 3, 1, 1, 2}},
    {"stride above kernel", 2, 3, 4, 1, kOne, {13, 2, 3}, {14, 1, 4}},
    {"dilated", 2, 6, 9, 1, kOne, {14, 3, 1, 2}, {15, 3, 1, 3, 3, 3}},
    {"dilated and strided", 1, 3, 5, 1, kOne, {19, 3, 2, 2, 2, 1}, {20, 3, 3, 2, 1, 1}},
    {"dilation a multiple of stride", 1, 4, 5, 1, kOne, {19, 3, 2, 4, 3, 3}, {20, 4, 3, 3, 2, 1}},
    {"1x1", 2, 19, 33, 1, kOne, {7, 1}, {5, 1}},
    {"groups", 2, 12, 20, 4, kOne, {8, 3, 1, 1, 1, 1}, {7, 3, 1, 1, 1, 1}},
    {"two groups, wide", 1, 40, 70, 2, kOne, {6, 3, 2, 1, 1, 1}, {9, 3, 1, 2, 2, 2}},
    {"depthwise", 2, 35, 35, 35, kOne, {9, 3, 1, 1, 1, 1}, {8, 3, 1, 1, 1, 1}},
    {"depthwise, strided and dilated", 2, 16, 16, 16, kOne, {13, 3, 2, 2, 1, 1}, {12, 3, 3, 1, 1, 1}},
    {"depthwise, multiplier 3", 2, 7, 21, 7, kOne, {6, 3, 1, 1, 1, 1}, {6, 2, 2}},
    {"one dimension", 3, 4, 6, 1, kOne, kOne, {50, 5, 2, 1, 2, 2}},
    {"causal", 2, 3, 4, 1, kOne, kOne, {21, 3, 1, 4, 8, 0}},
    {"long", 1, 3, 5, 1, kOne, kOne, {1501, 7, 1, 1, 3, 3}},
    {"long, strided", 1, 2, 3, 1, kOne, kOne, {2003, 4, 2}},
    {"three dimensions", 2, 3, 10, 1, {6, 3, 1, 1, 1, 1}, {7, 3, 1, 1, 1, 1}, {8, 3, 1, 1, 1, 1}},
    {"three dimensions, strided", 1, 4, 5, 1, {7, 2, 2}, {8, 3, 2, 1, 0, 1}, {9, 3, 1, 2, 2, 2}},
    {"deep", 1, 130, 40, 1, kOne, {5, 3, 1, 1, 1, 1}, {5, 3, 1, 1, 1, 1}},
    {"two threads' worth", 8, 16, 48, 1, kOne, {20, 3, 1, 1, 1, 1}, {21, 3, 1, 1, 1, 1}},
    {"large kernel, few channels", 2, 3, 12, 1, kOne, {20, 7, 2, 1, 3, 3}, {21, 7, 2, 1, 3, 3}},
    // Those that are computed by Winograd's filtering: tiles of 2x2 outputs, of which some lie in part
    // outside.
    {"tiles, all whole", 3, 16, 32, 1, kOne, {14, 3}, {10, 3}},
    {"tiles, the fewest", 1, 16, 16, 1, kOne, {6, 3, 1, 1, 1, 1}, {11, 3, 1, 1, 1, 1}},
    {"tiles, odd and full", 2, 19, 37, 1, kOne, {7, 3, 1, 1, 2, 2}, {9, 3, 1, 1, 2, 2}},
    {"tiles, uneven padding", 2, 33, 17, 1, kOne, {12, 3, 1, 1, 0, 1}, {9, 3, 1, 1, 2, 0}},
    {"tiles, several blocks", 2, 130, 18, 1, kOne, {22, 3, 1, 1, 1, 1}, {23, 3}},
    {"tiles, 256 channels", 1, 256, 16, 1, kOne, {10, 3, 1, 1, 1, 1}, {9, 3, 1, 1, 1, 1}},
    {"tiles, short blocks", 1, 330, 40, 1, kOne, {11, 3}, {12, 3, 1, 1, 1, 1}},
    {"tiles, no batch", 0, 16, 16, 1, kOne, {8, 3}, {8, 3}},
    {"too few tiles for the channels", 1, 40, 840, 1, kOne, {8, 3, 1, 1, 1, 1}, {8, 3, 1, 1, 1, 1}},
    {"no batch", 0, 3, 4, 1, kOne, {5, 3}, {5, 3}},
    {"no output", 2, 3, 4, 1, kOne, {2, 3}, {5, 3}},
    {"no channels", 2, 0, 4, 1, kOne, {5, 3}, {5, 3}},
};

int64_t Product(std::initializer_list<int32_t> factors) {
  int64_t product = 1;
  for (int32_t factor : factors) product *= factor;
  return product;
}

std::vector<int32_t> AttributesOf(const Case& c) {
  return {c.batch,    c.d.in,     c.h.in,     c.w.in,       c.inC,        c.d.out(),
          c.h.out(),  c.w.out(),  c.outC,     c.d.kernel,   c.h.kernel,   c.w.kernel,
          c.d.stride, c.h.stride, c.w.stride, c.d.dilation, c.h.dilation, c.w.dilation,
          c.d.before, c.h.before, c.w.before, c.groups};
}

void TestConvolution(Counts& counts) {
  std::mt19937 random(1);
  for (const Case& c : kCases) {
    const std::vector<int32_t> attributes = AttributesOf(c);
    const std::string name = c.name;
    const auto input = Floats(random, Product({c.batch, c.d.in, c.h.in, c.w.in, c.inC}), -1, 1);
    const auto filter =
        Floats(random, Product({c.d.kernel, c.h.kernel, c.w.kernel, c.inC / c.groups, c.outC}), -1, 1);
    const auto dy = Floats(random, Product({c.batch, c.d.out(), c.h.out(), c.w.out(), c.outC}), -1, 1);
    const auto bias = Floats(random, c.outC, -1, 1);
    const double terms = static_cast<double>(filter.size()) / std::max(1, c.outC);
    for (int32_t activation : {0, 1, 2, 3}) {
      std::vector<int32_t> forward = attributes;
      forward.push_back(activation);
      KernelCase test(Opcode::kConv, "conv " + name + ", activation " + std::to_string(activation));
      test.Float(std::vector<float>(dy.size(), 9.0f)).Float(input).Float(filter);
      activation == 1 ? test.Absent() : test.Float(bias);
      test.Attributes(forward).Tolerance(2e-6, 1e-6 * std::sqrt(terms + 4)).Compare(counts);
    }
    KernelCase(Opcode::kConvInputGrad, "convInputGrad " + name)
        .Float(std::vector<float>(input.size(), 9.0f))
        .Float(dy)
        .Float(filter)
        .Attributes(attributes)
        .Tolerance(2e-6, 1e-6 * std::sqrt(terms * c.outC + 4))
        .Compare(counts);
    const double positions = static_cast<double>(dy.size()) / std::max(1, c.outC);
    KernelCase(Opcode::kConvFilterGrad, "convFilterGrad " + name)
        .Float(std::vector<float>(filter.size(), 9.0f))
        .Float(input)
        .Float(dy)
        .Attributes(attributes)
        .Tolerance(2e-6, 1e-6 * std::sqrt(positions + 4))
        .Compare(counts);
  }
}

// The three kernels of a case, with inputs and gradients of the output between -1 and 1 times `scale`, to the
// power of a random number.
std::vector<KernelCase> KernelsOf(const Case& c, float scale) {
  std::mt19937 random(3);
  const auto scaled = [&](int64_t count) {
    auto values = Floats(random, count, -1, 1);
    const auto powers = Floats(random, count, -1, 1);
    for (size_t i = 0; i < values.size(); ++i) values[i] *= std::pow(scale, powers[i]);
    return values;
  };
  const auto input = scaled(Product({c.batch, c.h.in, c.w.in, c.inC}));
  const auto dy = scaled(Product({c.batch, c.h.out(), c.w.out(), c.outC}));
  const auto filter = Floats(random, Product({9, c.inC, c.outC}), -1, 1);
  std::vector<int32_t> forward = AttributesOf(c);
  forward.push_back(1);
  const auto zeros = [](const std::vector<float>& like) { return std::vector<float>(like.size()); };
  std::vector<KernelCase> kernels;
  kernels.emplace_back(Opcode::kConv, "conv, badly scaled")
      .Float(zeros(dy))
      .Float(input)
      .Float(filter)
      .Float(Floats(random, c.outC))
      .Attributes(forward);
  kernels.emplace_back(Opcode::kConvInputGrad, "convInputGrad, badly scaled")
      .Float(zeros(input))
      .Float(dy)
      .Float(filter)
      .Attributes(AttributesOf(c));
  kernels.emplace_back(Opcode::kConvFilterGrad, "convFilterGrad, badly scaled")
      .Float(zeros(filter))
      .Float(input)
      .Float(dy)
      .Attributes(AttributesOf(c));
  return kernels;
}

// Winograd's filtering adds and subtracts neighbouring pixels: where one is much smaller than the other, the
// error is that of the larger one.
void TestScales(Counts& counts) {
  const Case c = {"", 2, 24, 20, 1, kOne, {15, 3, 1, 1, 1, 1}, {14, 3, 1, 1, 1, 1}};
  constexpr float kScale = 1000;
  const double sums[] = {9.0 * c.inC, 9.0 * c.outC, 2.0 * 15 * 14};
  int i = 0;
  for (KernelCase& kernel : KernelsOf(c, kScale)) {
    const double largest = i == 2 ? double{kScale} * kScale : double{kScale};
    kernel.Tolerance(2e-6, 1e-6 * largest * std::sqrt(sums[i++])).Compare(counts);
  }
}

// The number of threads changes no bit, nor does the number of images that a batch has besides.
void TestBits(Counts& counts) {
  const Case many = {"", 5, 24, 40, 1, kOne, {15, 3, 1, 1, 1, 1}, {16, 3}};
  Case one = many;
  one.batch = 1;
  for (const KernelTable* table : UsableKernelTables()) {
    std::vector<KernelCase> kernels = KernelsOf(many, 10);
    for (size_t i = 0; i < kernels.size(); ++i) {
      const auto wanted = kernels[i].Run(*table, 1, 0).contents[0];
      for (const int threads : {2, 3, 5}) {
        counts.Expect(kernels[i].Run(*table, threads, 0).contents[0] == wanted,
                      "tiles on " + std::to_string(threads) + " threads, kernel " + std::to_string(i));
      }
      if (i == 2) continue;
      const auto& all = kernels[i].contents();
      const auto first = [&](size_t operand) {
        std::vector<float> values(all[operand].size() / sizeof(float) / 5);
        std::memcpy(values.data(), all[operand].data(), values.size() * sizeof(float));
        return values;
      };
      const auto whole = [&](size_t operand) {
        std::vector<float> values(all[operand].size() / sizeof(float));
        std::memcpy(values.data(), all[operand].data(), values.size() * sizeof(float));
        return values;
      };
      KernelCase single(kernels[i].instruction().opcode, "one image");
      single.Float(first(0)).Float(first(1)).Float(whole(2));
      std::vector<int32_t> attributes = AttributesOf(one);
      if (i == 0) {
        single.Float(whole(3));
        attributes.push_back(1);
      }
      single.Attributes(attributes);
      const auto alone = single.Run(*table, 1, 0).contents[0];
      counts.Expect(std::equal(alone.begin(), alone.end(), wanted.begin()),
                    "tiles of one image and of five, kernel " + std::to_string(i));
    }
  }
}

const Case kPools[] = {
    {"2x2", 3, 64, 64, 1, kOne, {24, 2, 2}, {24, 2, 2}},
    {"2x2, a row left", 2, 5, 5, 1, kOne, {7, 2, 2}, {9, 2, 2}},
    {"overlapping, same", 2, 20, 20, 1, kOne, {9, 3, 2, 1, 1, 1}, {8, 3, 1, 1, 1, 1}},
    {"gaps", 1, 33, 33, 1, kOne, {11, 2, 3}, {10, 1, 4}},
    {"one channel", 2, 1, 1, 1, kOne, {10, 3, 2, 1, 0, 1}, {10, 2, 2}},
    {"one dimension", 2, 3, 3, 1, kOne, kOne, {31, 4, 3, 1, 1, 1}},
    {"three dimensions", 1, 17, 17, 1, {5, 2, 2}, {6, 3, 1, 1, 1, 1}, {7, 2, 2, 1, 0, 1}},
    {"one image, many channels", 1, 200, 200, 1, kOne, {30, 2, 2}, {30, 2, 2}},
    {"no batch", 0, 3, 3, 1, kOne, {4, 2, 2}, {4, 2, 2}},
};

void TestPooling(Counts& counts) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  std::mt19937 random(2);
  for (const Case& c : kPools) {
    for (int32_t kind : {0, 1}) {
      for (int content = 0; content < 3; ++content) {
        const std::vector<int32_t> attributes = {kind,       c.batch,    c.d.in,     c.h.in,     c.w.in,
                                                 c.inC,      c.d.out(),  c.h.out(),  c.w.out(),  c.d.kernel,
                                                 c.h.kernel, c.w.kernel, c.d.stride, c.h.stride, c.w.stride,
                                                 c.d.before, c.h.before, c.w.before};
        const std::string name =
            std::string(c.name) + " kind " + std::to_string(kind) + " content " + std::to_string(content);
        auto input = Floats(random, Product({c.batch, c.d.in, c.h.in, c.w.in, c.inC}));
        // Many equal maxima, or NaN here and there.
        for (size_t i = 0; i < input.size(); ++i) {
          if (content == 1) input[i] = std::round(input[i] / 2);
          if (content == 2 && i % 7 == 0) input[i] = kNaN;
        }
        const auto dy = Floats(random, Product({c.batch, c.d.out(), c.h.out(), c.w.out(), c.inC}));
        KernelCase pool(Opcode::kPool, "pool " + name);
        pool.Float(std::vector<float>(dy.size(), 9.0f)).Float(input).Attributes(attributes).Compare(counts);
        const auto bytes = pool.Run(*FindKernelTable("reference"), 1, 0).contents[0];
        std::vector<float> y(dy.size());
        if (!bytes.empty()) std::memcpy(y.data(), bytes.data(), bytes.size());
        KernelCase(Opcode::kPoolGrad, "poolGrad " + name)
            .Float(std::vector<float>(input.size(), 9.0f))
            .Float(input)
            .Float(y)
            .Float(dy)
            .Attributes(attributes)
            .Tolerance(1e-6, 2e-6)
            .Compare(counts);
      }
    }
  }
}

// What a program must not get past the rules.
void TestRules(Counts& counts) {
  const auto refused = [&](size_t attribute, int32_t value, const char* what) {
    std::vector<int32_t> attributes = {2, 1, 6, 6, 4, 1, 4, 4, 8, 1, 3, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0};
    const bool good = attribute == 99;
    if (!good) attributes[attribute] = value;
    KernelCase test(Opcode::kConv, what);
    test.Float(std::vector<float>(256))
        .Float(std::vector<float>(288))
        .Float(std::vector<float>(288))
        .Absent();
    test.Attributes(attributes);
    counts.Expect(test.Check().empty() == good, std::string("rule: ") + what);
  };
  refused(99, 0, "accepts what is right");
  refused(0, 3, "batch");
  refused(2, 7, "height");
  refused(6, 9, "output beyond the input");
  refused(11, 2147483647, "kernel");
  refused(13, 0, "stride 0");
  refused(16, 0, "dilation 0");
  refused(19, 3, "padding as large as the window");
  refused(17, 134217728, "dilation too large");
  refused(20, -1, "negative padding");
  refused(21, 3, "groups that do not divide");
  refused(21, 0, "groups 0");
  refused(22, 4, "activation");
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  nabla::TestConvolution(counts);
  nabla::TestScales(counts);
  nabla::TestBits(counts);
  nabla::TestPooling(counts);
  nabla::TestRules(counts);
  return counts.Finish("conv_test");
}
