// The thread pool in WebAssembly: none in the plain build; in the shared-memory build workers that JavaScript
// starts and that spin for some microseconds after a task, then sleep.
//
// Parts are claimed one by one from a shared counter, also by the caller, so that a worker that has not
// started yet, or that the system has not scheduled, costs nothing: the caller does its parts. Which thread
// runs a part never changes what it computes.
#include "cpu/pool_wasm.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "cpu/pool.h"

namespace nabla {

#if defined(__wasm_atomics__)

namespace {

// Some tens of microseconds: bridges the gap between two instructions of a step. There is no clock without an
// import.
constexpr int kSpin = 10000;

bool callerMaySleep = true;
// The one pool that workers serve (a module instance has one device), and how.
void* served = nullptr;
void (*serve)(void*) = nullptr;

// Out of line, as is everything that takes time: engines compile a function better only when it is called
// again, which an endless loop never is.
template <class Ready>
[[gnu::noinline]] bool SpinFor(Ready ready) {
  for (int i = 0; i < kSpin; i++) {
    if (ready()) return true;
  }
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
  alignas(64) std::atomic<int32_t> unfinished{0};
  // Counts tasks; what idle workers sleep on.
  alignas(64) std::atomic<int32_t> task{0};
  std::atomic<int32_t> sleeping{0};
  std::atomic<bool> callerSleeps{false};

  // Claims and runs parts until none is left.
  [[gnu::noinline]] void Help() {
    uint64_t now = claim.load(std::memory_order_acquire);
    while (NextPart(now) < Parts(now)) {
      if (!claim.compare_exchange_weak(now, now + kOnePart)) continue;
      part(context, static_cast<int>(NextPart(now)));
      if (unfinished.fetch_sub(1) == 1 && callerSleeps.load()) Wake(unfinished, 1);
      now = claim.load(std::memory_order_acquire);
    }
  }

  void Work() {
    while (true) {
      const int32_t seen = task.load();
      Help();
      if (SpinFor([this, seen] { return task.load(std::memory_order_relaxed) != seen; })) continue;
      sleeping.fetch_add(1);
      // Returns at once when a task came meanwhile.
      SleepWhile(task, seen);
      sleeping.fetch_sub(1);
    }
  }

  void Wait() {
    while (!SpinFor([this] { return unfinished.load(std::memory_order_acquire) == 0; })) {
      if (!callerMaySleep) continue;
      callerSleeps.store(true);
      const int32_t left = unfinished.load();
      if (left != 0) SleepWhile(unfinished, left);
      callerSleeps.store(false);
    }
  }

  void Announce(uint32_t workers) {
    task.fetch_add(1);
    if (sleeping.load() > 0) Wake(task, workers);
  }
};

ThreadPool::ThreadPool(int threads)
    : threads_(static_cast<int>(std::min<int64_t>(std::max(threads, 1), static_cast<int64_t>(kPartMask)))),
      shared_(std::make_unique<Shared>()) {
  served = shared_.get();
  serve = [](void* shared) { static_cast<Shared*>(shared)->Work(); };
}

// JavaScript ends the workers before it drops the memory; nothing can be joined here.
ThreadPool::~ThreadPool() = default;

void ThreadPool::Run(int parts, Part part, void* context) {
  if (parts <= 1 || threads_ == 1) {
    for (int i = 0; i < parts; i++) part(context, i);
    return;
  }
  Shared& shared = *shared_;
  shared.part = part;
  shared.context = context;
  shared.unfinished.store(parts, std::memory_order_relaxed);
  const uint64_t number = (shared.claim.load(std::memory_order_relaxed) & ~(kOneTask - 1)) + kOneTask;
  shared.claim.store(number | static_cast<uint64_t>(parts));
  shared.Announce(static_cast<uint32_t>(parts - 1));
  shared.Help();
  shared.Wait();
}

void SetPoolCallerMaySleep(bool maySleep) { callerMaySleep = maySleep; }

void ServePool() { serve(served); }

#else  // one thread

struct ThreadPool::Shared {};

ThreadPool::ThreadPool(int) : threads_(1) {}
ThreadPool::~ThreadPool() = default;

void ThreadPool::Run(int parts, Part part, void* context) {
  for (int i = 0; i < parts; i++) part(context, i);
}

#endif  // __wasm_atomics__

}  // namespace nabla
