// The threads of a block as fibers: each runs until it ends or waits at a barrier, then the next.
#include "cuda/emulation/emulation.h"

#include <csetjmp>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <ucontext.h>

namespace nabla::emulation {
namespace {

constexpr unsigned kWarp = 32, kMostThreads = 1024;
constexpr size_t kStackBytes = 128 * 1024;

enum class State { kReady, kAtBlock, kAtWarp, kEnded };

struct Copy {
  void* to;
  const void* from;
  size_t wanted, there;
};

struct Fiber {
  std::unique_ptr<char[]> stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  State state = State::kEnded;
  Index thread;
  std::vector<Copy> started;              // of the group that has not ended
  std::deque<std::vector<Copy>> waiting;  // groups, the oldest first
};

struct Warp {
  unsigned alive = 0;    // lanes that have not ended
  unsigned waiting = 0;  // lanes at the barrier
  unsigned mask = 0;     // that they wait for
  uint64_t values[kWarp] = {};
};

// All that runs, runs for one launch at a time (see the mutex in RunGrid).
struct Scheduler {
  std::deque<Fiber> fibers;
  Warp warps[kMostThreads / kWarp];
  jmp_buf home;
  size_t running = 0;
  unsigned threads = 0, alive = 0, atBlock = 0;
  bool misused = false;  // a copy's address is no multiple of its size
  Body body = nullptr;
  const void* params = nullptr;
};

Scheduler& Sole() {
  static Scheduler scheduler;
  return scheduler;
}

std::map<std::pair<std::string, std::string>, Kernel>& Kernels() {
  static std::map<std::pair<std::string, std::string>, Kernel> kernels;
  return kernels;
}

void ReleaseBlock(Scheduler& s) {
  if (s.atBlock == 0 || s.atBlock < s.alive) return;
  for (unsigned i = 0; i < s.threads; i++) {
    if (s.fibers[i].state == State::kAtBlock) s.fibers[i].state = State::kReady;
  }
  s.atBlock = 0;
}

void ReleaseWarp(Scheduler& s, unsigned index) {
  Warp& warp = s.warps[index];
  const unsigned wanted = warp.mask & warp.alive;
  if (warp.waiting == 0 || (warp.waiting & wanted) != wanted) return;
  for (unsigned lane = 0; lane < kWarp; lane++) {
    if ((warp.waiting >> lane & 1) != 0) s.fibers[index * kWarp + lane].state = State::kReady;
  }
  warp.waiting = 0;
}

// Gives the turn back, and returns when it comes again. The C library's setjmp saves no signals here, so that
// a turn costs some nanoseconds.
void Yield(Scheduler& s) {
  Fiber& fiber = s.fibers[s.running];
  if (_setjmp(fiber.place) == 0) _longjmp(s.home, 1);
}

// A fiber's whole life: one thread after the other that is given its place.
void Live() {
  Scheduler& s = Sole();
  while (true) {
    s.body(s.params);
    Fiber& fiber = s.fibers[s.running];
    fiber.state = State::kEnded;
    s.alive--;
    const unsigned warp = static_cast<unsigned>(s.running) / kWarp;
    s.warps[warp].alive &= ~(1u << s.running % kWarp);
    ReleaseBlock(s);
    ReleaseWarp(s, warp);
    Yield(s);
  }
}

// Goes to where the fiber is; it comes back to the scheduler's home, not here.
[[noreturn]] void Enter(Fiber& fiber) {
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  setcontext(&fiber.context);
  std::abort();
}

void Resume(Scheduler& s, size_t index) {
  s.running = index;
  current.thread = s.fibers[index].thread;
  if (_setjmp(s.home) == 0) Enter(s.fibers[index]);
}

void MakeFibers(Scheduler& s, unsigned count) {
  while (s.fibers.size() < count) s.fibers.emplace_back();
  for (unsigned i = 0; i < count; i++) {
    Fiber& fiber = s.fibers[i];
    if (fiber.begun) continue;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, Live, 0);
  }
}

bool RunBlock(Scheduler& s) {
  s.alive = s.threads;
  s.atBlock = 0;
  const Index size = current.blockSize;
  for (unsigned i = 0; i < s.threads; i++) {
    s.fibers[i].state = State::kReady;
    s.fibers[i].started.clear();
    s.fibers[i].waiting.clear();
    s.fibers[i].thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    Warp& warp = s.warps[i / kWarp];
    if (i % kWarp == 0) warp = Warp();
    warp.alive |= 1u << i % kWarp;
  }
  while (s.alive > 0) {
    bool moved = false;
    for (unsigned i = 0; i < s.threads; i++) {
      if (s.fibers[i].state != State::kReady) continue;
      Resume(s, i);
      moved = true;
    }
    if (!moved) return false;
  }
  return !s.misused;
}

}  // namespace

