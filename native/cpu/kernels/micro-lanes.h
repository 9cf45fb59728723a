// The loop that every elementwise micro-operation runs in: loads, one operation on vectors, stores, and the
// tail.
#if defined(NABLA_MICRO_LANES_H) == defined(HWY_TARGET_TOGGLE)
#ifdef NABLA_MICRO_LANES_H
#undef NABLA_MICRO_LANES_H
#else
#define NABLA_MICRO_LANES_H
#endif

#include <hwy/highway.h>

#include <cstring>

#include "cpu/kernels/map-args.h"

// Masked memory access touches no byte outside the mask.
#undef NABLA_MASKED_TAILS
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
#define NABLA_MASKED_TAILS 1
#else
#define NABLA_MASKED_TAILS 0
#endif

HWY_BEFORE_NAMESPACE();
namespace nabla {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> LoadLanes(D d, const void* base, size_t i) {
  return hn::LoadU(d, static_cast<const hn::TFromD<D>*>(base) + i);
}

template <class D>
HWY_INLINE void StoreLanes(hn::Vec<D> v, D d, void* base, size_t i) {
  hn::StoreU(v, d, static_cast<hn::TFromD<D>*>(base) + i);
}

// The first `count` lanes, fewer than a vector; the rest are zeros.
template <class D>
HWY_INLINE hn::Vec<D> LoadTail(D d, const void* base, size_t i, size_t count) {
  const auto* from = static_cast<const hn::TFromD<D>*>(base) + i;
#if NABLA_MASKED_TAILS
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
  HWY_ALIGN hn::TFromD<D> lanes[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)] = {};
  std::memcpy(lanes, from, count * sizeof *from);
  return hn::Load(d, lanes);
#endif
}

// Whole vectors are forwarded to the loads of the next micro-operation; narrower or masked stores are not.
template <class D>
HWY_INLINE void StoreTail(hn::Vec<D> v, D d, const MicroArgs& args, size_t i, size_t count) {
  auto* to = static_cast<hn::TFromD<D>*>(args.out) + i;
  if (args.padded) {
    hn::StoreU(v, d, to);
    return;
  }
#if NABLA_MASKED_TAILS
  hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#else
  HWY_ALIGN hn::TFromD<D> lanes[HWY_MAX_BYTES / sizeof(hn::TFromD<D>)];
  hn::Store(v, d, lanes);
  std::memcpy(to, lanes, count * sizeof *to);
#endif
}

// Runs kOp, a function of one to three vectors, over the operands' lanes.
template <auto kOp, class Out, class A>
HWY_INLINE void EachLane(const MicroArgs& args, Out (*)(A)) {
  const hn::DFromV<A> da;
  const hn::DFromV<Out> dout;
  const size_t step = hn::Lanes(da);
  size_t i = 0;
  for (; i + step <= args.count; i += step) StoreLanes(kOp(LoadLanes(da, args.a, i)), dout, args.out, i);
  const size_t rest = args.count - i;
  if (rest != 0) StoreTail(kOp(LoadTail(da, args.a, i, rest)), dout, args, i, rest);
}

template <auto kOp, class Out, class A, class B>
HWY_INLINE void EachLane(const MicroArgs& args, Out (*)(A, B)) {
  const hn::DFromV<A> da;
  const hn::DFromV<B> db;
  const hn::DFromV<Out> dout;
  const size_t step = hn::Lanes(da);
  size_t i = 0;
  for (; i + step <= args.count; i += step) {
    StoreLanes(kOp(LoadLanes(da, args.a, i), LoadLanes(db, args.b, i)), dout, args.out, i);
  }
  const size_t rest = args.count - i;
  if (rest == 0) return;
  StoreTail(kOp(LoadTail(da, args.a, i, rest), LoadTail(db, args.b, i, rest)), dout, args, i, rest);
}

template <auto kOp, class Out, class A, class B, class C>
HWY_INLINE void EachLane(const MicroArgs& args, Out (*)(A, B, C)) {
  const hn::DFromV<A> da;
  const hn::DFromV<B> db;
  const hn::DFromV<C> dc;
  const hn::DFromV<Out> dout;
  const size_t step = hn::Lanes(da);
  size_t i = 0;
  for (; i + step <= args.count; i += step) {
    const auto value = kOp(LoadLanes(da, args.a, i), LoadLanes(db, args.b, i), LoadLanes(dc, args.c, i));
    StoreLanes(value, dout, args.out, i);
  }
  const size_t rest = args.count - i;
  if (rest == 0) return;
  const auto value =
      kOp(LoadTail(da, args.a, i, rest), LoadTail(db, args.b, i, rest), LoadTail(dc, args.c, i, rest));
  StoreTail(value, dout, args, i, rest);
}

// Operations that are no function of single lanes bring a loop of their own.
template <auto kOp>
HWY_INLINE void EachLane(const MicroArgs& args, void (*)(const MicroArgs&)) {
  kOp(args);
}

// Operations without a vector form: one lane at a time.
template <auto kOp, class T>
HWY_INLINE void EachScalar(const MicroArgs& args, T (*)(T, T)) {
  const auto* a = static_cast<const T*>(args.a);
  const auto* b = static_cast<const T*>(args.b);
  auto* out = static_cast<T*>(args.out);
  for (size_t i = 0; i < args.count; i++) out[i] = kOp(a[i], b[i]);
}
template <auto kOp>
HWY_INLINE void EachLane(const MicroArgs& args, float (*op)(float, float)) {
  EachScalar<kOp>(args, op);
}
template <auto kOp>
HWY_INLINE void EachLane(const MicroArgs& args, int32_t (*op)(int32_t, int32_t)) {
  EachScalar<kOp>(args, op);
}

template <auto kOp>
void RunMicro(const MicroArgs& args) {
  EachLane<kOp>(args, kOp);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace nabla
HWY_AFTER_NAMESPACE();

#endif  // NABLA_MICRO_LANES_H
