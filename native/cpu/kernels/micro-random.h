// The random micro-operations: Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", 2011), so that any element can be made on its own and a mask can be made
// again in the backward pass.
#if defined(NABLA_MICRO_RANDOM_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MICRO_RANDOM_H
#undef NABLA_MICRO_RANDOM_H
#else
#define NABLA_MICRO_RANDOM_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "cpu/kernels/map-args.h"

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int kPhiloxRounds = 10;
constexpr uint32_t kPhiloxMul0 = 0xD2511F53, kPhiloxMul1 = 0xCD9E8D57;
constexpr uint32_t kPhiloxAdd0 = 0x9E3779B9, kPhiloxAdd1 = 0xBB67AE85;
constexpr float kUniformScale = 0x1p-24f;

struct PhiloxKey {
  uint32_t key0, key1, step, stream;
};

#if HWY_TARGET == HWY_SCALAR

constexpr size_t kMostAtOnce = 1;
HWY_INLINE size_t CountersAtOnce() { return 1; }

// Writes the four words of one counter.
template <bool kFloats>
HWY_INLINE void PhiloxWords(const PhiloxKey& key, uint64_t counter, uint32_t* out) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = key.step, c3 = key.stream;
  for (uint32_t round = 0; round < kPhiloxRounds; round++) {
    const uint64_t p0 = uint64_t{kPhiloxMul0} * c0, p1 = uint64_t{kPhiloxMul1} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ (key.key0 + round * kPhiloxAdd0);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ (key.key1 + round * kPhiloxAdd1);
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
  }
  const uint32_t words[4] = {c0, c1, c2, c3};
  for (int i = 0; i < 4; i++) {
    const float uniform = static_cast<float>(words[i] >> 8) * kUniformScale;
    std::memcpy(out + i, kFloats ? static_cast<const void*>(&uniform) : &words[i], 4);
  }
}

#else

using TagW = hn::ScalableTag<uint64_t>;
using VecW = hn::Vec<TagW>;
constexpr size_t kMostAtOnce = HWY_MAX_BYTES / sizeof(uint64_t);
HWY_INLINE size_t CountersAtOnce() { return hn::Lanes(TagW()); }

// The 64-bit product of the low halves.
HWY_INLINE VecW MulLow(VecW a, VecW b) {
  const hn::Repartition<uint32_t, TagW> words;
  return hn::MulEven(hn::BitCast(words, a), hn::BitCast(words, b));
}

// Low half of a below the low half of b; as uniform numbers if they are wanted.
template <bool kFloats>
HWY_INLINE VecW Pack(VecW a, VecW b) {
  const hn::Repartition<uint32_t, TagW> words;
  const VecW both = hn::Or(hn::And(a, hn::Set(TagW(), 0xffffffffu)), hn::ShiftLeft<32>(b));
  if (!kFloats) return both;
  const hn::Repartition<int32_t, TagW> ints;
  const hn::Repartition<float, TagW> floats;
  const auto top = hn::BitCast(ints, hn::ShiftRight<8>(hn::BitCast(words, both)));
  return hn::BitCast(TagW(), hn::Mul(hn::ConvertTo(floats, top), hn::Set(floats, kUniformScale)));
}

// The high half of every lane; what it leaves above is never read.
HWY_INLINE VecW High(VecW a) {
  const hn::Repartition<uint32_t, TagW> words;
  return hn::BitCast(TagW(), hn::Shuffle2301(hn::BitCast(words, a)));
}

// Writes the four words of each of CountersAtOnce() counters. Every counter has a 64-bit lane to itself, so
// that a multiplication gives its high and its low word in place; what the high halves of other lanes hold is
// never read.
template <bool kFloats>
HWY_INLINE void PhiloxWords(const PhiloxKey& key, uint64_t counter, uint32_t* out) {
  const TagW d;
  const VecW mul0 = hn::Set(d, kPhiloxMul0), mul1 = hn::Set(d, kPhiloxMul1);
  const VecW add0 = hn::Set(d, kPhiloxAdd0), add1 = hn::Set(d, kPhiloxAdd1);
  VecW key0 = hn::Set(d, key.key0), key1 = hn::Set(d, key.key1);
  VecW c0 = hn::Add(hn::Set(d, counter), hn::Iota(d, 0));
  VecW c1 = High(c0);
  VecW c2 = hn::Set(d, key.step), c3 = hn::Set(d, key.stream);
  for (int round = 0; round < kPhiloxRounds; round++) {
    const VecW p0 = MulLow(c0, mul0), p1 = MulLow(c2, mul1);
    c0 = hn::Xor3(High(p1), c1, key0);
    c2 = hn::Xor3(High(p0), c3, key1);
    c1 = p1;
    c3 = p0;
    key0 = hn::Add(key0, add0);
    key1 = hn::Add(key1, add1);
  }
  hn::StoreInterleaved2(Pack<kFloats>(c0, c1), Pack<kFloats>(c2, c3), d, reinterpret_cast<uint64_t*>(out));
}

#endif

// Elements args.first ... of the stream: element e is word e mod 4 of counter e / 4.
template <bool kFloats>
void RandomWords(const MicroArgs& args) {
  const auto* state = static_cast<const uint32_t*>(args.a);
  const PhiloxKey key{state[0], state[1], state[2], *static_cast<const uint32_t*>(args.b)};
  auto* out = static_cast<uint32_t*>(args.out);
  const size_t batch = 4 * CountersAtOnce();
  uint64_t counter = static_cast<uint64_t>(args.first) / 4;
  size_t skip =
      static_cast<size_t>(args.first) % 4;  // words of the first counter that belong to elements before
  for (size_t i = 0; i < args.count; counter += CountersAtOnce()) {
    if (skip == 0 && args.count - i >= batch) {
      PhiloxWords<kFloats>(key, counter, out + i);
      i += batch;
      continue;
    }
    HWY_ALIGN uint32_t words[4 * kMostAtOnce];
    PhiloxWords<kFloats>(key, counter, words);
    const size_t count = std::min(batch - skip, args.count - i);
    std::memcpy(out + i, words + skip, count * sizeof(uint32_t));
    i += count;
    skip = 0;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MICRO_RANDOM_H
