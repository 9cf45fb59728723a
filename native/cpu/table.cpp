// Collects the kernels of every instruction set and asks the processor which of them it runs.
#include "cpu/table.h"

#include "cpu/targets.h"

// This file is included again once for every instruction set, to name the kernels in its namespace.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/table.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX3
#define NABLA_TARGET_NAME "avx3"
#elif HWY_TARGET == HWY_AVX2
#define NABLA_TARGET_NAME "avx2"
#elif HWY_TARGET == HWY_SSE4
#define NABLA_TARGET_NAME "sse4"
#elif HWY_TARGET == HWY_NEON
#define NABLA_TARGET_NAME "neon"
#elif HWY_TARGET == HWY_WASM
#define NABLA_TARGET_NAME "simd128"
#elif HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
#define NABLA_TARGET_NAME "scalar"
#else
#error "cpu/targets.h enables an instruction set that cpu/table.cpp does not know"
#endif

namespace nabla {
namespace HWY_NAMESPACE {

#define NABLA_KERNEL(name, Name, operands, attributes) void Run##Name(const Call& call);
#include "program/kernels.def"
#undef NABLA_KERNEL

constexpr KernelTable kKernels = {NABLA_TARGET_NAME,
                                  {
#define NABLA_KERNEL(name, Name, operands, attributes) Run##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
                                  }};

}  // namespace HWY_NAMESPACE
}  // namespace nabla

#undef NABLA_TARGET_NAME

#if HWY_ONCE

#if HWY_ARCH_X86
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <cstdio>
#endif

namespace nabla {
namespace ref {

#define NABLA_KERNEL(name, Name, operands, attributes) void Run##Name(const Call& call);
#include "program/kernels.def"
#undef NABLA_KERNEL

constexpr KernelTable kKernels = {"reference",
                                  {
#define NABLA_KERNEL(name, Name, operands, attributes) Run##Name,
#include "program/kernels.def"
#undef NABLA_KERNEL
                                  }};

}  // namespace ref

namespace {

// The conditions are those under which Highway's code for the instruction set is legal.
// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
std::vector<const KernelTable*> DetectKernelTables() {
  std::vector<const KernelTable*> tables;
#if HWY_ARCH_X86
  __builtin_cpu_init();
  [[maybe_unused]] const bool sse4 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
                                     __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") &&
                                     __builtin_cpu_supports("aes");
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  // F16C has no name in the older compilers' __builtin_cpu_supports.
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
  [[maybe_unused]] const bool avx2 = sse4 && f16c && __builtin_cpu_supports("avx2") &&
                                     __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                                     __builtin_cpu_supports("bmi2");
  [[maybe_unused]] const bool avx3 = avx2 && __builtin_cpu_supports("avx512f") &&
                                     __builtin_cpu_supports("avx512vl") &&
                                     __builtin_cpu_supports("avx512dq") &&
                                     __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd");
#if HWY_TARGETS & HWY_AVX3
  if (avx3) tables.push_back(&N_AVX3::kKernels);
#endif
#if HWY_TARGETS & HWY_AVX2
  if (avx2) tables.push_back(&N_AVX2::kKernels);
#endif
#if HWY_TARGETS & HWY_SSE4
  if (sse4) tables.push_back(&N_SSE4::kKernels);
#endif
#endif
#if HWY_TARGETS & HWY_NEON
  tables.push_back(&N_NEON::kKernels);
#endif
#if HWY_TARGETS & HWY_WASM
  tables.push_back(&N_WASM::kKernels);
#endif
#if HWY_TARGETS & HWY_EMU128
  tables.push_back(&N_EMU128::kKernels);
#endif
#if HWY_TARGETS & HWY_SCALAR
  tables.push_back(&N_SCALAR::kKernels);
#endif
  tables.push_back(&ref::kKernels);
  return tables;
}

[[maybe_unused]] std::string Trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  return begin == std::string::npos ? std::string()
                                    : text.substr(begin, text.find_last_not_of(" \t\n") + 1 - begin);
}

}  // namespace

const std::vector<const KernelTable*>& UsableKernelTables() {
  static const std::vector<const KernelTable*> tables = DetectKernelTables();
  return tables;
}

const KernelTable* FindKernelTable(const std::string& name) {
  for (const KernelTable* table : UsableKernelTables()) {
    if (name.empty() || name == table->name) return table;
  }
  return nullptr;
}

std::string ProcessorName() {
  std::string name;
#if HWY_ARCH_X86
  constexpr unsigned kFirst = 0x80000002, kLast = 0x80000004;
  if (__get_cpuid_max(0x80000000, nullptr) >= kLast) {
    for (unsigned leaf = kFirst; leaf <= kLast; leaf++) {
      unsigned words[4] = {};
      __get_cpuid(leaf, &words[0], &words[1], &words[2], &words[3]);
      name.append(reinterpret_cast<const char*>(words), sizeof words);
    }
    name = Trimmed(name.substr(0, name.find('\0')));
  }
#elif defined(__linux__)
  // ARM has no brand string; the board's name is the nearest thing.
  if (std::FILE* file = std::fopen("/proc/device-tree/model", "r")) {
    char text[128] = {};
    if (std::fread(text, 1, sizeof text - 1, file) > 0) name = Trimmed(text);
    std::fclose(file);
  }
#endif
  if (!name.empty()) return name;
#if HWY_ARCH_X86
  return "x86 processor";
#elif HWY_ARCH_ARM
  return "ARM processor";
#elif HWY_ARCH_WASM
  return "WebAssembly";
#else
  return "processor";
#endif
}

}  // namespace nabla

#endif  // HWY_ONCE
