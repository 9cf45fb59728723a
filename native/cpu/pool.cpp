// The thread pool on operating system threads: workers spin for some microseconds after a task, then sleep.
//
// Parts are claimed one by one from a shared counter, also by the caller, so that a worker that the system
// has not scheduled costs nothing: the caller does its parts. Which thread runs a part never changes what the
// part computes.
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

namespace nabla {
namespace {

// Long enough to bridge the gap between two instructions of a step, short enough not to matter to other
// processes.
constexpr auto kSpin = std::chrono::microseconds(20);
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

// The claim word: number of the task, next part that nobody has claimed, number of parts. One word, so that a
// worker that comes late from an earlier task cannot claim a part of it twice.
constexpr uint64_t kPartMask = 0xffff;
constexpr uint64_t kOnePart = uint64_t{1} << 16;
constexpr uint64_t kOneTask = uint64_t{1} << 32;
constexpr uint64_t Parts(uint64_t claim) { return claim & kPartMask; }
constexpr uint64_t NextPart(uint64_t claim) { return (claim >> 16) & kPartMask; }

}  // namespace

struct ThreadPool::Shared {
  alignas(64) std::atomic<uint64_t> claim{0};
  // Written before the claim word is published, read only by those who have claimed a part.
  Part part = nullptr;
  void* context = nullptr;
  alignas(64) std::atomic<int> unfinished{0};
  alignas(64) std::atomic<int> sleeping{0};
  std::atomic<bool> callerSleeps{false};
  std::atomic<bool> closing{false};
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable finished;
  std::vector<std::thread> workers;

  bool HasWork() const {
    const uint64_t now = claim.load();
    return NextPart(now) < Parts(now) || closing.load(std::memory_order_relaxed);
  }

  // Claims and runs parts until none is left.
  void Help() {
    uint64_t now = claim.load(std::memory_order_acquire);
    while (NextPart(now) < Parts(now)) {
      if (!claim.compare_exchange_weak(now, now + kOnePart, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
        continue;
      part(context, static_cast<int>(NextPart(now)));
      // Sequentially consistent against callerSleeps: either the caller sees 0 or this sees the caller
      // asleep.
      if (unfinished.fetch_sub(1) == 1 && callerSleeps.load()) {
        std::lock_guard<std::mutex> lock(mutex);
        finished.notify_one();
      }
      now = claim.load(std::memory_order_acquire);
    }
  }

  void Work() {
    while (!closing.load(std::memory_order_relaxed)) {
      Help();
      if (SpinFor([this] { return HasWork(); })) continue;
      std::unique_lock<std::mutex> lock(mutex);
      sleeping.fetch_add(1);
      work.wait(lock, [this] { return HasWork(); });
      sleeping.fetch_sub(1);
    }
  }

  void Wait() {
    const auto done = [this] { return unfinished.load() == 0; };
    if (SpinFor(done)) return;
    std::unique_lock<std::mutex> lock(mutex);
    callerSleeps.store(true);
    finished.wait(lock, done);
    callerSleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads) : threads_(1), shared_(std::make_unique<Shared>()) {
  const int wanted = static_cast<int>(std::min<int64_t>(threads, static_cast<int64_t>(kPartMask)));
  try {
    shared_->workers.reserve(static_cast<size_t>(std::max(0, wanted - 1)));
    for (; threads_ < wanted; threads_++) {
      shared_->workers.emplace_back([shared = shared_.get()] { shared->Work(); });
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
  shared.part = part;
  shared.context = context;
  shared.unfinished.store(parts, std::memory_order_relaxed);
  const uint64_t task = (shared.claim.load(std::memory_order_relaxed) & ~(kOneTask - 1)) + kOneTask;
  // Sequentially consistent against sleeping: either a worker going to sleep sees the task or this sees the
  // worker.
  shared.claim.store(task | static_cast<uint64_t>(parts));
  const int asleep = shared.sleeping.load();
  if (asleep > 0) {
    { std::lock_guard<std::mutex> lock(shared.mutex); }
    for (int i = 0; i < std::min(asleep, parts - 1); i++) shared.work.notify_one();
  }
  shared.Help();
  shared.Wait();
}

}  // namespace nabla