Thread current;

void SyncBlock() {
  Scheduler& s = Sole();
  s.fibers[s.running].state = State::kAtBlock;
  s.atBlock++;
  ReleaseBlock(s);
  if (s.fibers[s.running].state != State::kReady) Yield(s);
}

void SyncWarp(unsigned mask) {
  Scheduler& s = Sole();
  const unsigned index = static_cast<unsigned>(s.running) / kWarp;
  Warp& warp = s.warps[index];
  s.fibers[s.running].state = State::kAtWarp;
  warp.waiting |= 1u << s.running % kWarp;
  warp.mask = mask;
  ReleaseWarp(s, index);
  if (s.fibers[s.running].state != State::kReady) Yield(s);
}

const uint64_t* Exchange(unsigned mask, uint64_t mine) {
  Scheduler& s = Sole();
  Warp& warp = s.warps[s.running / kWarp];
  warp.values[s.running % kWarp] = mine;
  SyncWarp(mask);
  return warp.values;
}

void StartCopy(void* to, const void* from, size_t wanted, size_t there) {
  Scheduler& s = Sole();
  const auto misplaced = [wanted](const void* at) { return reinterpret_cast<uintptr_t>(at) % wanted != 0; };
  s.misused = s.misused || misplaced(to) || (there > 0 && misplaced(from));
  s.fibers[s.running].started.push_back({to, from, wanted, there});
}

void EndCopies() {
  Scheduler& s = Sole();
  Fiber& fiber = s.fibers[s.running];
  fiber.waiting.push_back(std::move(fiber.started));
  fiber.started.clear();
}

void AwaitCopies(size_t groupsLeft) {
  Scheduler& s = Sole();
  Fiber& fiber = s.fibers[s.running];
  while (fiber.waiting.size() > groupsLeft) {
    for (const Copy& copy : fiber.waiting.front()) {
      std::memset(copy.to, 0, copy.wanted);
      if (copy.there > 0) std::memcpy(copy.to, copy.from, copy.there);
    }
    fiber.waiting.pop_front();
  }
}

Registration::Registration(const char* name, const char* file, size_t paramBytes, unsigned threads,
                           Body body) {
  std::string family = file;
  family = family.substr(family.find_last_of('/') + 1);
  family = family.substr(0, family.find('.'));
  Kernels()[{family, name}] = Kernel{name, family, paramBytes, threads, body};
}

const Kernel* FindKernel(const std::string& family, const std::string& name) {
  const auto& kernels = Kernels();
  if (name.empty()) {
    const auto first = kernels.lower_bound({family, ""});
    return first != kernels.end() && first->first.first == family ? &first->second : nullptr;
  }
  const auto found = kernels.find({family, name});
  return found == kernels.end() ? nullptr : &found->second;
}

bool RunGrid(const Kernel& kernel, Index grid, Index block, const void* params) {
  // Several devices of a process, each with its thread, take turns.
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  Scheduler& s = Sole();
  s.threads = block.x * block.y * block.z;
  s.body = kernel.body;
  s.params = params;
  MakeFibers(s, s.threads);
  current.blockSize = block;
  current.gridSize = grid;
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        current.block = {x, y, z};
        if (!RunBlock(s)) {
          s.misused = false;
          // Fibers that hang in the middle of a kernel are given up, and made anew.
          s.fibers.clear();
          return false;
        }
      }
    }
  }
  return true;
}

}  // namespace nabla::emulation
