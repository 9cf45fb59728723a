// A library with the driver's functions over the machine's own memory and the emulation of kernels: stands in
// for NVIDIA's driver in tests (NABLA_CUDA_DRIVER). What is queued on a stream is done as late as the order
// permits: when the host waits for it, or another stream does that the host waits for. So a wait that is
// missing shows as wrong data. Graphs are recorded and replayed.
//
//   NABLA_EMULATED_DEVICES     GPUs that it has; 1 unless set
//   NABLA_EMULATED_VERSION     of CUDA that it says it is for; 13000
//   NABLA_EMULATED_CAPABILITY  of the GPUs; 90
//   NABLA_EMULATED_MEMORY      bytes of each; 2 GiB
//   NABLA_EMULATED_LOSE_AT     the launch, counted from 1 since the device was opened, that costs the device
//   NABLA_EMULATED_STALE       non-empty: the kernels do not fit the driver
//   NABLA_EMULATED_COPIES      "early": a stream of nothing but copies does them at once, with what it waits
//                              for, before what other streams have queued
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "cuda/emulation/emulation.h"

#define NABLA_EXPORT extern "C" __attribute__((visibility("default")))

// What tells it from NVIDIA's driver (native/cuda/driver.cpp).
NABLA_EXPORT const int nablaCudaEmulation = 1;

namespace nabla::cuda {

// What the handles point to.
using Work = std::function<CUresult()>;
struct CUstream_st {
  CUgraph capture = nullptr;
  std::deque<Work> waiting;
  uint64_t queued = 0, done = 0;
  bool kernels = false;  // some were queued
};
struct CUgraph_st {
  std::vector<Work> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<Work>> nodes;
};
struct CUmod_st {
  std::string family;
};
struct CUctx_st {};
// Where the stream was when the event was last recorded.
struct CUevent_st {
  CUstream stream = nullptr;
  uint64_t position = 0;
};
struct CUmemPoolHandle_st {};

namespace {

constexpr CUresult kInvalidValue = 1, kNotFound = 500, kIllegalAddress = 700, kLaunchFailed = 719,
                   kCaptureIsolation = 905;
constexpr size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xa5;

struct State {
  std::mutex mutex;
  std::map<CUdeviceptr, size_t> blocks;
  size_t held = 0;
  int64_t launches = 0;
  int contexts = 0;
  CUresult lost = kSuccess;
  CUctx_st context;
  CUmemPoolHandle_st pool;
  std::vector<std::unique_ptr<CUstream_st>> streams;  // events may point to those that are destroyed
};

State& Sole() {
  static State state;
  return state;
}

int64_t Setting(const char* name, int64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atoll(text);
}

size_t MemoryBytes() { return static_cast<size_t>(Setting("NABLA_EMULATED_MEMORY", int64_t{2} << 30)); }

std::byte* HostAddress(CUdeviceptr address) {
  return reinterpret_cast<std::byte*>(static_cast<uintptr_t>(address));
}

// Whether the range lies inside of one allocation.
bool IsInside(CUdeviceptr address, size_t bytes) {
  State& state = Sole();
  const std::lock_guard<std::mutex> lock(state.mutex);
  auto after = state.blocks.upper_bound(address);
  if (after == state.blocks.begin()) return false;
  --after;
  return address - after->first <= after->second && bytes <= after->second - (address - after->first);
}

// Does what the stream has queued up to a position.
void RunUntil(CUstream stream, uint64_t position) {
  while (stream->done < position && !stream->waiting.empty()) {
    const Work work = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    stream->done++;
    (void)work();
  }
}

void Queue(CUstream stream, Work work) {
  stream->waiting.push_back(std::move(work));
  stream->queued++;
}

}  // namespace

// Queues it, or records it. On a device that was lost it is left out.
CUresult Enqueue(CUstream stream, Work work) {
  if (Sole().lost != kSuccess) return Sole().lost;
  Work checked = [work = std::move(work)] { return Sole().lost == kSuccess ? work() : Sole().lost; };
  if (stream->capture != nullptr) {
    stream->capture->nodes.push_back(std::move(checked));
  } else {
    Queue(stream, std::move(checked));
  }
  return kSuccess;
}

namespace {

// A copy, which may come as early as its stream permits.
CUresult EnqueueCopy(CUstream stream, Work work) {
  const CUresult result = Enqueue(stream, std::move(work));
  const char* const when = std::getenv("NABLA_EMULATED_COPIES");
  if (!stream->kernels && when != nullptr && std::strcmp(when, "early") == 0)
    RunUntil(stream, stream->queued);
  return result;
}

// As on a GPU, errors of what was queued appear later.
CUresult Lose(CUresult error) {
  Sole().lost = error;
  return kSuccess;
}

CUresult Checked() { return Sole().lost; }

}  // namespace

}  // namespace nabla::cuda

using namespace nabla::cuda;

NABLA_EXPORT CUresult cuInit(unsigned) { return kSuccess; }

