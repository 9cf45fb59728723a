// Aligned memory that a buffer, the workspace or the scratch is made of.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nabla {

// Owns a range of zeroed memory, 64-byte aligned (huge-page aligned when it is large).
class Block {
 public:
  Block() = default;
  // An empty block when the memory cannot be had; ok() tells.
  explicit Block(int64_t bytes);
  ~Block();
  Block(Block&& other) noexcept { Swap(other); }
  Block& operator=(Block&& other) noexcept {
    Swap(other);
    return *this;
  }

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  bool ok() const { return data_ != nullptr; }

 private:
  void Swap(Block& other);

  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  // What the system was asked for, where that is not the same; 0 for memory from the C library.
  std::byte* mapping_ = nullptr;
  size_t mappedBytes_ = 0;
};

// Bytes of memory in the machine; 0 when that is not known.
int64_t PhysicalMemory();

}  // namespace nabla
