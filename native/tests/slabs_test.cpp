// Tests the slabs: blocks are zeroed and never overlap, and what is given back joins with its neighbours.
#include "cpu/slabs.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace {

int passed = 0;
int failed = 0;

void Check(bool ok, const char* what) {
  (ok ? passed : failed)++;
  if (!ok) std::fprintf(stderr, "slabs_test: %s\n", what);
}

struct Taken {
  std::byte* data;
  size_t bytes;
  std::byte mark;
};

bool AllAre(const Taken& block, std::byte value) {
  return std::all_of(block.data, block.data + block.bytes, [&](std::byte b) { return b == value; });
}

void RandomTraffic(uint32_t seed) {
  nabla::Slabs slabs;
  std::mt19937 random(seed);
  std::vector<Taken> taken;
  bool zeroed = true, kept = true, aligned = true;
  for (int i = 0; i < 2000; i++) {
    if (taken.size() < 40 && random() % 5 < 3) {
      const size_t bytes = 8192 + random() % 16384 * 64;
      Taken block{slabs.Take(bytes), bytes, static_cast<std::byte>(1 + i % 255)};
      if (block.data == nullptr) {
        Check(false, "no memory");
        return;
      }
      aligned &= reinterpret_cast<uintptr_t>(block.data) % 64 == 0;
      zeroed &= AllAre(block, std::byte{0});
      std::memset(block.data, static_cast<int>(block.mark), bytes);
      taken.push_back(block);
    } else if (!taken.empty()) {
      std::swap(taken[random() % taken.size()], taken.back());
      kept &= AllAre(taken.back(), taken.back().mark);
      slabs.Give(taken.back().data, taken.back().bytes);
      taken.pop_back();
    }
  }
  Check(zeroed, "a block was not zeroed");
  Check(kept, "a block was written over");
  Check(aligned, "a block was not aligned");
  for (const Taken& block : taken) slabs.Give(block.data, block.bytes);
}

// Given back in any order, the gaps must join, or no place of this size would be left where the first one
// lay.
void GapsJoin() {
  constexpr size_t kPart = size_t{1} << 20;
  const std::vector<std::vector<size_t>> orders = {{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}};
  for (const std::vector<size_t>& order : orders) {
    nabla::Slabs slabs;
    std::vector<std::byte*> parts(3);
    for (std::byte*& part : parts) part = slabs.Take(kPart);
    std::byte* const first = parts[0];
    for (const size_t i : order) slabs.Give(parts[i], kPart);
    Check(slabs.Take(3 * kPart) == first, "gaps did not join");
  }
}

}  // namespace

int main() {
  // Nothing to test where there are no slabs; blocks then come from the C library.
  Check(!nabla::Slabs::Wants(64), "small blocks are wanted");
  Check(!nabla::Slabs::Wants(size_t{1} << 30), "large blocks are wanted");
  if (nabla::Slabs::Wants(size_t{1} << 20)) {
    for (uint32_t seed = 1; seed <= 4; seed++) RandomTraffic(seed);
    GapsJoin();
  }
  std::printf("slabs_test: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