NABLA_EXPORT CUresult cuDriverGetVersion(int* version) {
  *version = static_cast<int>(Setting("NABLA_EMULATED_VERSION", 13000));
  return kSuccess;
}

NABLA_EXPORT CUresult cuGetErrorName(CUresult error, const char** text) {
  static const std::map<CUresult, const char*> names = {
      {kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
      {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
      {kNoDevice, "CUDA_ERROR_NO_DEVICE"},
      {kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
      {kNotFound, "CUDA_ERROR_NOT_FOUND"},
      {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED"},
      {kCaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"}};
  const auto found = names.find(error);
  if (found == names.end()) return kInvalidValue;
  *text = found->second;
  return kSuccess;
}

NABLA_EXPORT CUresult cuGetErrorString(CUresult, const char** text) {
  *text = "emulated";
  return kSuccess;
}

NABLA_EXPORT CUresult cuDeviceGetCount(int* count) {
  *count = static_cast<int>(Setting("NABLA_EMULATED_DEVICES", 1));
  return kSuccess;
}

NABLA_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  *device = ordinal;
  return kSuccess;
}

NABLA_EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  std::snprintf(name, static_cast<size_t>(length), "Emulated GPU %d", device);
  return kSuccess;
}

NABLA_EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice) {
  *bytes = MemoryBytes();
  return kSuccess;
}

NABLA_EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice) {
  const int capability = static_cast<int>(Setting("NABLA_EMULATED_CAPABILITY", 90));
  switch (attribute) {
    case kAttributeMajor:
      *value = capability / 10;
      return kSuccess;
    case kAttributeMinor:
      *value = capability % 10;
      return kSuccess;
    case kAttributeMultiprocessors:
      *value = 4;
      return kSuccess;
    case kAttributeMemoryPools:
      *value = 1;
      return kSuccess;
    default:
      return kInvalidValue;
  }
}

NABLA_EXPORT CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice) {
  *pool = &Sole().pool;
  return kSuccess;
}

NABLA_EXPORT CUresult cuMemPoolSetAttribute(CUmemoryPool, int, void*) { return kSuccess; }
NABLA_EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool, size_t) { return kSuccess; }

NABLA_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  State& state = Sole();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.contexts++ == 0) {
    state.launches = 0;
    state.lost = kSuccess;
  }
  *context = &state.context;
  return kSuccess;
}

NABLA_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  State& state = Sole();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.contexts--;
  return kSuccess;
}

NABLA_EXPORT CUresult cuCtxSetCurrent(CUcontext) { return Checked(); }

NABLA_EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  *total = MemoryBytes();
  *free = *total - std::min(*total, Sole().held);
  return kSuccess;
}

// Memory between guards, which are looked at when it is given back, and full of a pattern that is no zero.
NABLA_EXPORT CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, CUstream) {
  State& state = Sole();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.lost != kSuccess) return state.lost;
  if (bytes == 0) return kInvalidValue;
  if (bytes > MemoryBytes() - std::min(MemoryBytes(), state.held)) return kOutOfMemory;
  const size_t whole = (bytes + 2 * kGuard + 255) / 256 * 256;
  void* const memory = std::aligned_alloc(256, whole);
  if (memory == nullptr) return kOutOfMemory;
  std::memset(memory, kGuardByte, whole);
  *address = static_cast<CUdeviceptr>(reinterpret_cast<uintptr_t>(memory)) + kGuard;
  state.blocks[*address] = bytes;
  state.held += bytes;
  return kSuccess;
}

namespace {

void GiveBack(CUdeviceptr address) {
  State& state = Sole();
  const std::lock_guard<std::mutex> lock(state.mutex);
  const auto found = state.blocks.find(address);
  if (found == state.blocks.end()) return;
  const std::byte* const memory = HostAddress(address);
  for (size_t i = 1; i <= kGuard; i++) {
    const bool whole = memory[-static_cast<std::ptrdiff_t>(i)] == std::byte{kGuardByte} &&
                       memory[found->second + i - 1] == std::byte{kGuardByte};
    if (!whole && state.lost == kSuccess) {
      std::fprintf(stderr, "[emulated driver] a kernel wrote outside of a block of %zu bytes\n",
                   found->second);
      state.lost = kIllegalAddress;
    }
  }
  state.held -= found->second;
  state.blocks.erase(found);
  std::free(HostAddress(address) - kGuard);
}

}  // namespace

NABLA_EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  {
    State& state = Sole();
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (state.blocks.count(address) == 0) return kInvalidValue;
  }
  Queue(stream, [address] {
    GiveBack(address);
    return kSuccess;
  });
  return kSuccess;
}

NABLA_EXPORT CUresult cuMemAllocHost_v2(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory == nullptr ? kOutOfMemory : kSuccess;
}

NABLA_EXPORT CUresult cuMemFreeHost(void* memory) {
  std::free(memory);
  return kSuccess;
}

