// The WebAssembly module's exports: one device in an instance's memory; numbers in and out, arrays and texts
// through a staging area.
//
// Functions that can fail return 0 (or a null pointer) and leave the reason in error(). Pointers are 32-bit;
// handles and sizes are doubles, as JavaScript has them. src/backend/wasm-module.ts lists the same functions
// for TypeScript.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "cpu/device.h"
#include "cpu/table.h"
#include "runs.h"
#include "turns.h"

#define NABLA_EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace nabla {
namespace {

constexpr double kMostThreads = 256;
// More than any 32-bit memory holds.
constexpr double kMostBytes = 4294967295.0;
constexpr size_t kResultNumbers = 6;
constexpr uint32_t kLeastStaging = 4096;

struct Host {
  Host(const KernelTable& kernels, int threads) : device(kernels, threads), runs(device) {}
  CpuDevice device;
  Runs runs;
};

// Never destroyed: the instance's memory goes as a whole.
Host* host = nullptr;
std::string* lastError = nullptr;
void* staging = nullptr;
size_t stagingBytes = 0;
// Answers of more than one number.
double result[kResultNumbers];
#if defined(__wasm_atomics__)
Turns turns;
#endif

// Whether all is well; otherwise the error is kept for JavaScript to read.
bool Ok(std::string error) {
  if (error.empty()) return true;
  *lastError = std::move(error);
  return false;
}

void SetResult(double first, double second, const StepFault& fault) {
  result[0] = first;
  result[1] = second;
  result[2] = static_cast<double>(fault.fault.code);
  result[3] = static_cast<double>(fault.instruction);
  result[4] = static_cast<double>(fault.fault.value);
  result[5] = static_cast<double>(fault.fault.limit);
}

}  // namespace

// Opens the device. The instruction set's name, empty for the best, lies in the staging area.
NABLA_EXPORT(open) int32_t Open(double threads, uint32_t nameBytes) {
  if (!(threads >= 1 && threads <= kMostThreads)) {
    return Ok("number of threads, got " + std::to_string(threads) + ", expected 1 to 256");
  }
  const std::string name(static_cast<const char*>(staging), nameBytes);
  const KernelTable* const kernels = FindKernelTable(name);
  if (kernels == nullptr) {
    std::string known;
    for (const KernelTable* table : UsableKernelTables())
      known += (known.empty() ? "" : ", ") + std::string(table->name);
    return Ok("instruction set, got '" + name + "', expected one of " + known);
  }
  host = std::make_unique<Host>(*kernels, static_cast<int>(threads)).release();
  return 1;
}

// An area of at least so many bytes for arguments; null when the memory cannot be had. Valid until the next
// call.
NABLA_EXPORT(stage) void* Stage(uint32_t bytes) {
  if (lastError == nullptr) lastError = std::make_unique<std::string>().release();
  if (staging != nullptr && bytes <= stagingBytes) return staging;
  bytes = std::max(bytes, kLeastStaging);
  void* const larger = std::malloc(bytes);
  if (larger == nullptr) return nullptr;
  std::free(staging);
  staging = larger;
  stagingBytes = bytes;
  return staging;
}

NABLA_EXPORT(error) const char* Error() { return lastError->data(); }
NABLA_EXPORT(errorBytes) uint32_t ErrorBytes() { return static_cast<uint32_t>(lastError->size()); }
NABLA_EXPORT(result) const double* Result() { return result; }
// Of the instruction set, as a string that ends with a zero.
NABLA_EXPORT(instructionSet) const char* InstructionSet() { return host->device.instructionSet(); }
NABLA_EXPORT(threads) int32_t Threads() { return host->device.threads(); }

// Result: buffers, their bytes, bytes of workspace and scratch, the most ever held, programs.
NABLA_EXPORT(memoryUse) void MemoryUse() {
  const DeviceMemory memory = host->device.memory();
  result[0] = static_cast<double>(memory.buffers);
  result[1] = static_cast<double>(memory.bufferBytes);
  result[2] = static_cast<double>(memory.workspaceBytes);
  result[3] = static_cast<double>(memory.peakBytes);
  result[4] = static_cast<double>(memory.programs);
}

NABLA_EXPORT(allocate) double Allocate(double bytes) {
  Handle buffer = 0;
  return Ok(host->device.Allocate(bytes, buffer)) ? static_cast<double>(buffer) : 0;
}

