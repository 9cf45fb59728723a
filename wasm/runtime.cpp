// What the C library would otherwise import from JavaScript, so that the modules have no imports but the
// shared memory.
#include <cstddef>
#include <cstdint>

extern "C" {

// JavaScript looks by itself whether the memory has grown.
void emscripten_notify_memory_growth(size_t) {}

// Called by abort(). JavaScript sees a WebAssembly.RuntimeError.
[[noreturn]] void __wasi_proc_exit(uint32_t) { __builtin_trap(); }

}  // extern "C"
