// Finds the driver's library and its functions, and words what is missing.
#include "cuda/driver.h"

#include <cstdlib>
#include <map>
#include <mutex>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace nabla::cuda {
namespace {

#if defined(_WIN32)
constexpr const char* kLibrary = "nvcuda.dll";
#else
constexpr const char* kLibrary = "libcuda.so.1";
#endif

// An exported mark of the emulated driver.
constexpr const char* kEmulationMark = "nablaCudaEmulation";

struct Opened {
  std::unique_ptr<Driver> driver;
  std::string reason;
};

Opened Open(const std::string& path) {
  Opened result;
  std::string why;
  void* const library = OpenLibrary(path.c_str(), why);
  if (library == nullptr) {
    result.reason = "no NVIDIA driver, got no library " + path + " that loads (" + why +
                    "), expected one; install NVIDIA's driver, or use another backend";
    return result;
  }
  auto driver = std::make_unique<Driver>();
  const auto tooOld = [&](const std::string& found) {
    return "NVIDIA's driver is too old, got " + found + ", expected one for CUDA " +
           VersionText(kLeastVersion) + " or later; update it, or use another backend";
  };
  const char* missing = nullptr;
#define NABLA_CUDA_CALL(name, symbol, parameters)                                        \
  driver->name = reinterpret_cast<decltype(driver->name)>(FindSymbol(library, #symbol)); \
  if (driver->name == nullptr && missing == nullptr) missing = #symbol;
#include "cuda/driver.def"
#undef NABLA_CUDA_CALL
  if (driver->DriverGetVersion == nullptr || driver->DriverGetVersion(&driver->version) != kSuccess) {
    result.reason = "no NVIDIA driver, got a library " + path +
                    " that is none, expected NVIDIA's; check NABLA_CUDA_DRIVER";
    return result;
  }
  if (driver->version < kLeastVersion) {
    result.reason = tooOld("one for CUDA " + VersionText(driver->version));
  } else if (missing != nullptr) {
    result.reason = tooOld(std::string("one without ") + missing);
  } else {
    driver->emulated = FindSymbol(library, kEmulationMark) != nullptr;
    result.driver = std::move(driver);
  }
  return result;
}

std::string Environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? std::string() : std::string(text);
}

}  // namespace

#if defined(_WIN32)
void* OpenLibrary(const char* path, std::string& reason) {
  void* const library = reinterpret_cast<void*>(LoadLibraryA(path));
  if (library == nullptr) reason = "error " + std::to_string(GetLastError());
  return library;
}

void* FindSymbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}
#else
void* OpenLibrary(const char* path, std::string& reason) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const text = dlerror();
    reason = text == nullptr ? "no reason" : text;
  }
  return library;
}

void* FindSymbol(void* library, const char* name) { return dlsym(library, name); }
#endif

std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string Driver::Text(CUresult error) const {
  const char *name = nullptr, *words = nullptr;
  if (GetErrorName(error, &name) != kSuccess || name == nullptr) return "error " + std::to_string(error);
  (void)GetErrorString(error, &words);
  return words == nullptr ? std::string(name) : std::string(name) + " (" + words + ")";
}

const Driver* OpenDriver(std::string& reason) {
  // Code of the library may run until the process ends, so that it is never closed.
  static std::mutex mutex;
  static std::map<std::string, Opened> opened;
  const std::string chosen = Environment("NABLA_CUDA_DRIVER");
  const std::string path = chosen.empty() ? kLibrary : chosen;
  const std::lock_guard<std::mutex> lock(mutex);
  auto found = opened.find(path);
  if (found == opened.end()) found = opened.emplace(path, Open(path)).first;
  reason = found->second.reason;
  return found->second.driver.get();
}

bool IsDeviceLost(CUresult error) {
  switch (error) {
    case 46:   // device unavailable
    case 214:  // ECC uncorrectable
    case 220:  // NVLink uncorrectable
    case 700:  // illegal address
    case 702:  // launch timeout
    case 709:  // context is destroyed
    case 710:  // assert
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failure
    case 721:  // contained
    case 999:  // unknown
      return true;
    default:
      return false;
  }
}

std::string FindGpu(const Driver& driver, int ordinal, Gpu& gpu) {
  const CUresult ready = driver.Init(0);
  int count = 0;
  if (ready == kSuccess) (void)driver.DeviceGetCount(&count);
  if (ready == kNoDevice || (ready == kSuccess && count == 0)) {
    return "no NVIDIA GPU, got a driver for CUDA " + VersionText(driver.version) +
           " that sees none, expected one at least; check nvidia-smi and CUDA_VISIBLE_DEVICES";
  }
  if (ready != kSuccess) {
    return "NVIDIA's driver does not start, got " + driver.Text(ready) +
           ", expected success; check nvidia-smi, or reboot after a driver update";
  }
  const std::string wanted = Environment("NABLA_CUDA_DEVICE");
  std::string shown = std::to_string(ordinal);
  if (ordinal < 0) {
    shown = wanted.empty() ? "0" : "NABLA_CUDA_DEVICE=" + wanted;
    char* end = nullptr;
    const long number = wanted.empty() ? 0 : std::strtol(wanted.c_str(), &end, 10);
    ordinal = end != nullptr && *end != '\0' ? -1 : static_cast<int>(number);
  }
  if (ordinal < 0 || ordinal >= count) {
    return "number of the GPU, got " + shown + ", expected " +
           (count == 1 ? std::string("0, the only one") : "0 to " + std::to_string(count - 1));
  }
  char name[256] = {};
  size_t bytes = 0;
  int major = 0, minor = 0, pools = 0;
  CUresult error = driver.DeviceGet(&gpu.device, ordinal);
  if (error == kSuccess) error = driver.DeviceGetName(name, sizeof name - 1, gpu.device);
  if (error == kSuccess) error = driver.DeviceTotalMem(&bytes, gpu.device);
  if (error == kSuccess) error = driver.DeviceGetAttribute(&major, kAttributeMajor, gpu.device);
  if (error == kSuccess) error = driver.DeviceGetAttribute(&minor, kAttributeMinor, gpu.device);
  if (error == kSuccess)
    error = driver.DeviceGetAttribute(&gpu.multiprocessors, kAttributeMultiprocessors, gpu.device);
  if (error == kSuccess) error = driver.DeviceGetAttribute(&pools, kAttributeMemoryPools, gpu.device);
  if (error != kSuccess) {
    return "GPU " + std::to_string(ordinal) + " does not answer, got " + driver.Text(error) +
           ", expected its description; check nvidia-smi";
  }
  gpu.name = name;
  gpu.capability = 10 * major + minor;
  gpu.memoryBytes = static_cast<int64_t>(bytes);
  gpu.memoryPools = pools != 0;
  const std::string words =
      gpu.name + " of compute capability " + std::to_string(major) + "." + std::to_string(minor);
  if (gpu.capability < kLeastCapability) {
    return "unsupported GPU, got " + words +
           ", expected 8.0 or later (Ampere and what followed); use another backend";
  }
  if (!gpu.memoryPools) {
    return "unsupported GPU, got " + words +
           " without memory pools, expected them; give the virtual machine" +
           " a whole GPU, or use another backend";
  }
  return {};
}

}  // namespace nabla::cuda
