// What every device can do, as the runner and the entries of the addon and of WebAssembly see it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "program/handles.h"
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

// As BackendInfo there.
struct DeviceInfo {
  std::string instructionSet;
  int threads = 1;
  std::string device;
};

// Why a step ended early; code kNone and no error when it did not.
struct StepFault {
  Fault fault;
  int32_t instruction = 0;
  // What happened to the device itself, where that is what ended the step.
  std::string error;

  bool ended() const { return fault.code != FaultCode::kNone || !error.empty(); }
};

// Buffers, loaded programs, and the steps that run them. One thread at a time may be inside. Functions that
// return a string return what was wrong, or an empty string. Numbers that came from JavaScript are taken as
// they come, doubles included, and checked. Only bookkeeping of some bytes can throw (std::bad_alloc).
class Device {
 public:
  // A program with its bindings, held for a run of many steps: neither vanishes while the lease lasts, even
  // when freed.
  struct Lease {
    virtual ~Lease() = default;
  };

  virtual ~Device() = default;

  virtual DeviceInfo info() const = 0;
  virtual DeviceMemory memory() const = 0;

  virtual std::string Allocate(double bytes, Handle& buffer) = 0;
  // A buffer that a lease holds keeps its memory until the lease ends; its handle is gone at once.
  virtual std::string Free(double buffer) = 0;
  virtual std::string Write(double buffer, double byteOffset, const void* source, size_t bytes) = 0;
  virtual std::string Read(double buffer, double byteOffset, void* target, size_t bytes) = 0;
  virtual std::string Load(const int32_t* words, size_t count, Handle& program) = 0;
  virtual std::string Unload(double program) = 0;

  // One step. bindings: for slots 1, 2, ... a buffer handle and a byte offset.
  virtual std::string Run(double program, const double* bindings, size_t count, StepFault& fault) = 0;

  // The same checks once, for many steps. A lease must be given back with End.
  virtual std::string Begin(double program, const double* bindings, size_t count,
                            std::unique_ptr<Lease>& lease) = 0;
  // Runs some steps, at most `most`: as many as pass in a few milliseconds where a step is not worth waiting
  // for. Returns how many were completed; a device with a queue may have begun more, and tells of them next
  // time: none at first, but in the end all.
  virtual int64_t Advance(Lease& lease, int64_t most, StepFault& fault) = 0;
  // Waits for steps that Advance has begun and not counted, where the device does not do so by itself, before
  // a run ends sooner than was asked for. Returns how many were completed.
  virtual int64_t Settle(Lease&, StepFault&) { return 0; }
  virtual void End(Lease& lease) = 0;

  // May be called from any thread: the step under way ends after the instruction it is in, and so do all that
  // follow. For shutting down only; what the step was writing is then half written.
  virtual void Abort() = 0;
};

}  // namespace nabla
