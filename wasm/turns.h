// Who may use the device now: JavaScript's thread, or the coordinating worker that runs long runs in the
// shared-memory build.
#pragma once

#if defined(__wasm_atomics__)

#include <atomic>
#include <cstdint>

#include "cpu/pool_wasm.h"

namespace nabla {

// A lock between two threads. The caller (JavaScript's thread) is never kept waiting longer than a step: the
// coordinator looks at waiting() between two steps. In return the caller gives the coordinator a step now and
// then (AwaitTurn).
class Turns {
 public:
  void EnterCaller(bool maySleep) {
    callers_.store(1);
    while (!TryLock()) {
      if (maySleep) SleepWhile(lock_, 1);
    }
  }
  void LeaveCaller() {
    Unlock();
    callers_.store(0);
    Wake(callers_, 1);
  }
  // Whether the coordinator waits for the device.
  bool wanted() const { return wanted_.load() != 0; }
  // Lets the coordinator have the device once, if it wants to.
  void AwaitTurn(bool maySleep) {
    const int32_t before = turns_.load();
    while (wanted() && turns_.load() == before) {
      if (maySleep) SleepWhile(turns_, before);
    }
  }

  bool waiting() const { return callers_.load(std::memory_order_relaxed) != 0; }
  void EnterCoordinator() {
    wanted_.store(1);
    while (true) {
      if (callers_.load() != 0) {
        SleepWhile(callers_, 1);
      } else if (CallerReturns()) {
        continue;
      } else if (TryLock()) {
        break;
      } else {
        SleepWhile(lock_, 1);
      }
    }
    wanted_.store(0);
    turns_.fetch_add(1);
    Wake(turns_, 1);
  }
  void LeaveCoordinator() { Unlock(); }

 private:
  // Some microseconds: a loop of small calls shall not pay a step for each of them.
  static constexpr int kReturnSpin = 4000;

  [[gnu::noinline]] bool CallerReturns() {
    for (int i = 0; i < kReturnSpin; i++) {
      if (waiting()) return true;
    }
    return false;
  }
  bool TryLock() {
    int32_t expected = 0;
    return lock_.compare_exchange_strong(expected, 1);
  }
  void Unlock() {
    lock_.store(0);
    Wake(lock_, 1);
  }

  alignas(64) std::atomic<int32_t> lock_{0};
  alignas(64) std::atomic<int32_t> callers_{0};
  alignas(64) std::atomic<int32_t> wanted_{0};
  std::atomic<int32_t> turns_{0};
};

}  // namespace nabla

#endif  // __wasm_atomics__
