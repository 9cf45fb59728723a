// Tests the thread pool: every part runs once, results are visible, pools come and go, a late worker does no
// harm.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "cpu/kernel.h"

namespace {

int passed = 0;
int failed = 0;

void Check(bool ok, const char* what) {
  (ok ? passed : failed)++;
  if (!ok) std::fprintf(stderr, "pool_test: %s\n", what);
}

// Plain numbers, not atomics: the pool itself must order what the parts write before what the caller reads.
void EveryPartOnce(int threads, int rounds) {
  nabla::ThreadPool pool(threads);
  std::vector<int> seen(static_cast<size_t>(pool.threads()));
  for (int round = 0; round < rounds; round++) {
    const int parts = 1 + round % pool.threads();
    for (int& count : seen) count = 0;
    pool.Run(
        parts,
        [](void* context, int part) {
          (*static_cast<std::vector<int>*>(context))[static_cast<size_t>(part)]++;
        },
        &seen);
    bool once = true;
    for (int i = 0; i < pool.threads(); i++) once &= seen[static_cast<size_t>(i)] == (i < parts ? 1 : 0);
    Check(once, "a part did not run exactly once");
  }
}

void SumsMatch(int threads) {
  nabla::ThreadPool pool(threads);
  for (int64_t count : {0, 1, 2, 3, 7, 100, 4096, 100003}) {
    std::vector<int64_t> values(static_cast<size_t>(count), 0);
    std::atomic<int> parts{0};
    nabla::ParallelFor(pool, count, 16, [&](int64_t begin, int64_t end, int) {
      parts++;
      for (int64_t i = begin; i < end; i++) values[static_cast<size_t>(i)] += i;
    });
    bool each = true;
    for (int64_t i = 0; i < count; i++) each &= values[static_cast<size_t>(i)] == i;
    Check(each, "an element was missed or met twice");
    Check(parts <= pool.threads(), "more parts than threads");
  }
}

// Pauses of many lengths let workers spin, fall asleep, and be woken while falling asleep.
void SleepAndWake(int threads) {
  nabla::ThreadPool pool(threads);
  int64_t total = 0;
  std::vector<int64_t> partial(static_cast<size_t>(pool.threads()));
  for (int round = 0; round < 300; round++) {
    std::this_thread::sleep_for(std::chrono::microseconds(round % 60));
    pool.Run(
        pool.threads(),
        [](void* context, int part) {
          (*static_cast<std::vector<int64_t>*>(context))[static_cast<size_t>(part)] = part + 1;
        },
        &partial);
    for (int64_t& value : partial) {
      total += value;
      value = 0;
    }
  }
  Check(total == 300LL * pool.threads() * (pool.threads() + 1) / 2, "a task was lost");
}

void ComeAndGo() {
  for (int round = 0; round < 100; round++) EveryPartOnce(1 + round % 4, round % 3);
}

double NanosecondsPerRun(int threads) {
  nabla::ThreadPool pool(threads);
  double best = 1e9;
  for (int repeat = 0; repeat < 20; repeat++) {
    constexpr int kRuns = 2000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRuns; i++)
      pool.Run(
          pool.threads(), [](void*, int) {}, nullptr);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / kRuns);
  }
  return best;
}

}  // namespace

int main() {
  for (int threads : {0, 1, 2, 3, 8}) {
    EveryPartOnce(threads, 2000);
    SumsMatch(threads);
    SleepAndWake(threads);
  }
  ComeAndGo();
  std::printf("an empty task takes %.0f ns on 1 thread, %.0f ns on 2\n", NanosecondsPerRun(1),
              NanosecondsPerRun(2));
  std::printf("pool_test: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
