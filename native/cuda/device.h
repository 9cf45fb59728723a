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

// Everything is queued on one stream, in order; only reads, refusals of data and the ends of runs wait for
// it. Once the device is lost, every call says so.
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
  // Waits for the queue; the steps completed since ClearFault by a program that may refuse its data.
  std::string ReadFault(StepFault& fault, int64_t& steps);
  // Gives back what no program that is left needs.
  void Shrink();
  void ForgetGraphs();

  const Driver& driver_;
  const Gpu gpu_;
  const Precision precision_;
  std::string lost_;
  Owned<CUcontext, PrimaryContextRelease> context_;
  Resource<CUstream> stream_;
  KernelLibrary library_;
  Staging staging_;
  DeviceBlock fault_;
  Inventory<DeviceBlock, CudaProgram> inventory_;
  std::vector<std::byte*> resolved_;
  std::atomic<bool> abort_{false};
};

}  // namespace nabla::cuda
