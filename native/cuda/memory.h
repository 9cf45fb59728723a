// Memory of the device, and the way of bytes to it and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "cuda/driver.h"

namespace nabla::cuda {

struct PrimaryContextRelease {
  const Driver* driver = nullptr;
  CUdevice device = 0;
  void operator()(CUcontext) const { (void)driver->PrimaryCtxRelease(device); }
};

// A range of device memory, taken and given back in the stream's order: neither waits for the device.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  DeviceBlock(const Driver& driver, CUstream stream, CUdeviceptr address, int64_t bytes)
      : driver_(&driver), stream_(stream), address_(address), bytes_(bytes) {}
  DeviceBlock(DeviceBlock&& other) noexcept { Swap(other); }
  DeviceBlock& operator=(DeviceBlock&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~DeviceBlock() {
    if (address_ != 0) (void)driver_->MemFreeAsync(address_, stream_);
  }

  CUdeviceptr address() const { return address_; }
  // The address as kernels and operands hold it; never followed on the host.
  std::byte* data() const { return reinterpret_cast<std::byte*>(static_cast<uintptr_t>(address_)); }
  int64_t bytes() const { return bytes_; }

 private:
  void Swap(DeviceBlock& other) {
    std::swap(driver_, other.driver_);
    std::swap(stream_, other.stream_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
  }

  const Driver* driver_ = nullptr;
  CUstream stream_ = nullptr;
  CUdeviceptr address_ = 0;
  int64_t bytes_ = 0;
};

// Two halves of pinned memory, through which copies go piece by piece: one is filled or emptied while the
// other travels, and a write returns while its last pieces are still under way.
class Staging {
 public:
  CUresult Open(const Driver& driver, CUstream stream);
  CUresult Write(CUdeviceptr target, const void* source, size_t bytes);
  // Waits for all that was queued before.
  CUresult Read(void* target, CUdeviceptr source, size_t bytes);

 private:
  static constexpr size_t kHalf = size_t{1} << 20;

  std::byte* half(size_t i) const { return static_cast<std::byte*>(memory_.get()) + i * kHalf; }

  const Driver* driver_ = nullptr;
  CUstream stream_ = nullptr;
  Resource<void*> memory_;
  Resource<CUevent> events_[2];
  bool busy_[2] = {};
  size_t next_ = 0;
};

}  // namespace nabla::cuda
