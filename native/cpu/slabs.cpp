// Slabs: first fit over few large mappings.
#include "cpu/slabs.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

// AddressSanitizer sees overruns only of blocks that come from the C library one by one.
#if (defined(__unix__) && !defined(__EMSCRIPTEN__) || defined(__APPLE__)) && !defined(__SANITIZE_ADDRESS__)
#define NABLA_HAS_SLABS 1
#include <sys/mman.h>
#else
#define NABLA_HAS_SLABS 0
#endif

namespace nabla {

#if NABLA_HAS_SLABS
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSlab = size_t{8} << 20;
// Smaller blocks come faster from the C library; larger ones have mappings of their own.
constexpr size_t kLeast = size_t{8} << 10;
constexpr size_t kMost = size_t{4} << 20;

}  // namespace

bool Slabs::Wants(size_t bytes) { return bytes >= kLeast && bytes < kMost; }

Slabs::~Slabs() {
  for (const Slab& slab : slabs_) munmap(slab.mapping, kSlab + kHugePage);
}

bool Slabs::AddSlab() {
  void* const mapping =
      mmap(nullptr, kSlab + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return false;
  Slab slab;
  slab.mapping = static_cast<std::byte*>(mapping);
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  slab.base = reinterpret_cast<std::byte*>((address + kHugePage - 1) / kHugePage * kHugePage);
#if defined(MADV_HUGEPAGE)
  madvise(slab.base, kSlab, MADV_HUGEPAGE);
#endif
  slab.free[0] = kSlab;
  slabs_.push_back(std::move(slab));
  return true;
}

std::byte* Slabs::TakeFrom(Slab& slab, size_t bytes) {
  const auto found =
      std::find_if(slab.free.begin(), slab.free.end(), [&](const auto& gap) { return gap.second >= bytes; });
  if (found == slab.free.end()) return nullptr;
  const auto [offset, length] = *found;
  slab.free.erase(found);
  if (length > bytes) slab.free[offset + bytes] = length - bytes;
  slab.used += bytes;
  std::byte* const data = slab.base + offset;
  if (offset < slab.fresh) std::memset(data, 0, std::min(bytes, slab.fresh - offset));
  slab.fresh = std::max(slab.fresh, offset + bytes);
  return data;
}

std::byte* Slabs::Take(size_t bytes) {
  for (Slab& slab : slabs_) {
    if (std::byte* const data = TakeFrom(slab, bytes)) return data;
  }
  return AddSlab() ? TakeFrom(slabs_.back(), bytes) : nullptr;
}

void Slabs::Give(std::byte* data, size_t bytes) {
  const auto slab = std::find_if(slabs_.begin(), slabs_.end(), [&](const Slab& candidate) {
    return data >= candidate.base && data < candidate.base + kSlab;
  });
  slab->used -= bytes;
  // One empty slab is kept for what comes next.
  const auto isEmpty = [](const Slab& candidate) { return candidate.used == 0; };
  if (std::count_if(slabs_.begin(), slabs_.end(), isEmpty) > 1) {
    munmap(slab->mapping, kSlab + kHugePage);
    slabs_.erase(slab);
    return;
  }
  auto gap = slab->free.emplace(static_cast<size_t>(data - slab->base), bytes).first;
  const auto next = std::next(gap);
  if (next != slab->free.end() && gap->first + gap->second == next->first) {
    gap->second += next->second;
    slab->free.erase(next);
  }
  if (gap == slab->free.begin()) return;
  const auto former = std::prev(gap);
  if (former->first + former->second != gap->first) return;
  former->second += gap->second;
  slab->free.erase(gap);
}

#else

bool Slabs::Wants(size_t) { return false; }
Slabs::~Slabs() = default;
bool Slabs::AddSlab() { return false; }
std::byte* Slabs::TakeFrom(Slab&, size_t) { return nullptr; }
std::byte* Slabs::Take(size_t) { return nullptr; }
void Slabs::Give(std::byte*, size_t) {}

#endif

}  // namespace nabla
