// The device thread: steps of all runs in turn, and the device handed over between two steps to whoever
// waits.
#include "napi/runner.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace nabla {

struct Runner::Job {
  Completion result;
  int64_t steps = 0;
  std::unique_ptr<Device::Lease> lease;
  std::atomic<bool> stopped{false};
};

Runner::Runner(std::unique_ptr<Device> device, std::function<void(const Completion&)> completed)
    : device_(std::move(device)), completed_(std::move(completed)) {}

Runner::~Runner() { Close(false); }

void Runner::Enter() {
  std::unique_lock<std::mutex> lock(mutex_);
  callers_++;
  callerTurn_.wait(lock, [this] { return !busy_ && (!runnerWants_ || callersHad_ < lastStep_); });
  callers_--;
  busy_ = true;
  if (runnerWants_) entered_ = Clock::now();
  lock.unlock();
  FreeDeferred();
}

void Runner::Leave() {
  FreeDeferred();
  std::lock_guard<std::mutex> lock(mutex_);
  busy_ = false;
  if (!runnerWants_) return;
  callersHad_ += Clock::now() - entered_;
  runnerTurn_.notify_one();
}

void Runner::FreeSoon(Handle buffer) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (device_ == nullptr || closing_) return;
  if (!busy_) {
    // A handle that was freed by hand before is stale now, which is no error here.
    (void)device_->Free(static_cast<double>(buffer));
    return;
  }
  std::lock_guard<std::mutex> deferredLock(deferredMutex_);
  deferred_.push_back(buffer);
  hasDeferred_ = true;
}

void Runner::FreeDeferred() {
  if (!hasDeferred_) return;
  std::lock_guard<std::mutex> lock(deferredMutex_);
  for (const Handle buffer : deferred_) (void)device_->Free(static_cast<double>(buffer));
  deferred_.clear();
  hasDeferred_ = false;
}

std::string Runner::Start(double program, const double* bindings, size_t count, double steps, int64_t& run) {
  if (!(steps >= 0 && steps <= 9007199254740991.0 &&
        steps == static_cast<double>(static_cast<int64_t>(steps)))) {
    return "number of steps, got " + std::to_string(steps) + ", expected an integer from 0 on";
  }
  Turn turn(*this);
  auto job = std::make_shared<Job>();
  std::string error = turn->Begin(program, bindings, count, job->lease);
  if (!error.empty()) return error;
  job->steps = static_cast<int64_t>(steps);
  std::lock_guard<std::mutex> lock(mutex_);
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { Loop(); });
    } catch (const std::system_error& failure) {
      turn->End(*job->lease);
      return std::string("could not start the device thread, got '") + failure.what() +
             "', expected a thread; raise the limit on threads or use fewer devices";
    }
  }
  run = job->result.run = ++newestRun_;
  jobs_.push_back(std::move(job));
  runnerTurn_.notify_one();
  return {};
}

void Runner::Stop(int64_t run) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& job : jobs_) {
    if (job->result.run == run) job->stopped = true;
  }
}

// A turn of one run, of one step or some; whether the run goes on.
bool Runner::Advance(Job& job) {
  if (job.stopped || job.result.steps >= job.steps) return false;
  const int64_t completed = device_->Advance(*job.lease, job.steps - job.result.steps, job.result.fault);
  // A step that is cut short does not count.
  if (closing_ && !job.result.fault.ended()) return false;
  job.result.steps += completed;
  return !job.result.fault.ended() && job.result.steps < job.steps;
}

// Called with the device in hand, and without the mutex.
void Runner::Finish(Job& job) {
  if (!closing_ && !job.result.fault.ended())
    job.result.steps += device_->Settle(*job.lease, job.result.fault);
  device_->End(*job.lease);
  if (report_) completed_(job.result);
}

// Runs steps, one run after the other, until somebody waits for the device or no run is left.
void Runner::RunWhileAlone(std::vector<std::shared_ptr<Job>> jobs) {
  size_t next = 0;
  while (next < jobs.size() && jobs[next]->result.run <= lastTurn_) next++;
  while (!jobs.empty()) {
    if (next >= jobs.size()) next = 0;
    Job& job = *jobs[next];
    lastTurn_ = job.result.run;
    const Clock::time_point begin = Clock::now();
    const bool more = Advance(job);
    lastStep_ = Clock::now() - begin;
    if (more) {
      next++;
    } else {
      Finish(job);
      const auto ended = jobs.begin() + static_cast<std::ptrdiff_t>(next);
      {
        std::lock_guard<std::mutex> lock(mutex_);
        std::erase(jobs_, *ended);
      }
      jobs.erase(ended);
    }
    FreeDeferred();
    if (callers_ > 0 || closing_) return;
  }
}

void Runner::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    runnerTurn_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    runnerWants_ = true;
    entered_ = Clock::now();
    runnerTurn_.wait(lock, [this] { return !busy_ && (callers_ == 0 || callersHad_ >= lastStep_); });
    runnerWants_ = false;
    busy_ = true;
    callersHad_ = Clock::duration::zero();
    const std::vector<std::shared_ptr<Job>> jobs = jobs_;
    lock.unlock();
    RunWhileAlone(jobs);
    lock.lock();
    if (closing_) {
      for (const auto& job : jobs_) Finish(*job);
      jobs_.clear();
    }
    busy_ = false;
    callerTurn_.notify_all();
  }
}

void Runner::Close(bool report) {
  if (device_ == nullptr) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    report_ = report;
    closing_ = true;
  }
  device_->Abort();
  runnerTurn_.notify_all();
  if (thread_.joinable()) thread_.join();
  device_.reset();
}

}  // namespace nabla
