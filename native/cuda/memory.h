// Memory of the device, and the way of bytes to it and back: two streams, and what each has to wait for.
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

// What was last done with a block of memory, by the numbers that Streams gives out.
struct Use {
  uint64_t work = 0;    // on the stream of kernels
  uint64_t copies = 0;  // on the stream of copies
};

// The stream of kernels, on which all is in order, and a stream of copies, which run beside kernels that have
// nothing to do with them. Bytes go through a ring of pinned pieces: one is filled or emptied while others
// travel, and a write returns while its last pieces are still under way.
//
// A copy goes beside the kernels only where no kernel that is queued uses its block, so that it waits for
// none; kernels that use the block later wait for the copy (Begin). All other copies are queued among the
// kernels.
class Streams {
 public:
  Streams() = default;
  ~Streams();
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  CUresult Open(const Driver& driver);
  CUstream work() const { return work_.get(); }

  // Makes kernels that are queued from now on wait for copies to a block. Never while a graph is recorded.
  CUresult Await(const Use& use);
  // Before work on a block is queued: waits as Await does, and notes the use.
  CUresult Begin(Use& use) {
    use.work = queued_ + 1;
    return Await(use);
  }
  // That work is queued.
  void Queued() { queued_++; }
  // All that is numbered up to here was waited for by the host.
  void Done(uint64_t work) {
    if (work > done_) done_ = work;
  }
  uint64_t queued() const { return queued_; }

  CUresult Write(CUdeviceptr target, Use& use, const void* source, size_t bytes);
  // Waits for what writes the block, and for nothing else where the block is not in use.
  CUresult Read(void* target, CUdeviceptr source, const Use& use, size_t bytes);
  // For both streams to end.
  CUresult Synchronize();
  // Gives memory back once nothing that is queued uses it.
  void Free(CUdeviceptr address, const Use& use);

 private:
  static constexpr size_t kPiece = size_t{1} << 20;
  static constexpr size_t kPieces = 4;
  // What is worth a wait between streams.
  static constexpr size_t kLeastBeside = size_t{16} << 10;

  std::byte* piece(uint64_t number) const {
    return static_cast<std::byte*>(memory_.get()) + number % kPieces * kPiece;
  }
  CUevent event(uint64_t number) const { return events_[number % kPieces].get(); }
  // A piece of the ring that nothing uses any more.
  CUresult TakePiece(uint64_t& number);
  CUresult WaitForPiece(uint64_t number);
  bool GoesBeside(const Use& use, size_t bytes) const {
    return bytes >= kLeastBeside && queued_ > done_ && use.work <= done_;
  }

  const Driver* driver_ = nullptr;
  Resource<CUstream> work_;
  Resource<CUstream> copies_;
  Resource<void*> memory_;
  Resource<CUevent> events_[kPieces];
  // Pieces are numbered from 1 on. That of number n has left the ring's memory when n + kPieces was taken.
  uint64_t taken_ = 0;
  bool busy_[kPieces] = {};
  uint64_t awaited_ = 0;  // the last piece on the stream of copies that that of kernels has waited for
  uint64_t queued_ = 0;
  uint64_t done_ = 0;
};

// A range of device memory, taken and given back in the order of the stream of kernels: neither waits for the
// device.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  DeviceBlock(Streams& streams, CUdeviceptr address, int64_t bytes)
      : streams_(&streams), address_(address), bytes_(bytes) {}
  DeviceBlock(DeviceBlock&& other) noexcept { Swap(other); }
  DeviceBlock& operator=(DeviceBlock&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~DeviceBlock() {
    if (address_ != 0) streams_->Free(address_, use);
  }

  CUdeviceptr address() const { return address_; }
  // The address as kernels and operands hold it; never followed on the host.
  std::byte* data() const { return reinterpret_cast<std::byte*>(static_cast<uintptr_t>(address_)); }
  int64_t bytes() const { return bytes_; }

  Use use;

 private:
  void Swap(DeviceBlock& other) {
    std::swap(streams_, other.streams_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    std::swap(use, other.use);
  }

  Streams* streams_ = nullptr;
  CUdeviceptr address_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace nabla::cuda
