// One device, the thread that runs its long runs, and the turns that this thread and JavaScript take.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "program/device.h"

namespace nabla {

// How a run of steps ended.
struct Completion {
  int64_t run = 0;
  int64_t steps = 0;  // completed
  StepFault fault;
};

// Runs under way take turns step by step, or some steps at a time, on one thread of the runner's own.
// JavaScript's calls come between two steps: they wait for one step at most, then have the device for at
// least as long as that step took, then the runs go on. So neither side waits for ever, and a loop of small
// calls does not pay a step for each of them.
class Runner {
 public:
  // completed is called on the runner's thread for every run that ends.
  Runner(std::unique_ptr<Device> device, std::function<void(const Completion&)> completed);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // The device to oneself, for as long as the turn lives. Only JavaScript's thread takes turns, one at a
  // time.
  class Turn {
   public:
    explicit Turn(Runner& runner) : runner_(runner) { runner.Enter(); }
    ~Turn() { runner_.Leave(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    Device* operator->() const { return runner_.device_.get(); }

   private:
    Runner& runner_;
  };

  // Queues a run. Returns what was wrong, or an empty string.
  std::string Start(double program, const double* bindings, size_t count, double steps, int64_t& run);
  // The run ends after the step it is in. Nothing happens when it has ended already.
  void Stop(int64_t run);
  // Frees a buffer now or, when the device is in use, as soon as it is not. Never waits for a step: for
  // finalizers.
  void FreeSoon(Handle buffer);
  // Ends the runs, joins the threads, frees all memory. The runs that are cut off are reported only if
  // `report`.
  void Close(bool report);
  bool closed() const { return device_ == nullptr; }

 private:
  struct Job;
  using Clock = std::chrono::steady_clock;

  void Enter();
  void Leave();
  void FreeDeferred();
  void Loop();
  void RunWhileAlone(std::vector<std::shared_ptr<Job>> jobs);
  bool Advance(Job& job);
  void Finish(Job& job);

  std::unique_ptr<Device> device_;
  std::function<void(const Completion&)> completed_;

  std::mutex mutex_;  // guards everything below that is not atomic; never held during a step
  std::condition_variable callerTurn_;
  std::condition_variable runnerTurn_;
  bool busy_ = false;            // somebody has the device
  bool runnerWants_ = false;     // the thread has steps to run and waits for the device
  std::atomic<int> callers_{0};  // how many wait for the device
  std::atomic<bool> report_{true};
  std::atomic<bool> closing_{false};
  Clock::time_point entered_;
  Clock::duration callersHad_{};  // since the last step
  Clock::duration lastStep_{};
  int64_t newestRun_ = 0;
  int64_t lastTurn_ = 0;                    // the run that had the last step
  std::vector<std::shared_ptr<Job>> jobs_;  // in the order of their numbers
  std::thread thread_;

  std::mutex deferredMutex_;
  std::vector<Handle> deferred_;
  std::atomic<bool> hasDeferred_{false};
};

}  // namespace nabla
