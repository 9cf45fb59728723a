// Runs one of the kernels that matter most once, on sizes of the benchmarks, so that callgrind can count its
// instructions (scripts/instructions.mjs).
//
// Arguments: the name of a case and of an instruction set; without any it lists the cases.
#include <functional>

#include "program/micro.h"
#include "program/rnn.h"
#include "tests/kernel_case.h"

namespace {

const nabla::KernelTable* counted = nullptr;

}  // namespace

// What callgrind counts between its begin and its end, by this name: the kernel alone.
extern "C" [[gnu::noinline]] void NablaCounted(const nabla::Call& call) {
  counted->run[static_cast<size_t>(call.instruction.opcode)](call);
  // Nothing may be left to a jump into the kernel: then this function would end before it.
  __asm__ volatile("" ::: "memory");
}

namespace nabla {
namespace {

using Words = std::vector<int32_t>;

std::vector<float> Zeros(int64_t count) { return std::vector<float>(static_cast<size_t>(count)); }

KernelCase Gemm(int32_t m, int32_t n, int32_t k, int32_t transA, int32_t transB) {
  std::mt19937 random(1);
  KernelCase test(Opcode::kGemm, "gemm");
  test.Float(Zeros(int64_t{m} * n)).Float(Floats(random, int64_t{m} * k, -1, 1));
  test.Float(Floats(random, int64_t{k} * n, -1, 1)).Absent();
  return test.Attributes({1, m, n, k, transA, transB, 0, 0, 0, 0, 0, Bits(1)});
}

// The second convolution of the benchmarks' network, on two images of the batch; with windows of 3x3, which
// are computed by Winograd's filtering, or of another size.
struct Convolution {
  int32_t kernel;
  static constexpr int32_t kBatch = 2, kIn = 26, kInC = 32, kOutC = 64;

