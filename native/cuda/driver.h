// NVIDIA's driver, opened at run time: nothing of CUDA is linked, and a machine without it only gets a word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace nabla::cuda {

// The driver's types, declared here so that no header of CUDA is needed.
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphExec = struct CUgraphExec_st*;
using CUmemoryPool = struct CUmemPoolHandle_st*;

#if defined(_WIN32)
#define NABLA_CUDA_API __stdcall
#else
#define NABLA_CUDA_API
#endif

// Values of the driver's enumerations that are used.
constexpr CUresult kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100, kInvalidImage = 200,
                   kNoBinaryForGpu = 209, kUnsupportedPtxVersion = 222;
constexpr int kAttributeMajor = 75, kAttributeMinor = 76, kAttributeMemoryPools = 115,
              kAttributeMultiprocessors = 16;
constexpr int kPoolReleaseThreshold = 4;
constexpr int kCaptureThreadLocal = 1;
constexpr unsigned kStreamNonBlocking = 1, kEventDisableTiming = 2;

// The oldest driver that has all functions, as cuDriverGetVersion counts, and what the kernels are made for.
constexpr int kLeastVersion = 12000, kKernelsVersion = 13000;
constexpr int kLeastCapability = 80;

struct Driver {
#define NABLA_CUDA_CALL(name, symbol, parameters) CUresult(NABLA_CUDA_API* name) parameters = nullptr;
#include "cuda/driver.def"
#undef NABLA_CUDA_CALL
  int version = 0;
  // Kernels are run by name through native/cuda/emulation: no images are needed.
  bool emulated = false;

  // "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
  std::string Text(CUresult error) const;
};

// The driver in `NABLA_CUDA_DRIVER`, or that of the system; null, and why, when there is none that is new
// enough. Opened once a process and never closed.
const Driver* OpenDriver(std::string& reason);

// A library by its name, opened for the life of the process, or null and why; and what it exports.
void* OpenLibrary(const char* path, std::string& reason);
void* FindSymbol(void* library, const char* name);

// Whether the driver says by this error that the device cannot be used any more.
bool IsDeviceLost(CUresult error);

// "13.0" for 13000.
std::string VersionText(int version);

// One GPU, in words.
struct Gpu {
  CUdevice device = 0;
  std::string name;
  int capability = 0;  // 90 for 9.0
  int multiprocessors = 1;
  bool memoryPools = false;
  int64_t memoryBytes = 0;
};

// The GPU with this number (below 0: that of `NABLA_CUDA_DEVICE`, or the first); what is wrong, or an empty
// string.
std::string FindGpu(const Driver& driver, int ordinal, Gpu& gpu);

// Something of the driver's that is given back by one of its functions.
template <class Handle, class Release>
class Owned {
 public:
  Owned() = default;
  Owned(Handle handle, Release release) : handle_(handle), release_(std::move(release)) {}
  Owned(Owned&& other) noexcept
      : handle_(std::exchange(other.handle_, Handle{})), release_(std::move(other.release_)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(release_, other.release_);
    return *this;
  }
  ~Owned() {
    if (handle_ != Handle{}) release_(handle_);
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_{};
  Release release_{};
};

// Gives back by calling a function of the driver's, whose result no longer matters.
template <class Handle>
struct Releaser {
  CUresult(NABLA_CUDA_API* release)(Handle) = nullptr;
  void operator()(Handle handle) const { (void)release(handle); }
};
template <class Handle>
using Resource = Owned<Handle, Releaser<Handle>>;

}  // namespace nabla::cuda
