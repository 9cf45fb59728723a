// Slabs: a device's middle-sized blocks lie side by side in large mappings, on huge pages where the system
// has them.
//
// A model's weights, gradients and optimizer states together often just fit the second cache. On pages of
// 4 KiB they collide there by chance, since the cache is indexed by physical addresses; on one huge page they
// do not.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

namespace nabla {

class Slabs {
 public:
  Slabs() = default;
  ~Slabs();
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  // Whether blocks of this size are kept here.
  static bool Wants(size_t bytes);
  // Zeroed memory, or null where it cannot be had. `bytes` a multiple of 64.
  std::byte* Take(size_t bytes);
  // Gives back what Take gave, with the same size.
  void Give(std::byte* data, size_t bytes);

 private:
  struct Slab {
    std::byte* mapping = nullptr;
    std::byte* base = nullptr;
    size_t used = 0;
    // From here on nothing has been written since the system gave it zeroed.
    size_t fresh = 0;
    std::map<size_t, size_t> free;  // offset to length; neighbours are joined
  };

  static std::byte* TakeFrom(Slab& slab, size_t bytes);
  bool AddSlab();

  std::vector<Slab> slabs_;
};

}  // namespace nabla