NABLA_EXPORT(release) int32_t Release(double buffer) { return Ok(host->device.Free(buffer)); }

// Where a range of a buffer lies.
NABLA_EXPORT(locate) std::byte* Locate(double buffer, double byteOffset, double bytes) {
  std::byte* data = nullptr;
  const size_t size = bytes <= kMostBytes ? static_cast<size_t>(bytes) : static_cast<size_t>(kMostBytes);
  return Ok(host->device.Range(buffer, byteOffset, size, data)) ? data : nullptr;
}

// The words lie in the staging area.
NABLA_EXPORT(load) double Load(uint32_t words) {
  Handle program = 0;
  return Ok(host->device.Load(static_cast<const int32_t*>(staging), words, program))
             ? static_cast<double>(program)
             : 0;
}

NABLA_EXPORT(unload) int32_t Unload(double program) { return Ok(host->device.Unload(program)); }

// One step; the bindings lie in the staging area. 2 for a fault, with result 2 to 5: its code, instruction,
// value and limit.
NABLA_EXPORT(run) int32_t Run(double program, uint32_t bindings) {
  StepFault fault;
  if (!Ok(host->device.Run(program, static_cast<const double*>(staging), bindings, fault))) return 0;
  if (fault.fault.code == FaultCode::kNone) return 1;
  SetResult(0, 0, fault);
  return 2;
}

// Begins a run of many steps, whose number it returns; the bindings lie in the staging area.
NABLA_EXPORT(begin) int32_t Begin(double program, uint32_t bindings, double steps) {
  int32_t run = 0;
  if (!Ok(host->runs.Begin(program, static_cast<const double*>(staging), bindings, steps, run))) return 0;
#if defined(__wasm_atomics__)
  Wake(host->runs.pending(), 1);
#endif
  return run;
}

// The run ends after the step it is in. Needs no turn.
NABLA_EXPORT(stop) void Stop(int32_t run) { host->runs.Stop(run); }

// One step of the run whose turn it is. Whether a run has ended by it.
NABLA_EXPORT(advance) int32_t Advance() { return host->runs.Advance(); }

// Ends one run that has no steps left; result: its number, steps completed, the fault. 0 when there is none.
NABLA_EXPORT(collect) int32_t Collect() {
  RunEnd end;
  if (!host->runs.Collect(end)) return 0;
  SetResult(end.run, static_cast<double>(end.steps), end.fault);
  return 1;
}

// Cuts the step under way short. For closing; needs no turn.
NABLA_EXPORT(abortStep) void AbortStep() { host->runs.Abort(); }

// Ends all runs where they are.
NABLA_EXPORT(endRuns) void EndRuns() { host->runs.EndAll(); }

#if defined(__wasm_atomics__)

NABLA_EXPORT(enter) void Enter(int32_t maySleep) {
  turns.EnterCaller(maySleep != 0);
  SetPoolCallerMaySleep(maySleep != 0);
}
NABLA_EXPORT(leave) void Leave() { turns.LeaveCaller(); }
NABLA_EXPORT(wanted) int32_t Wanted() { return turns.wanted(); }
NABLA_EXPORT(awaitTurn) void AwaitTurn(int32_t maySleep) { turns.AwaitTurn(maySleep != 0); }

// A stack for a worker: its upper end. Null when the memory cannot be had.
NABLA_EXPORT(workerStack) void* WorkerStack(uint32_t bytes) {
  void* const stack = std::aligned_alloc(64, bytes);
  return stack == nullptr ? nullptr : static_cast<std::byte*>(stack) + bytes;
}

// The coordinating worker's work: runs steps until a run has ended, and then returns so that JavaScript can
// say so.
NABLA_EXPORT(coordinate) void Coordinate() {
  std::atomic<int32_t>& pending = host->runs.pending();
  bool ended = false;
  while (!ended) {
    while (pending.load() == 0) SleepWhile(pending, 0);
    turns.EnterCoordinator();
    SetPoolCallerMaySleep(true);
    do {
      ended = Advance();
    } while (!ended && !turns.waiting() && pending.load() > 0);
    turns.LeaveCoordinator();
  }
}

// Gives the device back after the coordinating worker has failed in a step.
NABLA_EXPORT(abandon) void Abandon() { turns.LeaveCoordinator(); }

NABLA_EXPORT(serve) void Serve() { ServePool(); }

#endif  // __wasm_atomics__

}  // namespace nabla
