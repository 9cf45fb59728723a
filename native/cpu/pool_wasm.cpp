// The thread pool in WebAssembly: none in the plain build; in the shared-memory build workers that JavaScript
// starts and that spin for some microseconds after a task, then sleep.
//
// Which thread runs a part never changes what the part computes.
#include "cpu/pool_wasm.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "cpu/pool.h"
#include "cpu/pool_task.h"

namespace nabla {

#if defined(__wasm_atomics__)

namespace {

// Some tens of microseconds: bridges the gap between two instructions of a step. There is no clock without an
// import.
constexpr int kSpin = 10000;

bool callerMaySleep = true;
// The one pool that workers serve (a module instance has one device), and how.
void* served = nullptr;
void (*serve)(void*, int) = nullptr;
// Workers are numbered as they come, the caller is 0.
std::atomic<int> servants{0};

// Out of line, as is everything that takes time: engines compile a function better only when it is called
// again, which an endless loop never is.
template <class Ready>
[[gnu::noinline]] bool SpinFor(Ready ready) {
  for (int i = 0; i < kSpin; i++) {
    if (ready()) return true;
  }
  return ready();
}

}  // namespace

struct ThreadPool::Shared {
  explicit Shared(int threads) : task(threads) {}

  PoolTask task;
  // Counts tasks, and tasks that are done: what idle workers and the caller sleep on.
  alignas(64) std::atomic<int32_t> called{0};
  std::atomic<int32_t> ended{0};
  std::atomic<int32_t> sleeping{0};
  std::atomic<bool> callerSleeps{false};

  [[gnu::noinline]] void Help(int self) {
    if (!task.Help(self)) return;
    ended.fetch_add(1);
    if (callerSleeps.load()) Wake(ended, 1);
  }

  void Work(int self) {
    while (true) {
      const int32_t seen = called.load();
      Help(self);
      if (SpinFor([this, seen] { return called.load(std::memory_order_relaxed) != seen; })) continue;
      sleeping.fetch_add(1);
      // Returns at once when a task came meanwhile.
      SleepWhile(called, seen);
      sleeping.fetch_sub(1);
    }
  }

  void Wait() {
    while (!SpinFor([this] { return task.done(); })) {
      if (!callerMaySleep) continue;
      callerSleeps.store(true);
      const int32_t seen = ended.load();
      if (!task.done()) SleepWhile(ended, seen);
      callerSleeps.store(false);
    }
  }

  void Announce() {
    called.fetch_add(1);
    const int32_t asleep = sleeping.load();
    if (asleep > 0) Wake(called, static_cast<uint32_t>(asleep));
  }
};

ThreadPool::ThreadPool(int threads)
    : threads_(std::clamp(threads, 1, PoolTask::kMostParts)), shared_(std::make_unique<Shared>(threads_)) {
  served = shared_.get();
  serve = [](void* shared, int self) { static_cast<Shared*>(shared)->Work(self); };
}

// JavaScript ends the workers before it drops the memory; nothing can be joined here.
ThreadPool::~ThreadPool() = default;

void ThreadPool::Run(int parts, Part part, void* context) {
  if (parts <= 1 || threads_ == 1) {
    for (int i = 0; i < parts; i++) part(context, i);
    return;
  }
  Shared& shared = *shared_;
  shared.task.Publish(parts, part, context);
  shared.Announce();
  shared.Help(0);
  shared.Wait();
}

void SetPoolCallerMaySleep(bool maySleep) { callerMaySleep = maySleep; }

void ServePool() { serve(served, servants.fetch_add(1) + 1); }

#else  // one thread

struct ThreadPool::Shared {};

ThreadPool::ThreadPool(int) : threads_(1) {}
ThreadPool::~ThreadPool() = default;

void ThreadPool::Run(int parts, Part part, void* context) {
  for (int i = 0; i < parts; i++) part(context, i);
}

#endif  // __wasm_atomics__

}  // namespace nabla
