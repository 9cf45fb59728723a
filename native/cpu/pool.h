// The thread pool's interface: run numbered parts of one task on the caller and on the pool's own threads.
#pragma once

#include <memory>

namespace nabla {

class ThreadPool {
 public:
  using Part = void (*)(void* context, int part);

  // threads counts the caller: 1 starts no thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls part(context, 0 .. parts - 1), each once, and returns when all have returned. parts <= threads().
  // Not re-entrant; one caller at a time.
  void Run(int parts, Part part, void* context);

 private:
  int threads_;
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

}  // namespace nabla
