// Aligned memory that a buffer, the workspace or the scratch is made of.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/slabs.h"

namespace nabla {

// Owns a range of zeroed memory, 64-byte aligned (huge-page aligned when it is large).
class Block {
 public:
  Block() = default;
  // An empty block when the memory cannot be had; ok() tells. The slabs must outlive the block.
  Block(int64_t bytes, Slabs& slabs);
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
  // Where it came from, and goes back to, with how many bytes; null where it is not from slabs.
  Slabs* slabs_ = nullptr;
  size_t slabBytes_ = 0;
};

// Bytes of memory in the machine; 0 when that is not known.
int64_t PhysicalMemory();

}  // namespace nabla
