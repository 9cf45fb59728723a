// What the rules of several kernels share: operand counts, dtypes and products that cannot overflow.
#pragma once

#include <initializer_list>
#include <string>

#include "program/program.h"

namespace nabla {

// Empty if the instruction has exactly so many operands, all present but for the optional ones, and so many
// attributes.
inline std::string CheckCounts(const Instruction& instruction, size_t operands, size_t attributes,
                               std::initializer_list<size_t> optional = {}) {
  if (instruction.operands.size() != operands) return "wrong number of operands";
  if (instruction.attributes.size() != attributes) return "wrong number of attributes";
  for (size_t i = 0; i < operands; ++i) {
    bool needed = true;
    for (size_t o : optional) needed = needed && o != i;
    if (needed && !instruction.operands[i].present) return "operand " + std::to_string(i) + " is missing";
  }
  return {};
}

// Multiplies sizes; false if one is negative or the product does not fit.
inline bool Product(std::initializer_list<int64_t> factors, int64_t& product) {
  product = 1;
  for (int64_t factor : factors) {
    if (factor < 0 || __builtin_mul_overflow(product, factor, &product)) return false;
  }
  return true;
}

// True if the operand has that dtype and exactly as many elements as the product of the factors.
inline bool HasSize(const Operand& operand, DType dtype, std::initializer_list<int64_t> factors) {
  int64_t size = 0;
  return operand.dtype == dtype && Product(factors, size) && operand.size == size;
}

inline bool IsFlag(int32_t value) { return value == 0 || value == 1; }

}  // namespace nabla
