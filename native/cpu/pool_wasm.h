// What the WebAssembly module's entry needs of its thread pool beyond pool.h.
#pragma once

#if defined(__wasm_atomics__)

#include <atomic>
#include <cstdint>

namespace nabla {

// Sleeps while the word holds `value`. For threads that may sleep: a browser's main thread may not.
inline void SleepWhile(std::atomic<int32_t>& word, int32_t value) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int32_t*>(&word), value, -1);
}
inline void Wake(std::atomic<int32_t>& word, uint32_t threads) {
  __builtin_wasm_memory_atomic_notify(reinterpret_cast<int32_t*>(&word), threads);
}

// Whether the thread that is about to run steps may sleep; it spins where it may not. Set by the thread that
// has taken the device.
void SetPoolCallerMaySleep(bool maySleep);

// The endless work of a pool thread, which JavaScript has started as a worker.
void ServePool();

}  // namespace nabla

#endif  // __wasm_atomics__
