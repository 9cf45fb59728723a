// The thread pool on operating system threads: workers spin for some microseconds after a task, then sleep.
//
// Which thread runs a part never changes what the part computes.
#include "cpu/pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "cpu/pool_task.h"

namespace nabla {
namespace {

// Long enough to bridge the gap between two instructions of a step, short enough not to matter to other
// processes.
constexpr auto kSpin = std::chrono::microseconds(100);
// Pauses between two looks at the clock.
constexpr int kPausesPerLook = 8;

inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Waits for ready() for at most kSpin; whether it came true.
template <class Ready>
bool SpinFor(Ready ready) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; i++) {
      if (ready()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

}  // namespace

struct ThreadPool::Shared {
  explicit Shared(int threads) : task(threads) {}

  PoolTask task;
  alignas(64) std::atomic<int> sleeping{0};
  std::atomic<bool> callerSleeps{false};
  std::atomic<bool> closing{false};
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable finished;
  std::vector<std::thread> workers;

  void Work(int self) {
    uint64_t seen = 0;
    const auto called = [&] { return task.word() != seen || closing.load(std::memory_order_relaxed); };
    while (!closing.load(std::memory_order_relaxed)) {
      seen = task.word();
      // Sequentially consistent against callerSleeps: either the caller sees the task done or this sees the
      // caller asleep.
      if (task.Help(self) && callerSleeps.load()) {
        std::lock_guard<std::mutex> lock(mutex);
        finished.notify_one();
      }
      if (SpinFor(called)) continue;
      std::unique_lock<std::mutex> lock(mutex);
      sleeping.fetch_add(1);
      work.wait(lock, called);
      sleeping.fetch_sub(1);
    }
  }

  void Wait() {
    const auto done = [this] { return task.done(); };
    if (SpinFor(done)) return;
    std::unique_lock<std::mutex> lock(mutex);
    callerSleeps.store(true);
    finished.wait(lock, done);
    callerSleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads) : threads_(1) {
  const int wanted = std::clamp(threads, 1, PoolTask::kMostParts);
  shared_ = std::make_unique<Shared>(wanted);
  try {
    shared_->workers.reserve(static_cast<size_t>(wanted - 1));
    for (; threads_ < wanted; threads_++) {
      shared_->workers.emplace_back([shared = shared_.get(), self = threads_] { shared->Work(self); });
    }
  } catch (const std::system_error&) {
    // The system has no more threads to give: work with those that started.
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    shared_->closing.store(true);
  }
  shared_->work.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::Run(int parts, Part part, void* context) {
  if (parts <= 1 || threads_ == 1) {
    for (int i = 0; i < parts; i++) part(context, i);
    return;
  }
  Shared& shared = *shared_;
  // Sequentially consistent against sleeping: either a worker going to sleep sees the task or this sees the
  // worker.
  shared.task.Publish(parts, part, context);
  if (shared.sleeping.load() > 0) {
    { std::lock_guard<std::mutex> lock(shared.mutex); }
    shared.work.notify_all();
  }
  shared.task.Help(0);
  shared.Wait();
}

}  // namespace nabla
