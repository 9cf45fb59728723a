// The task that a thread pool is at: its numbered parts, and who has taken them.
//
// Every thread takes the part of its own number first and then those that nobody has taken. So a part stays
// on one core from task to task, and with it the stretch of the weights and states that it reads and writes;
// and a thread that the system has not scheduled costs nothing, since others do its part.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/pool.h"

namespace nabla {

class PoolTask {
 public:
  static constexpr int kMostParts = 0xffff;

  explicit PoolTask(int threads) : claims_(static_cast<size_t>(threads)) {}

  // Makes the next task known. The former one must be done.
  void Publish(int parts, ThreadPool::Part part, void* context) {
    part_ = part;
    context_ = context;
    unfinished_.store(parts, std::memory_order_relaxed);
    const uint64_t number = (word_.load(std::memory_order_relaxed) >> kPartBits) + 1;
    word_.store(number << kPartBits | static_cast<uint64_t>(parts));
  }

  // Changes with every task.
  uint64_t word() const { return word_.load(); }

  bool done() const { return unfinished_.load() == 0; }

  // Runs the parts of the latest task that nobody has taken; whether the last of all parts ended here. A
  // thread that has no part of its own leaves them to those that have.
  bool Help(int self) {
    const uint64_t word = word_.load();
    const uint64_t number = word >> kPartBits;
    const int parts = static_cast<int>(word & kMostParts);
    bool last = false;
    for (int i = 0; self < parts && i < parts; i++) {
      const int part = self + i < parts ? self + i : self + i - parts;
      if (!Take(part, number)) continue;
      part_(context_, part);
      last = unfinished_.fetch_sub(1) == 1;
    }
    return last;
  }

 private:
  static constexpr int kPartBits = 16;

  struct alignas(64) Claim {
    std::atomic<uint64_t> task{0};
  };

  // A part is taken by raising the number of the task for which it was taken last. A thread that comes late
  // from an earlier task finds its number reached, and takes nothing.
  bool Take(int part, uint64_t number) {
    std::atomic<uint64_t>& claim = claims_[static_cast<size_t>(part)].task;
    uint64_t former = claim.load(std::memory_order_relaxed);
    return former < number && claim.compare_exchange_strong(former, number);
  }

  alignas(64) std::atomic<uint64_t> word_{0};  // the task's number, and how many parts it has
  // Written before the word is published, read only by those who have taken a part.
  ThreadPool::Part part_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<int> unfinished_{0};
  std::vector<Claim> claims_;
};

}  // namespace nabla
