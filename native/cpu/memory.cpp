// Aligned memory: small blocks from the C library, middle-sized ones from slabs, large ones mapped, on huge
// pages where the system has them.
#include "cpu/memory.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#if defined(__unix__) && !defined(__EMSCRIPTEN__) || defined(__APPLE__)
#define NABLA_HAS_MMAP 1
#include <sys/mman.h>
#include <unistd.h>
#else
#define NABLA_HAS_MMAP 0
#endif
#if defined(_WIN32)
#include <malloc.h>
#include <windows.h>
#endif

namespace nabla {
namespace {

constexpr size_t kAlignment = 64;
// Larger blocks are mapped: the system hands out zeroed pages, in one piece of address space that huge pages
// fit.
[[maybe_unused]] constexpr size_t kMapFrom = size_t{4} << 20;
constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

Block::Block(int64_t bytes, Slabs& slabs) {
  // On 32-bit targets a size may be larger than any pointer.
  if (static_cast<uint64_t>(bytes) > SIZE_MAX - 2 * kHugePage) return;
  // A block of no bytes still has an address, so that kernels need not ask.
  const size_t wanted = RoundUp(bytes > 0 ? static_cast<size_t>(bytes) : 1, kAlignment);
  if (Slabs::Wants(wanted)) {
    data_ = slabs.Take(wanted);
    if (data_ == nullptr) return;
    slabs_ = &slabs, slabBytes_ = wanted, bytes_ = bytes;
    return;
  }
#if NABLA_HAS_MMAP
  if (wanted >= kMapFrom) {
    const size_t mapped = RoundUp(wanted, kHugePage) + kHugePage;
    void* const mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) return;
    mapping_ = static_cast<std::byte*>(mapping);
    mappedBytes_ = mapped;
    data_ = reinterpret_cast<std::byte*>(RoundUp(reinterpret_cast<uintptr_t>(mapping), kHugePage));
#if defined(MADV_HUGEPAGE)
    madvise(data_, RoundUp(wanted, kHugePage), MADV_HUGEPAGE);
#endif
    bytes_ = bytes;
    return;
  }
#endif
#if defined(_WIN32)
  void* const memory = _aligned_malloc(wanted, kAlignment);
#else
  void* const memory = std::aligned_alloc(kAlignment, wanted);
#endif
  if (memory == nullptr) return;
  std::memset(memory, 0, wanted);
  data_ = static_cast<std::byte*>(memory);
  bytes_ = bytes;
}

Block::~Block() {
  if (data_ == nullptr) return;
  if (slabs_ != nullptr) {
    slabs_->Give(data_, slabBytes_);
    return;
  }
#if NABLA_HAS_MMAP
  if (mapping_ != nullptr) {
    munmap(mapping_, mappedBytes_);
    return;
  }
#endif
#if defined(_WIN32)
  _aligned_free(data_);
#else
  std::free(data_);
#endif
}

void Block::Swap(Block& other) {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapping_, other.mapping_);
  std::swap(mappedBytes_, other.mappedBytes_);
  std::swap(slabs_, other.slabs_);
  std::swap(slabBytes_, other.slabBytes_);
}

int64_t PhysicalMemory() {
#if NABLA_HAS_MMAP && defined(_SC_PHYS_PAGES)
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long pageBytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && pageBytes > 0 ? int64_t{pages} * pageBytes : 0;
#elif defined(_WIN32)
  MEMORYSTATUSEX status = {};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) ? static_cast<int64_t>(status.ullTotalPhys) : 0;
#else
  return 0;
#endif
}

}  // namespace nabla
