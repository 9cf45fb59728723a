// What a CPU kernel is given, and the table that names every kernel of one instruction set.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpu/pool.h"
#include "program/program.h"

namespace nabla {

struct Call {
  const Instruction& instruction;
  std::byte* scratch;  // instruction.scratchBytes bytes, 64-byte aligned
  ThreadPool& pool;
  Fault& fault;  // written by the calling thread only; kernels carry a worker's finding back themselves

  const Operand& operand(size_t i) const { return instruction.operands[i]; }
  int32_t attr(size_t i) const { return instruction.attr(i); }
  float attrFloat(size_t i) const { return instruction.attrFloat(i); }
};

using RunFn = void (*)(const Call&);

// Scratch that an instruction needs on a pool of so many threads; the same for every instruction set.
#define NABLA_KERNEL(name, Name, operands, attributes) \
  size_t Scratch##Name(const Instruction& instruction, int threads);
#include "program/kernels.def"
#undef NABLA_KERNEL

// One instruction set's kernels. A missing kernel is a link error, not a hole.
struct KernelTable {
  const char* name;
  RunFn run[static_cast<size_t>(Opcode::kCount)];
};

// Runs body(begin, end, part) over [0, count) in at most pool.threads() contiguous parts of at least `grain`.
// The split depends on count, grain and the number of threads only, so that results repeat to the bit.
template <class Body>
void ParallelFor(ThreadPool& pool, int64_t count, int64_t grain, Body&& body) {
  const int64_t most = grain > 0 ? (count + grain - 1) / grain : count;
  const int parts = static_cast<int>(std::min<int64_t>(pool.threads(), most));
  if (parts <= 1) {
    if (count > 0) body(int64_t{0}, count, 0);
    return;
  }
  auto run = [&](int part) { body(count * part / parts, count * (part + 1) / parts, part); };
  pool.Run(
      parts, [](void* context, int part) { (*static_cast<decltype(run)*>(context))(part); }, &run);
}

}  // namespace nabla
