// Compares normalize, normalizeGrad, attention and attentionGrad of every instruction set with the reference,
// and their rules with what they must refuse.
#include <limits>

#include "tests/kernel_case.h"

namespace nabla {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

void TestNormalize(Counts& counts) {
  std::mt19937 random(1);
  const std::pair<int32_t, int32_t> shapes[] = {{0, 5},   {5, 0},    {1, 1},     {3, 17},   {7, 64},
                                                {2, 100}, {130, 33}, {1, 10000}, {700, 65}, {3, 1027}};
  for (const auto& [rows, columns] : shapes) {
    const int64_t size = int64_t{rows} * columns;
    const std::vector<float> x = Floats(random, size, -2, 5), dy = Floats(random, size);
    const std::vector<float> scale = Floats(random, columns), offset = Floats(random, columns);
    const std::vector<float> out(static_cast<size_t>(size), 9.0f), perRow(static_cast<size_t>(rows), 9.0f);
    const std::vector<float> perColumn(static_cast<size_t>(columns), 9.0f);
    for (int variant = 0; variant < 8; ++variant) {
      const bool center = variant & 1, affine = variant & 2, statistics = variant & 4;
      const std::string what = " [" + std::to_string(rows) + ", " + std::to_string(columns) + "] variant " +
                               std::to_string(variant);
      const auto maybe = [&](KernelCase& test, bool there, const std::vector<float>& values) {
        there ? test.Float(values) : test.Absent();
      };
      KernelCase forward(Opcode::kNormalize, "normalize" + what);
      forward.Float(out);
      maybe(forward, statistics && center, perRow);
      maybe(forward, statistics, perRow);
      forward.Float(x);
      maybe(forward, affine, scale);
      maybe(forward, affine, offset);
      forward.Attributes({rows, columns, center, Bits(1e-3f)}).Tolerance(5e-6, 5e-6).Compare(counts);

      KernelCase backward(Opcode::kNormalizeGrad, "normalizeGrad" + what);
      backward.Float(out);
      maybe(backward, affine, perColumn);
      maybe(backward, affine && statistics, perColumn);
      backward.Float(dy).Float(x);
      maybe(backward, center, Floats(random, rows));
      backward.Float(Floats(random, rows, 0.1f, 2));
      maybe(backward, affine, scale);
      backward.Attributes({rows, columns}).Tolerance(1e-5, 2e-5 + 1e-6 * rows).Compare(counts);
    }
  }
}

struct Shape {
  int32_t batch, heads, kvHeads, queries, keys, dim, valueDim;
  bool causal;
  int mask;       // 0 none, 1 float for all, 2 float a sample and head, 3 bool a sample
  bool together;  // q, k and v in the rows of one product
};

const Shape kShapes[] = {
    {2, 4, 4, 64, 64, 32, 32, true, 0, true},   {2, 2, 2, 64, 64, 32, 32, false, 0, false},
    {1, 1, 1, 1, 1, 1, 1, true, 0, false},      {1, 3, 1, 5, 9, 7, 3, false, 2, false},
    {2, 4, 2, 33, 33, 20, 20, true, 1, true},   {1, 2, 1, 130, 130, 16, 16, true, 0, true},
    {1, 2, 2, 65, 200, 8, 24, false, 3, false}, {1, 2, 2, 100, 70, 64, 64, true, 2, false},
    {2, 1, 1, 3, 0, 4, 4, false, 0, false},     {2, 1, 1, 0, 3, 4, 4, true, 0, false},
    {0, 1, 1, 2, 3, 4, 4, true, 0, false},      {1, 1, 1, 257, 257, 128, 128, true, 3, false},
    {1, 6, 2, 17, 17, 48, 48, false, 3, true},
};

struct Inputs {
  std::vector<float> q, k, v;
  std::vector<float> floatMask;
  std::vector<uint8_t> boolMask;
  std::vector<int32_t> attributes;
};

Inputs Make(const Shape& s, std::mt19937& random) {
  Inputs in;
  const int32_t qWidth = s.heads * s.dim, kWidth = s.kvHeads * s.dim, vWidth = s.kvHeads * s.valueDim;
  const int32_t row = qWidth + kWidth + vWidth;
  in.q = Floats(random, int64_t{s.batch} * s.queries * (s.together ? row : qWidth), -1, 1);
  if (!s.together) {
    in.k = Floats(random, int64_t{s.batch} * s.keys * kWidth, -1, 1);
    in.v = Floats(random, int64_t{s.batch} * s.keys * vWidth, -1, 1);
  }
  const int64_t sheet = int64_t{s.queries} * s.keys;
  const int64_t sheets = s.mask == 2 ? s.batch * s.heads : s.mask == 3 ? s.batch : 1;
  in.floatMask = Floats(random, sheet * sheets);
  for (size_t i = 0; i < in.floatMask.size(); i += 7) in.floatMask[i] = -kInf;
  in.boolMask = Integers<uint8_t>(random, sheet * sheets, 0, 2);
  for (uint8_t& kept : in.boolMask) kept = kept > 0;
  // A query that sees nothing.
  for (int64_t i = 0; s.mask > 0 && sheet > 0 && i < s.keys; ++i) in.boolMask[static_cast<size_t>(i)] = 0;
  for (int64_t i = 0; s.mask > 0 && sheet > 0 && i < s.keys; ++i)
    in.floatMask[static_cast<size_t>(i)] = -kInf;
  in.attributes = {s.batch, s.heads, s.kvHeads, s.queries, s.keys, s.dim, s.valueDim};
  const auto slice = [&](int32_t width, int32_t offset) {
    in.attributes.push_back(s.together ? row : width);
    in.attributes.push_back(s.together ? offset : 0);
  };
  slice(qWidth, 0);
  slice(kWidth, qWidth);
  slice(vWidth, qWidth + kWidth);
  in.attributes.insert(in.attributes.end(), {s.mask >= 2, s.mask == 2, s.causal, Bits(0.3f)});
  return in;
}

void AddInputs(KernelCase& test, const Shape& s, const Inputs& in, size_t q) {
  test.Float(in.q);
  s.together ? test.SameAs(q) : test.Float(in.k);
  s.together ? test.SameAs(q) : test.Float(in.v);
}

void AddMask(KernelCase& test, const Shape& s, const Inputs& in) {
  if (s.mask == 0) test.Absent();
  if (s.mask == 1 || s.mask == 2) test.Float(in.floatMask);
  if (s.mask == 3) test.Bool(in.boolMask);
}

void TestAttention(Counts& counts) {
  std::mt19937 random(2);
  int number = 0;
  for (const Shape& s : kShapes) {
    const std::string name = " " + std::to_string(number++);
    const Inputs in = Make(s, random);
    const int64_t outSize = int64_t{s.batch} * s.queries * s.heads * s.valueDim;
    const int64_t statistics = int64_t{s.batch} * s.heads * s.queries;
    const std::vector<float> out(static_cast<size_t>(outSize), 9.0f),
        sums(static_cast<size_t>(statistics), 9.0f);
    for (const bool wanted : {true, false}) {
      KernelCase test(Opcode::kAttention, "attention" + name);
      test.Float(out);
      wanted ? test.Float(sums) : test.Absent();
      AddInputs(test, s, in, 2);
      AddMask(test, s, in);
      test.Attributes(in.attributes).Tolerance(1e-5, 2e-6).Compare(counts);
    }
    KernelCase test(Opcode::kAttentionGrad, "attentionGrad" + name);
    test.Float(std::vector<float>(in.q.size(), 9.0f));
    if (s.together) {
      test.Absent().Absent();
    } else {
      test.Float(std::vector<float>(in.k.size(), 9.0f)).Float(std::vector<float>(in.v.size(), 9.0f));
    }
    AddInputs(test, s, in, 3);
    std::vector<float> logSumExp = Floats(random, statistics, 4, 5);
    for (size_t i = 0; i < logSumExp.size(); i += 11) logSumExp[i] = kInf;
    test.Float(Floats(random, outSize)).Float(logSumExp).Float(Floats(random, outSize));
    AddMask(test, s, in);
    test.Attributes(in.attributes).Tolerance(1e-5, 2e-6 + 2e-7 * s.queries).Compare(counts);
  }
}

void TestRules(Counts& counts) {
  std::mt19937 random(3);
  const Shape s{2, 2, 1, 4, 4, 8, 8, false, 0, true};
  const auto check = [&](size_t attribute, int32_t value, bool good) {
    Inputs in = Make(s, random);
    if (attribute < in.attributes.size()) in.attributes[attribute] = value;
    KernelCase test(Opcode::kAttentionGrad, "rule");
    const std::vector<float> out(static_cast<size_t>(s.batch * s.queries * s.heads * s.valueDim));
    test.Float(in.q).Absent().Absent().Float(in.q).Float(in.q).Float(in.q);
    test.Float(out).Float(std::vector<float>(16)).Float(out).Absent().Attributes(in.attributes);
    const std::string said = test.Check();
    counts.Expect(said.empty() == good,
                  "attribute " + std::to_string(attribute) + " = " + std::to_string(value) + ": " + said);
  };
  check(99, 0, true);
  for (const auto& [attribute, value] :
       std::initializer_list<std::pair<size_t, int32_t>>{{0, 3},
                                                         {0, -1},
                                                         {1, 3},
                                                         {1, 0},
                                                         {2, 2},
                                                         {3, 5},
                                                         {3, 3},
                                                         {4, 5},
                                                         {5, 0},
                                                         {5, 9},
                                                         {6, 9},
                                                         {7, 31},
                                                         {7, 33},
                                                         {8, 1},
                                                         {9, 40},
                                                         {10, 15},
                                                         {10, 17},
                                                         {12, 23},
                                                         {12, 25},
                                                         {13, 2},
                                                         {15, -1},
                                                         {0, std::numeric_limits<int32_t>::max()},
                                                         {7, std::numeric_limits<int32_t>::max()}}) {
    check(attribute, value, false);
  }
}

}  // namespace
}  // namespace nabla

int main() {
  nabla::Counts counts;
  nabla::TestNormalize(counts);
  nabla::TestAttention(counts);
  nabla::TestRules(counts);
  return counts.Finish("attention_test.cpp");
}
