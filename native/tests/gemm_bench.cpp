// Prints the matrix product's speed in GFLOP/s for the shapes that matter, by instruction set and number of
// threads.
//
// Arguments (all optional): the name of one instruction set, the largest number of threads.
#include "cpu/targets.h"
#include "hwy/detect_targets.h"
// Targets first: the sets of instructions are fixed before anything of Highway is read.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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
#undef NABLA_DECLARE

namespace {

struct Shape {
  int32_t m, n, k, transA, transB;
};

constexpr Shape kShapes[] = {{32, 128, 784, 0, 0},     {32, 10, 128, 0, 0},     {784, 128, 32, 1, 0},
                             {32, 784, 128, 0, 1},     {128, 10, 32, 1, 0},     {32, 128, 10, 0, 1},
                             {1, 128, 784, 0, 0},      {128, 128, 784, 0, 0},   {256, 256, 256, 0, 0},
                             {512, 512, 512, 0, 0},    {512, 512, 512, 1, 0},   {512, 512, 512, 0, 1},
                             {1024, 1024, 1024, 0, 0}, {2048, 2048, 2048, 0, 0}};

// Memory on cache lines, as the backends' arenas are.
struct Aligned {
  std::byte* data;
  explicit Aligned(size_t bytes)
      : data(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {}
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
};

Operand MakeOperand(const Aligned& memory, size_t size) {
  Operand operand;
  operand.data = memory.data;
  operand.rank = 1;
  operand.dims[0] = operand.size = static_cast<int64_t>(size);
  operand.present = true;
  std::fill_n(operand.as<float>(), size, 0.5f);
  return operand;
}

// The least time of one product in seconds.
double Measure(RunFn run, const Shape& shape, ThreadPool& pool) {
  const size_t m = static_cast<size_t>(shape.m), n = static_cast<size_t>(shape.n),
               k = static_cast<size_t>(shape.k);
  const Aligned a(m * k * sizeof(float)), b(k * n * sizeof(float)), out(m * n * sizeof(float));
  Instruction instruction;
  const float one = 1;
  int32_t alpha;
  std::memcpy(&alpha, &one, sizeof alpha);
  instruction.attributes = {1, shape.m, shape.n, shape.k, shape.transA, shape.transB, 0, 0, 0, 0, 0, alpha};
  instruction.operands = {MakeOperand(out, m * n), MakeOperand(a, m * k), MakeOperand(b, k * n), Operand{}};
  instruction.scratchBytes = ScratchGemm(instruction, pool.threads());
  const Aligned scratch(instruction.scratchBytes);
  Fault fault;
  const Call call{instruction, scratch.data, pool, fault};
  using Clock = std::chrono::steady_clock;
  double best = 1e30, spent = 0;
  int inner = 1;
  while (spent < 0.25) {
    const auto begin = Clock::now();
    for (int i = 0; i < inner; i++) run(call);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    spent += seconds;
    best = std::min(best, seconds / inner);
    if (seconds < 5e-5) inner *= 2;
  }
  return best;
}

void Report(const char* name, RunFn run, int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], name) != 0) return;
  const int most = argc > 2 ? std::atoi(argv[2]) : 2;
  for (int threads = 1; threads <= most; threads++) {
    ThreadPool pool(threads);
    for (const Shape& shape : kShapes) {
      const double seconds = Measure(run, shape, pool);
      const double work = 2.0 * shape.m * shape.n * shape.k;
      std::printf("%-6s %d thread%s %4dx%4dx%4d %c%c %8.1f GFLOP/s %10.2f us\n", name, threads,
                  threads == 1 ? " " : "s", shape.m, shape.n, shape.k, shape.transA ? 'T' : 'N',
                  shape.transB ? 'T' : 'N', work / seconds * 1e-9, seconds * 1e6);
    }
  }
}

}  // namespace
}  // namespace nabla

int main(int argc, char** argv) {
  using namespace nabla;
#if HWY_TARGETS & HWY_SCALAR
  Report("scalar", &N_SCALAR::RunGemm, argc, argv);
#endif
#if HWY_TARGETS & HWY_SSE4
  if (__builtin_cpu_supports("sse4.2")) Report("sse4", &N_SSE4::RunGemm, argc, argv);
#endif
#if HWY_TARGETS & HWY_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    Report("avx2", &N_AVX2::RunGemm, argc, argv);
#endif
#if HWY_TARGETS & HWY_AVX3
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    Report("avx3", &N_AVX3::RunGemm, argc, argv);
  }
#endif
#if HWY_TARGETS & HWY_NEON
  Report("neon", &N_NEON::RunGemm, argc, argv);
#endif
#if HWY_TARGETS & HWY_WASM
  Report("wasm", &N_WASM::RunGemm, argc, argv);
#endif
  return 0;
}