NABLA_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t bytes,
                                           CUstream stream) {
  return EnqueueCopy(stream, [=] {
    if (!IsInside(target, bytes)) return Lose(kIllegalAddress);
    std::memcpy(HostAddress(target), source, bytes);
    return kSuccess;
  });
}

NABLA_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t bytes, CUstream stream) {
  return EnqueueCopy(stream, [=] {
    if (!IsInside(source, bytes)) return Lose(kIllegalAddress);
    std::memcpy(target, HostAddress(source), bytes);
    return kSuccess;
  });
}

NABLA_EXPORT CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t bytes,
                                      CUstream stream) {
  return Enqueue(stream, [=] {
    if (!IsInside(target, bytes)) return Lose(kIllegalAddress);
    std::memset(HostAddress(target), value, bytes);
    return kSuccess;
  });
}

NABLA_EXPORT CUresult cuStreamCreate(CUstream* stream, unsigned) {
  State& state = Sole();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.streams.push_back(std::make_unique<CUstream_st>());
  *stream = state.streams.back().get();
  return Checked();
}

NABLA_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
  RunUntil(stream, stream->queued);
  return kSuccess;
}

NABLA_EXPORT CUresult cuStreamSynchronize(CUstream stream) {
  RunUntil(stream, stream->queued);
  return Checked();
}

NABLA_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  if (stream->capture != nullptr) return kCaptureIsolation;
  const CUevent_st then = *event;
  if (then.stream == nullptr) return Checked();
  return Enqueue(stream, [then] {
    RunUntil(then.stream, then.position);
    return kSuccess;
  });
}

NABLA_EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, int) {
  if (stream->capture != nullptr) return kInvalidValue;
  stream->capture = new CUgraph_st;
  return Checked();
}

NABLA_EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  *graph = stream->capture;
  stream->capture = nullptr;
  return *graph == nullptr ? kInvalidValue : Checked();
}

NABLA_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph,
                                                  unsigned long long) {
  *executable = new CUgraphExec_st{std::make_shared<const std::vector<Work>>(graph->nodes)};
  return Checked();
}

NABLA_EXPORT CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  stream->kernels = true;
  // The graph may be destroyed before it is done.
  return Enqueue(stream, [nodes = executable->nodes] {
    for (const Work& node : *nodes) {
      const CUresult error = node();
      if (error != kSuccess) return error;
      if (Checked() != kSuccess) break;
    }
    return kSuccess;
  });
}

NABLA_EXPORT CUresult cuGraphExecDestroy(CUgraphExec executable) {
  delete executable;
  return kSuccess;
}

NABLA_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  delete graph;
  return kSuccess;
}

NABLA_EXPORT CUresult cuEventCreate(CUevent* event, unsigned) {
  *event = new CUevent_st;
  return Checked();
}

NABLA_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  if (stream->capture != nullptr) return kInvalidValue;
  *event = {stream, stream->queued};
  return Checked();
}

NABLA_EXPORT CUresult cuEventSynchronize(CUevent event) {
  if (event->stream != nullptr) RunUntil(event->stream, event->position);
  return Checked();
}

NABLA_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  delete event;
  return kSuccess;
}

// The image is the family's name.
NABLA_EXPORT CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  if (Setting("NABLA_EMULATED_STALE", 0) != 0) return kNoBinaryForGpu;
  const std::string family = static_cast<const char*>(image);
  if (nabla::emulation::FindKernel(family, "") == nullptr) return kInvalidImage;
  *module = new CUmod_st{family};
  return Checked();
}

NABLA_EXPORT CUresult cuModuleUnload(CUmodule module) {
  delete module;
  return kSuccess;
}

NABLA_EXPORT CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  const nabla::emulation::Kernel* const kernel = nabla::emulation::FindKernel(module->family, name);
  if (kernel == nullptr) return kNotFound;
  *function = reinterpret_cast<CUfunction>(const_cast<nabla::emulation::Kernel*>(kernel));
  return kSuccess;
}

NABLA_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ,
                                     unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                                     CUstream stream, void** parameters, void**) {
  const auto& kernel = *reinterpret_cast<const nabla::emulation::Kernel*>(function);
  const size_t blocks = size_t{gridX} * gridY * gridZ;
  const bool fits = blockX * blockY * blockZ == kernel.threads && sharedBytes == 0 && blocks > 0;
  if (!fits || gridY > 65535 || gridZ > 65535) return kInvalidValue;
  const char* const given = static_cast<const char*>(parameters[0]);
  const std::vector<char> params(given, given + kernel.paramBytes);
  stream->kernels = true;
  return Enqueue(stream, [=, &kernel] {
    State& state = Sole();
    if (++state.launches == Setting("NABLA_EMULATED_LOSE_AT", 0)) return Lose(kLaunchFailed);
    if (!nabla::emulation::RunGrid(kernel, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, params.data())) {
      std::fprintf(stderr, "[emulated driver] the threads of kernel %s wait for ever\n", kernel.name.c_str());
      return Lose(kLaunchFailed);
    }
    return kSuccess;
  });
}
