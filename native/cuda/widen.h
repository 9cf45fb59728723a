// Instructions with bfloat16 operands: kernels that read and write them, and a way around float32 for the
// others.
#pragma once

#include <cstddef>

#include "cuda/launcher.h"

namespace nabla::cuda {

// Scratch of the instruction on the device, in bytes.
size_t ScratchOf(const Instruction& instruction, Precision precision);

// Starts the kernels of the launcher's instruction.
void LaunchInstruction(Launcher& launcher);

// Starts a conversion of contiguous numbers: bfloat16 to float32, and back.
void LaunchWiden(Launcher& launcher, float* to, const void* from, int64_t size);
void LaunchNarrow(Launcher& launcher, void* to, const float* from, int64_t size);

// Products: whether a factor, operand 1 or 2, is bfloat16, so that both are multiplied as such.
bool MultipliesHalves(const Instruction& instruction);
// Scratch for factors that are rounded to bfloat16 because the other one is, and such a factor: `at` is where
// the scratch that is free begins.
size_t ScratchOfFactors(const Instruction& instruction);
const void* HalfFactorOf(Launcher& launcher, size_t operand, size_t& at);

// Whether the instruction's operands are turned into float32 around its kernel.
bool IsWidened(const Instruction& instruction, Precision precision);

// What NVIDIA's library would be asked for in the place of a gemm's kernel; false where it would not.
bool DescribeProduct(const Launcher& launcher, BlasProduct& product);
// Scratch behind that of the instruction, for NVIDIA's library.
size_t ScratchOfLibrary(const Instruction& instruction);

// What each piece of scratch begins at a multiple of.
constexpr size_t ScratchAligned(int64_t bytes) { return (static_cast<size_t>(bytes) + 255) / 256 * 256; }

}  // namespace nabla::cuda
