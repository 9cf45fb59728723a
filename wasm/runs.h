// Runs of many steps: which are under way, and whose turn the next step is.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/device.h"

namespace nabla {

// How a run ended.
struct RunEnd {
  int32_t run = 0;
  int64_t steps = 0;  // completed
  StepFault fault;
};

// Starting, collecting and stopping is JavaScript's thread's; advancing is that of whoever has the device.
class Runs {
 public:
  explicit Runs(CpuDevice& device) : device_(device) {}

  // Returns what was wrong, or an empty string.
  std::string Begin(double program, const double* bindings, size_t count, double steps, int32_t& run) {
    if (!(steps >= 0 && steps <= kMostSteps && steps == static_cast<double>(static_cast<int64_t>(steps)))) {
      return "number of steps, got " + std::to_string(steps) + ", expected an integer from 0 on";
    }
    auto job = std::make_unique<Job>();
    std::string error = device_.Begin(program, bindings, count, job->lease);
    if (!error.empty()) return error;
    job->steps = static_cast<int64_t>(steps);
    run = job->end.run = ++newest_;
    jobs_.push_back(std::move(job));
    pending_.fetch_add(1);
    return {};
  }

  // Without the device: jobs come and go on the calling thread only.
  void Stop(int32_t run) {
    for (const auto& job : jobs_) {
      if (job->end.run == run) job->stopped.store(true);
    }
  }

  // One step of the next run in turn. Whether a run has ended.
  bool Advance() {
    Job* next = nullptr;
    Job* first = nullptr;
    for (const auto& job : jobs_) {
      if (job->ended) continue;
      if (first == nullptr) first = job.get();
      if (job->end.run > lastTurn_) {
        next = job.get();
        break;
      }
    }
    if (next == nullptr) next = first;
    if (next == nullptr) return false;
    lastTurn_ = next->end.run;
    if (Step(*next)) return false;
    next->ended = true;
    pending_.fetch_sub(1);
    return true;
  }

  // Cuts the step under way short, which then does not count, and all that follow. For closing; from any
  // thread.
  void Abort() {
    aborted_.store(true);
    device_.Abort();
  }

  // Ends all runs where they are.
  void EndAll() {
    for (const auto& job : jobs_) job->ended = true;
    pending_.store(0);
  }

  // Takes out a run that has ended; false when there is none.
  bool Collect(RunEnd& end) {
    const auto found = std::find_if(jobs_.begin(), jobs_.end(), [](const auto& job) { return job->ended; });
    if (found == jobs_.end()) return false;
    device_.End(*(*found)->lease);
    end = (*found)->end;
    jobs_.erase(found);
    return true;
  }

  // Runs that have steps to do.
  std::atomic<int32_t>& pending() { return pending_; }

 private:
  static constexpr double kMostSteps = 9007199254740991.0;

  struct Job {
    RunEnd end;
    int64_t steps = 0;
    std::unique_ptr<Device::Lease> lease;
    std::atomic<bool> stopped{false};
    bool ended = false;
  };

  // Whether the run goes on.
  bool Step(Job& job) {
    if (job.stopped.load() || job.end.steps >= job.steps) return false;
    job.end.fault = device_.Step(*job.lease);
    if (job.end.fault.fault.code != FaultCode::kNone || aborted_.load()) return false;
    return ++job.end.steps < job.steps;
  }

  CpuDevice& device_;
  std::vector<std::unique_ptr<Job>> jobs_;  // in the order of their numbers
  std::atomic<int32_t> pending_{0};
  std::atomic<bool> aborted_{false};
  int32_t newest_ = 0;
  int32_t lastTurn_ = 0;  // the run that had the last step
};

}  // namespace nabla
