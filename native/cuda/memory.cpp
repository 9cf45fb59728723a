// Copies through pinned memory, among the kernels or beside them.
#include "cuda/memory.h"

#include <algorithm>
#include <cstring>

namespace nabla::cuda {

CUresult Streams::Open(const Driver& driver) {
  driver_ = &driver;
  for (Resource<CUstream>* const stream : {&work_, &copies_}) {
    CUstream made = nullptr;
    const CUresult error = driver.StreamCreate(&made, kStreamNonBlocking);
    if (error != kSuccess) return error;
    *stream = Resource<CUstream>(made, {driver.StreamDestroy});
  }
  void* memory = nullptr;
  CUresult error = driver.MemAllocHost(&memory, kPieces * kPiece);
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

Streams::~Streams() {
  if (copies_.get() != nullptr) (void)Synchronize();
}

CUresult Streams::Synchronize() {
  const uint64_t queued = queued_;
  CUresult error = driver_->StreamSynchronize(copies_.get());
  if (error == kSuccess) error = driver_->StreamSynchronize(work_.get());
  if (error == kSuccess) Done(queued);
  return error;
}

CUresult Streams::Await(const Use& use) {
  if (use.copies <= awaited_) return kSuccess;
  awaited_ = use.copies;
  // A piece whose place was taken again was waited for before that.
  if (use.copies + kPieces <= taken_) return kSuccess;
  return driver_->StreamWaitEvent(work_.get(), event(use.copies), 0);
}

void Streams::Free(CUdeviceptr address, const Use& use) {
  (void)Await(use);
  (void)driver_->MemFreeAsync(address, work_.get());
}

CUresult Streams::WaitForPiece(uint64_t number) {
  bool& busy = busy_[number % kPieces];
  const CUresult error = busy ? driver_->EventSynchronize(event(number)) : kSuccess;
  if (error == kSuccess) busy = false;
  return error;
}

CUresult Streams::TakePiece(uint64_t& number) {
  const CUresult error = WaitForPiece(taken_ + 1);
  if (error == kSuccess) number = ++taken_;
  return error;
}

CUresult Streams::Write(CUdeviceptr target, Use& use, const void* source, size_t bytes) {
  const bool beside = GoesBeside(use, bytes);
  const CUstream stream = beside ? copies_.get() : work_.get();
  CUresult error = beside ? kSuccess : Begin(use);
  const std::byte* from = static_cast<const std::byte*>(source);
  for (size_t done = 0; done < bytes && error == kSuccess; done += kPiece) {
    const size_t size = std::min(bytes - done, kPiece);
    uint64_t number = 0;
    error = TakePiece(number);
    if (error != kSuccess) break;
    std::memcpy(piece(number), from + done, size);
    error = driver_->MemcpyHtoDAsync(target + done, piece(number), size, stream);
    if (error == kSuccess) error = driver_->EventRecord(event(number), stream);
    busy_[number % kPieces] = true;
    if (beside) use.copies = number;
  }
  if (!beside) Queued();
  return error;
}

CUresult Streams::Read(void* target, CUdeviceptr source, const Use& use, size_t bytes) {
  const bool beside = GoesBeside(use, bytes);
  const CUstream stream = beside ? copies_.get() : work_.get();
  CUresult error = beside ? kSuccess : Await(use);
  const uint64_t queued = queued_;
  const size_t pieces = (bytes + kPiece - 1) / kPiece;
  const auto size = [&](size_t i) { return std::min(bytes - i * kPiece, kPiece); };
  uint64_t numbers[2] = {};
  const auto ask = [&](size_t i) {
    uint64_t& number = numbers[i % 2];
    CUresult result = TakePiece(number);
    if (result == kSuccess)
      result = driver_->MemcpyDtoHAsync(piece(number), source + i * kPiece, size(i), stream);
    if (result == kSuccess) result = driver_->EventRecord(event(number), stream);
    busy_[number % kPieces] = true;
    return result;
  };
  if (pieces > 0 && error == kSuccess) error = ask(0);
  for (size_t i = 0; i < pieces && error == kSuccess; i++) {
    if (i + 1 < pieces) error = ask(i + 1);
    if (error == kSuccess) error = WaitForPiece(numbers[i % 2]);
    if (error == kSuccess)
      std::memcpy(static_cast<std::byte*>(target) + i * kPiece, piece(numbers[i % 2]), size(i));
  }
  if (!beside && error == kSuccess && pieces > 0) Done(queued);
  return error;
}

}  // namespace nabla::cuda
