// Measures this machine's own ceilings: fused multiply-adds (GFLOP/s) and memory (GB/s) on N threads.
// Compiled by lib/machine.ts with -O3 -march=native; prints one line of JSON.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Lanes __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / sizeof(float);
constexpr int kChains = 12;  // enough to hide the latency of two units, few enough for 16 registers
constexpr size_t kFloats = size_t{32} << 20;  // an array of 128 MiB: far beyond every cache

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

volatile float sink;

// Loops over chains are unrolled whole, so that the sums stay in registers; they start apart, so that none is
// another's copy.
void MultiplyAdd(int64_t rounds) {
  Lanes sums[kChains];
#pragma GCC unroll 16
  for (int c = 0; c < kChains; c++) sums[c] = Lanes{} + static_cast<float>(c);
  const Lanes a = Lanes{} + 0.999f, b = Lanes{} + 1e-3f;
  for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; c++) sums[c] = sums[c] * a + b;
  }
  Lanes total = {};
#pragma GCC unroll 16
  for (int c = 0; c < kChains; c++) total += sums[c];
  sink = total[0];
}

// Best of several runs of body(part) on all threads at once, in seconds.
double Best(int threads, int runs, const std::function<void(int)>& body) {
  double best = 1e30;
  for (int run = 0; run < runs; run++) {
    std::vector<std::thread> others;
    const double start = Now();
    for (int part = 1; part < threads; part++) others.emplace_back(body, part);
    body(0);
    for (auto& other : others) other.join();
    best = std::min(best, Now() - start);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  // Well under a millisecond on one thread, to fall between interruptions; longer on several, where starting
  // them counts.
  const int64_t rounds = threads == 1 ? 200'000 : 2'000'000;
  const double fma = Best(threads, threads == 1 ? 200 : 30, [&](int) { MultiplyAdd(rounds); });
  const double flops = 2.0 * rounds * kChains * kLanes * threads;

  std::vector<float> x(kFloats, 1.0f), y(kFloats, 2.0f);
  auto range = [&](int part) { return std::pair{kFloats * part / threads, kFloats * (part + 1) / threads}; };
  const double read = Best(threads, 8, [&](int part) {
    const auto [begin, end] = range(part);
    Lanes sums[4] = {};
    auto* lanes = reinterpret_cast<const Lanes*>(x.data() + begin);
    for (size_t i = 0; i + 4 <= (end - begin) / kLanes; i += 4) {
      for (int c = 0; c < 4; c++) {
        Lanes value;
        __builtin_memcpy(&value, lanes + i + c, sizeof value);
        sums[c] += value;
      }
    }
    sink = sums[0][0] + sums[1][0] + sums[2][0] + sums[3][0];
  });
  const double update = Best(threads, 8, [&](int part) {
    const auto [begin, end] = range(part);
    for (size_t i = begin; i < end; i++) y[i] = 0.5f * y[i] + x[i];
  });
  const double bytes = kFloats * sizeof(float);
  std::printf("{\"threads\":%d,\"fma\":%.1f,\"read\":%.2f,\"update\":%.2f}\n", threads, flops / fma / 1e9,
              bytes / read / 1e9, 3 * bytes / update / 1e9);
}
