// The CUDA device: one GPU, its memory, and programs that run on it as graphs of kernels.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "cuda/launcher.h"
#include "cuda/memory.h"
#include "cuda/loaded.h"
#include "program/device.h"
#include "program/inventory.h"

namespace nabla::cuda {

// Opens the GPU with this number; below 0: that of `NABLA_CUDA_DEVICE`, or the first. Null, and why, when it
// cannot be used.
std::unique_ptr<Device> OpenDevice(int ordinal, Precision precision, std::string& reason);

// Everything is queued on one stream, in order, but for copies that may go beside it (Streams); only reads,
// refusals of data and runs wait for it, and runs keep one turn queued beyond the one they wait for, so that
// the GPU has work while JavaScript has the device. Once the device is lost, every call says so.
class CudaDevice final : public Device {
 public:
  CudaDevice(const Driver& driver, const Gpu& gpu, Precision precision);
  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  // Takes what the device needs before anything else; what was wrong, or an empty string.
  std::string Open();

  DeviceInfo info() const override;
  DeviceMemory memory() const override { return inventory_.memory(); }
  std::string Allocate(double bytes, Handle& buffer) override;
  std::string Free(double buffer) override;
  std::string Write(double buffer, double byteOffset, const void* source, size_t bytes) override;
  std::string Read(double buffer, double byteOffset, void* target, size_t bytes) override;
  std::string Load(const int32_t* words, size_t count, Handle& program) override;
  std::string Unload(double program) override;
  std::string Run(double program, const double* bindings, size_t count, StepFault& fault) override;
  std::string Begin(double program, const double* bindings, size_t count,
                    std::unique_ptr<Lease>& lease) override;
  int64_t Advance(Lease& lease, int64_t most, StepFault& fault) override;
  int64_t Settle(Lease& lease, StepFault& fault) override;
  void End(Lease& lease) override;
  void Abort() override { abort_.store(true, std::memory_order_relaxed); }

 private:
  // Makes the context current on this thread; what was wrong, or an empty string.
  std::string Enter();
  // Words an error of the driver's, and remembers it when it cost the device.
  std::string Failed(CUresult error, const std::string& what);
  // A block of zeros.
  std::string Take(int64_t bytes, const char* what, DeviceBlock& block);
  std::string Reserve(DeviceBlock& block, int64_t bytes, const char* what);
  // Queues one step: as a graph where `repeats`, once all kernels are loaded.
  std::string Queue(CudaProgram& program, bool repeats);
  std::string QueueKernels(CudaProgram& program);
  std::string Capture(CudaProgram& program, CUgraphExec& executable);
  std::string ClearFault();
  // Waits for the queue.
  std::string ReadFault(StepFault& fault);
  // Makes the run that whose turns are queued: one at a time, since they share the record of faults.
  std::string TakeTurns(CudaLease& lease);
  // Queues steps of a run as a turn; how many they are.
  std::string QueueTurn(CudaLease& lease, int64_t wanted, int64_t& steps);
  // Waits for the oldest turn, and tells its run what became of it.
  void FinishTurn();
  void FinishTurns();
  // Finds out which products of the program NVIDIA's library does faster.
  void MeasureProducts(const CudaProgram& program);
  // Gives back what no program that is left needs.
  void Shrink();
  void ForgetGraphs();

  const Driver& driver_;
  const Gpu gpu_;
  const Precision precision_;
  std::string lost_;
  Owned<CUcontext, PrimaryContextRelease> context_;
  Streams streams_;
  KernelLibrary library_;
  std::unique_ptr<Blas> blas_;
  DeviceBlock fault_;
  Inventory<DeviceBlock, CudaProgram> inventory_;
  std::vector<std::byte*> resolved_;
  // Turns under way are those of the run `running_`, the oldest first; records_ is pinned, one for each.
  static constexpr size_t kTurns = 2;
  Resource<void*> records_;
  Turn turns_[kTurns];
  size_t oldest_ = 0, underWay_ = 0;
  CudaLease* running_ = nullptr;
  std::atomic<bool> abort_{false};
};

}  // namespace nabla::cuda
