// Copies through pinned memory.
#include "cuda/memory.h"

#include <algorithm>
#include <cstring>

namespace nabla::cuda {

CUresult Staging::Open(const Driver& driver, CUstream stream) {
  driver_ = &driver;
  stream_ = stream;
  void* memory = nullptr;
  CUresult error = driver.MemAllocHost(&memory, 2 * kHalf);
  if (error != kSuccess) return error;
  memory_ = Resource<void*>(memory, {driver.MemFreeHost});
  for (Resource<CUevent>& event : events_) {
    CUevent made = nullptr;
    error = driver.EventCreate(&made, kEventDisableTiming);
    if (error != kSuccess) return error;
    event = Resource<CUevent>(made, {driver.EventDestroy});
  }
  return kSuccess;
}

CUresult Staging::Write(CUdeviceptr target, const void* source, size_t bytes) {
  const std::byte* from = static_cast<const std::byte*>(source);
  CUresult error = kSuccess;
  while (bytes > 0 && error == kSuccess) {
    const size_t piece = std::min(bytes, kHalf);
    const size_t i = next_;
    if (busy_[i]) error = driver_->EventSynchronize(events_[i].get());
    if (error != kSuccess) return error;
    std::memcpy(half(i), from, piece);
    error = driver_->MemcpyHtoDAsync(target, half(i), piece, stream_);
    if (error == kSuccess) error = driver_->EventRecord(events_[i].get(), stream_);
    busy_[i] = true;
    next_ = 1 - i;
    target += piece;
    from += piece;
    bytes -= piece;
  }
  return error;
}

CUresult Staging::Read(void* target, CUdeviceptr source, size_t bytes) {
  // What still leaves a half is ordered before what comes into it, by the stream.
  const size_t pieces = (bytes + kHalf - 1) / kHalf;
  const auto size = [&](size_t piece) { return std::min(bytes - piece * kHalf, kHalf); };
  const auto ask = [&](size_t piece) {
    const CUresult error =
        driver_->MemcpyDtoHAsync(half(piece % 2), source + piece * kHalf, size(piece), stream_);
    return error == kSuccess ? driver_->EventRecord(events_[piece % 2].get(), stream_) : error;
  };
  CUresult error = pieces > 0 ? ask(0) : kSuccess;
  for (size_t piece = 0; piece < pieces && error == kSuccess; piece++) {
    if (piece + 1 < pieces) error = ask(piece + 1);
    if (error == kSuccess) error = driver_->EventSynchronize(events_[piece % 2].get());
    if (error == kSuccess)
      std::memcpy(static_cast<std::byte*>(target) + piece * kHalf, half(piece % 2), size(piece));
  }
  busy_[0] = busy_[1] = false;
  return error;
}

}  // namespace nabla::cuda