  int32_t made() const { return kIn - kernel + 1; }
  int64_t input() const { return int64_t{kBatch} * kIn * kIn * kInC; }
  int64_t output() const { return int64_t{kBatch} * made() * made() * kOutC; }
  int64_t filter() const { return int64_t{kernel} * kernel * kInC * kOutC; }
  Words words() const {
    return {kBatch, 1, kIn, kIn, kInC, 1, made(), made(), kOutC, 1, kernel,
            kernel, 1, 1,   1,   1,    1, 1,      0,      0,     0, 1};
  }
};

KernelCase Conv(int32_t kernel) {
  const Convolution c{kernel};
  std::mt19937 random(1);
  Words words = c.words();
  words.push_back(1);
  KernelCase test(Opcode::kConv, "conv");
  test.Float(Zeros(c.output())).Float(Floats(random, c.input(), -1, 1));
  test.Float(Floats(random, c.filter(), -1, 1));
  return test.Float(Floats(random, c.kOutC, -1, 1)).Attributes(words);
}

KernelCase ConvInputGrad(int32_t kernel) {
  const Convolution c{kernel};
  std::mt19937 random(1);
  KernelCase test(Opcode::kConvInputGrad, "convInputGrad");
  test.Float(Zeros(c.input())).Float(Floats(random, c.output(), -1, 1));
  return test.Float(Floats(random, c.filter(), -1, 1)).Attributes(c.words());
}

KernelCase ConvFilterGrad(int32_t kernel) {
  const Convolution c{kernel};
  std::mt19937 random(1);
  KernelCase test(Opcode::kConvFilterGrad, "convFilterGrad");
  test.Float(Zeros(c.filter())).Float(Floats(random, c.input(), -1, 1));
  return test.Float(Floats(random, c.output(), -1, 1)).Attributes(c.words());
}

// The benchmarks' LSTM, over ten of its steps.
constexpr int32_t kSamples = 32, kTime = 10, kUnits = 128;
Words RnnWords() { return {static_cast<int32_t>(RnnKind::kLstm), kSamples, kTime, kUnits, 0}; }
int64_t ReserveSize() {
  Instruction instruction;
  instruction.attributes = RnnWords();
  return RnnShape(instruction).reserveRows() * kUnits;
}

KernelCase Rnn() {
  std::mt19937 random(1);
  KernelCase test(Opcode::kRnn, "rnn");
  test.Absent().Float(Zeros(kSamples * kUnits)).Absent().Float(Zeros(ReserveSize()));
  test.Float(Floats(random, kSamples * kTime * 4 * kUnits, -1, 1)).Absent().Absent();
  test.Float(Floats(random, kUnits * 4 * kUnits, -0.1f, 0.1f)).Absent().Absent();
  return test.Attributes(RnnWords());
}

KernelCase RnnGrad() {
  std::mt19937 random(1);
  KernelCase test(Opcode::kRnnGrad, "rnnGrad");
  test.Float(Zeros(kSamples * kTime * 4 * kUnits)).Absent().Absent().Absent().Absent();
  test.Absent().Float(Floats(random, kSamples * kUnits, -1, 1)).Absent();
  test.Float(Floats(random, ReserveSize(), 0, 1)).Float(Floats(random, kUnits * 4 * kUnits, -0.1f, 0.1f));
  return test.Absent().Attributes(RnnWords());
}

// The benchmarks' attention, four heads of 64 characters beside each other in the rows of one product, on two
// samples.
constexpr int32_t kRows = 2, kHeads = 4, kLetters = 64, kDim = 32, kWidth = kHeads * kDim;
constexpr int64_t kProduct = int64_t{kRows} * kLetters * 3 * kWidth,
                  kMixed = int64_t{kRows} * kLetters * kWidth;
Words AttentionWords() {
  return {kRows,      kHeads, kHeads,     kLetters,   kLetters, kDim, kDim, 3 * kWidth,  0,
          3 * kWidth, kWidth, 3 * kWidth, 2 * kWidth, 0,        0,    1,    Bits(0.177f)};
}

KernelCase Attention() {
  std::mt19937 random(1);
  KernelCase test(Opcode::kAttention, "attention");
  test.Float(Zeros(kMixed)).Float(Zeros(kRows * kHeads * kLetters));
  test.Float(Floats(random, kProduct, -1, 1)).SameAs(2).SameAs(2).Absent();
  return test.Attributes(AttentionWords());
}

KernelCase AttentionGrad() {
  std::mt19937 random(1);
  KernelCase test(Opcode::kAttentionGrad, "attentionGrad");
  test.Float(Zeros(kProduct)).Absent().Absent();
  test.Float(Floats(random, kProduct, -1, 1)).SameAs(3).SameAs(3).Float(Floats(random, kMixed, -1, 1));
  test.Float(Floats(random, kRows * kHeads * kLetters, 3, 4)).Float(Floats(random, kMixed, -1, 1));
  return test.Absent().Attributes(AttentionWords());
}

KernelCase Normalize() {
  constexpr int32_t kCount = 768, kColumns = 128;
  std::mt19937 random(1);
  KernelCase test(Opcode::kNormalize, "normalize");
  test.Float(Zeros(kCount * kColumns)).Float(Zeros(kCount)).Float(Zeros(kCount));
  test.Float(Floats(random, kCount * kColumns)).Float(Floats(random, kColumns)).Absent();
  return test.Attributes({kCount, kColumns, 1, Bits(1e-5f)});
}

KernelCase CrossEntropy() {
  constexpr int32_t kCount = 768, kColumns = 65;
  std::mt19937 random(1);
  KernelCase test(Opcode::kSoftmaxCrossEntropy, "softmaxCrossEntropy");
  test.Float(Zeros(kCount)).Float(Zeros(kCount * kColumns)).Float(Floats(random, kCount * kColumns));
  return test.Int(Integers<int32_t>(random, kCount, 0, kColumns - 1)).Attributes({kCount, kColumns});
}

KernelCase Adam() {
  constexpr int64_t kSize = 101770;
  std::mt19937 random(1);
  KernelCase test(Opcode::kUpdate, "update");
  test.Float(Floats(random, kSize)).Float(Floats(random, kSize)).Float(Floats(random, kSize, -1, 1));
  test.Float(Floats(random, kSize, 0, 1)).Absent().Float({0.01f, 5.0f}).Int({3}).Absent();
  return test.Attributes(
      {static_cast<int32_t>(UpdateKind::kAdam), 0, Bits(0.9f), Bits(0.999f), Bits(1e-7f), 0});
}

// exp(a * b + c)
KernelCase Map() {
  constexpr int64_t kSize = 100000;
  const auto micro = [](Micro op, int32_t a, int32_t b) { return Words{static_cast<int32_t>(op), a, b, 0}; };
  std::mt19937 random(1);
  KernelCase test(Opcode::kMap, "map");
  test.Float(Zeros(kSize));
  for (int i = 0; i < 3; ++i) test.Float(Floats(random, kSize));
  Words words;
  for (const Words& part :
       {micro(Micro::k_mul, 0, 1), micro(Micro::k_add, 3, 2), micro(Micro::k_exp, 4, 0)}) {
    words.insert(words.end(), part.begin(), part.end());
  }
  return test.Attributes(words);
}

const std::pair<const char*, std::function<KernelCase()>> kCases[] = {
    {"gemm/32x128x784", [] { return Gemm(32, 128, 784, 0, 0); }},
    {"gemm/784x128x32, A transposed", [] { return Gemm(784, 128, 32, 1, 0); }},
    {"gemm/256x256x256", [] { return Gemm(256, 256, 256, 0, 0); }},
    {"conv", [] { return Conv(3); }},
    {"convInputGrad", [] { return ConvInputGrad(3); }},
    {"convFilterGrad", [] { return ConvFilterGrad(3); }},
    {"conv/5x5", [] { return Conv(5); }},
    {"convInputGrad/5x5", [] { return ConvInputGrad(5); }},
    {"convFilterGrad/5x5", [] { return ConvFilterGrad(5); }},
    {"rnn/lstm", Rnn},
    {"rnnGrad/lstm", RnnGrad},
    {"attention", Attention},
    {"attentionGrad", AttentionGrad},
    {"normalize", Normalize},
    {"softmaxCrossEntropy", CrossEntropy},
    {"update/adam", Adam},
    {"map/exp(a*b+c)", Map},
};

int Main(int argc, char** argv) {
  if (argc < 3) {
    for (const auto& [name, make] : kCases) std::printf("%s\n", name);
    return 0;
  }
  counted = FindKernelTable(argv[2]);
  if (counted == nullptr) {
    std::fprintf(stderr, "the instruction set %s cannot run here\n", argv[2]);
    return 2;
  }
  for (const auto& [name, make] : kCases) {
    if (std::strcmp(name, argv[1]) != 0) continue;
    const KernelCase test = make();
    const std::string refused = test.Check();
    if (!refused.empty()) {
      std::fprintf(stderr, "%s: refused: %s\n", name, refused.c_str());
      return 1;
    }
    KernelTable table = *counted;
    std::fill(std::begin(table.run), std::end(table.run), &NablaCounted);
    return test.Run(table, 1, 0).fault.code == FaultCode::kNone ? 0 : 1;
  }
  std::fprintf(stderr, "no such case: %s\n", argv[1]);
  return 1;
}

}  // namespace
}  // namespace nabla

int main(int argc, char** argv) { return nabla::Main(argc, argv); }
