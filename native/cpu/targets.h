// Which instruction sets Highway compiles the kernels for; included before any Highway header.
#pragma once

// SSSE3 is as old as the machines without it; the AVX3 variants beyond the first and SVE bring nothing that
// these kernels use.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
