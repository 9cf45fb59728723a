// The CPU device: buffers, loaded programs, and the steps that run them. One thread at a time may be inside.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cpu/handles.h"
#include "cpu/kernel.h"
#include "cpu/memory.h"
#include "cpu/pool.h"
#include "program/program.h"

namespace nabla {

// As BackendMemory in src/backend/backend.ts; bytes.
struct DeviceMemory {
  int64_t buffers = 0;
  int64_t bufferBytes = 0;
  int64_t workspaceBytes = 0;
  int64_t peakBytes = 0;
  int64_t programs = 0;
};

// Why a step ended early; code kNone when it did not.
struct StepFault {
  Fault fault;
  int32_t instruction = 0;
};

class Device {
 public:
  // A program with its bindings, held for a run of many steps: neither vanishes while the lease lasts, even
  // when freed.
  struct Lease;

  // threads counts the caller. The table must outlive the device.
  Device(const KernelTable& kernels, int threads);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const char* instructionSet() const { return kernels_.name; }
  int threads() const { return pool_.threads(); }
  DeviceMemory memory() const;

  // Functions that return a string return what was wrong, or an empty string. Numbers that came from
  // JavaScript are taken as they come, doubles included, and checked here. Only bookkeeping of some bytes can
  // throw (std::bad_alloc).

  std::string Allocate(double bytes, Handle& buffer);
  // A buffer that a lease holds keeps its memory until the lease ends; its handle is gone at once.
  std::string Free(double buffer);
  std::string Write(double buffer, double byteOffset, const void* source, size_t bytes);
  std::string Read(double buffer, double byteOffset, void* target, size_t bytes);
  // Where a range of a buffer lies, for hosts that copy by themselves.
  std::string Range(double buffer, double byteOffset, size_t bytes, std::byte*& data);
  std::string Load(const int32_t* words, size_t count, Handle& program);
  std::string Unload(double program);

  // One step. bindings: for slots 1, 2, ... a buffer handle and a byte offset.
  std::string Run(double program, const double* bindings, size_t count, StepFault& fault);

  // The same checks once, for many steps. A lease must be given back with End.
  std::string Begin(double program, const double* bindings, size_t count, std::unique_ptr<Lease>& lease);
  StepFault Step(Lease& lease);
  void End(Lease& lease);

  // May be called from any thread: the step under way ends after the instruction it is in, and so do all that
  // follow. For shutting down only; what the step was writing is then half written.
  void Abort() { abort_.store(true, std::memory_order_relaxed); }

 private:
  struct Buffer {
    Block block;
    int32_t leases = 0;
    bool freed = false;
  };
  struct LoadedProgram;

  Buffer* FindBuffer(double handle);
  LoadedProgram* FindProgram(double handle);
  std::string Resolve(const LoadedProgram& program, const double* bindings, size_t count,
                      std::vector<std::byte*>& bases);
  void Bind(LoadedProgram& program, const std::vector<std::byte*>& bases);
  StepFault Execute(LoadedProgram& program);
  std::string Reserve(Block& block, int64_t bytes, const char* what);
  void RemoveBuffer(Handle handle);
  void RemoveProgram(Handle handle);
  void NotePeak();

  const KernelTable& kernels_;
  ThreadPool pool_;
  const int64_t physicalMemory_;
  // Before all blocks, which go back to them.
  Slabs slabs_;
  HandleTable<Buffer> buffers_;
  HandleTable<std::unique_ptr<LoadedProgram>> programs_;
  // Shared by all programs, grown to what the largest of them needs.
  Block workspace_;
  Block scratch_;
  std::vector<std::byte*> resolved_;
  int64_t bufferBytes_ = 0;
  int64_t peakBytes_ = 0;
  std::atomic<bool> abort_{false};
};

struct Device::Lease {
  LoadedProgram* program = nullptr;
  Handle programHandle = 0;
  std::vector<Handle> buffers;
  std::vector<std::byte*> bases;
};

}  // namespace nabla
