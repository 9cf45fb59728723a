// Loads families of kernels when they are first used, and starts kernels.
#include "cuda/launcher.h"

#include "cuda/images.h"

namespace nabla::cuda {
namespace {

// The most that the second and third dimension of a grid may have.
constexpr int64_t kMostBlocksYZ = 65535, kMostBlocksX = 2147483647;

}  // namespace

std::string KernelLibrary::LoadFamily(const char* family, CUmodule& module) {
  const auto known = modules_.find(family);
  if (known != modules_.end()) {
    module = known->second.get();
    return {};
  }
  const Image* const image = FindImage(family);
  if (image == nullptr && !driver_.emulated) {
    return std::string("no kernels '") + family +
           "', got an addon built without NVIDIA's compiler, expected one with it; install nvcc and build "
           "again";
  }
  // The emulation knows families by name.
  const void* const data = driver_.emulated ? static_cast<const void*>(family) : image->data;
  const CUresult error = driver_.ModuleLoadData(&module, data);
  if (error == kNoBinaryForGpu || error == kInvalidImage || error == kUnsupportedPtxVersion) {
    return std::string("the kernels '") + family + "' do not fit, got " + driver_.Text(error) +
           " for compute capability " + std::to_string(capability_ / 10) + "." +
           std::to_string(capability_ % 10) + " and a driver for CUDA " + VersionText(driver_.version) +
           ", expected one for CUDA " + VersionText(kKernelsVersion) + " or later; update NVIDIA's driver";
  }
  if (error != kSuccess) {
    return std::string("could not load the kernels '") + family + "', got " + driver_.Text(error) +
           ", expected success";
  }
  modules_.emplace(family, Resource<CUmodule>(module, {driver_.ModuleUnload}));
  return {};
}

std::string KernelLibrary::Find(const Entry& entry, CUfunction& function) {
  const auto known = functions_.find(&entry);
  if (known != functions_.end()) {
    function = known->second;
    return {};
  }
  CUmodule module = nullptr;
  std::string error = LoadFamily(entry.family, module);
  if (!error.empty()) return error;
  const CUresult result = driver_.ModuleGetFunction(&function, module, entry.name);
  if (result != kSuccess) {
    return std::string("no kernel '") + entry.name + "' among '" + entry.family + "', got " +
           driver_.Text(result) + ", expected it; the addon is damaged: build it again";
  }
  functions_.emplace(&entry, function);
  return {};
}

void Launcher::Start(const Entry& entry, Grid grid, unsigned threads, void* params) {
  if (!error_.empty() || grid.x <= 0 || grid.y <= 0 || grid.z <= 0) return;
  if (grid.x > kMostBlocksX || grid.y > kMostBlocksYZ || grid.z > kMostBlocksYZ) {
    error_ = std::string("an operand is too large for kernel ") + entry.name + ", got a grid of " +
             std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " + std::to_string(grid.z) +
             " blocks, expected at most 2147483647 x 65535 x 65535; use a smaller batch";
    return;
  }
  CUfunction function = nullptr;
  error_ = library_.Find(entry, function);
  if (!error_.empty()) return;
  void* parameters[] = {params};
  result_ =
      driver_.LaunchKernel(function, static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                           static_cast<unsigned>(grid.z), threads, 1, 1, 0, stream_, parameters, nullptr);
  if (result_ != kSuccess) {
    error_ = std::string("kernel ") + entry.name + " could not be started, got " + driver_.Text(result_) +
             ", expected success";
  }
}

}  // namespace nabla::cuda
