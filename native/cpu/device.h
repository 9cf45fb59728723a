// The CPU device.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/kernel.h"
#include "cpu/memory.h"
#include "cpu/pool.h"
#include "program/device.h"
#include "program/inventory.h"
#include "program/program.h"

namespace nabla {

class CpuDevice final : public Device {
 public:
  // threads counts the caller. The table must outlive the device.
  CpuDevice(const KernelTable& kernels, int threads);
  CpuDevice(const CpuDevice&) = delete;
  CpuDevice& operator=(const CpuDevice&) = delete;

  const char* instructionSet() const { return kernels_.name; }
  int threads() const { return pool_.threads(); }
  DeviceInfo info() const override;
  DeviceMemory memory() const override { return inventory_.memory(); }
  std::string Allocate(double bytes, Handle& buffer) override;
  std::string Free(double buffer) override;
  std::string Write(double buffer, double byteOffset, const void* source, size_t bytes) override;
  std::string Read(double buffer, double byteOffset, void* target, size_t bytes) override;
  // Where a range of a buffer lies, for hosts that copy by themselves.
  std::string Range(double buffer, double byteOffset, size_t bytes, std::byte*& data);
  std::string Load(const int32_t* words, size_t count, Handle& program) override;
  std::string Unload(double program) override;
  std::string Run(double program, const double* bindings, size_t count, StepFault& fault) override;
  std::string Begin(double program, const double* bindings, size_t count,
                    std::unique_ptr<Lease>& lease) override;
  // One step of a lease.
  StepFault Step(Lease& lease);
  int64_t Advance(Lease& lease, int64_t most, StepFault& fault) override;
  void End(Lease& lease) override;
  void Abort() override { abort_.store(true, std::memory_order_relaxed); }

 private:
  using CpuLease = ProgramLease<LoadedProgram>;

  StepFault Execute(LoadedProgram& program);
  std::string Reserve(Block& block, int64_t bytes, const char* what);
  // Gives back what no program that is left needs.
  void Shrink();

  const KernelTable& kernels_;
  ThreadPool pool_;
  const int64_t physicalMemory_;
  // Before all blocks, which go back to them.
  Slabs slabs_;
  Inventory<Block, LoadedProgram> inventory_;
  std::vector<std::byte*> resolved_;
  std::atomic<bool> abort_{false};
};

}  // namespace nabla
