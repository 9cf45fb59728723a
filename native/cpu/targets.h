// Which instruction sets Highway compiles the kernels for; included before any Highway header.
#pragma once

// SSSE3 is as old as the machines without it; the AVX3 variants beyond the first bring nothing that these kernels use.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
