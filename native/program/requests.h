// Checking the numbers that JavaScript hands to a device, and wording what is wrong with them.
#pragma once

#include <cstdint>
#include <string>

#include "program/handles.h"

namespace nabla {

constexpr int64_t kMostBuffers = int64_t{1} << 24;

// Whether a number from JavaScript is an integer from 0 on; NaN is not.
inline bool IsCount(double value) {
  // Integers up to here are exact as doubles.
  constexpr double kMostInteger = 9007199254740991.0;
  return value >= 0 && value <= kMostInteger && value == static_cast<double>(static_cast<int64_t>(value));
}

// A number as JavaScript would show it, as far as integers go.
inline std::string Text(double value) {
  if (IsCount(value)) return std::to_string(static_cast<int64_t>(value));
  return std::to_string(value);
}

inline std::string Wrong(const std::string& what, double got, const std::string& expected) {
  return what + ", got " + Text(got) + ", expected " + expected;
}

inline std::string WrongBuffer(double handle) {
  return Wrong("unknown buffer", handle, "a handle from allocate; use it before it is freed, not after");
}

inline std::string WrongProgram(double handle) {
  return Wrong("unknown program", handle, "a handle from load; use it before it is unloaded, not after");
}

// Where a range of a buffer of `held` bytes begins; what is wrong with it, or an empty string.
inline std::string CheckRange(int64_t held, double byteOffset, size_t bytes, int64_t& offset) {
  if (!IsCount(byteOffset) || byteOffset > static_cast<double>(held)) {
    return Wrong("byte offset", byteOffset, "0 to " + std::to_string(held));
  }
  offset = static_cast<int64_t>(byteOffset);
  if (bytes > static_cast<size_t>(held - offset)) {
    return Wrong(
        "bytes to copy", static_cast<double>(bytes),
        "at most " + std::to_string(held - offset) + " from byte offset " + std::to_string(offset) + " on");
  }
  return {};
}

// Whether a buffer of `held` bytes can be bound at that offset to the slot, which needs so many bytes so
// aligned.
inline std::string CheckBinding(size_t slot, int64_t held, double byteOffset, int64_t needed,
                                int64_t alignment) {
  if (needed > held || !IsCount(byteOffset) || byteOffset > static_cast<double>(held - needed)) {
    return "slot " + std::to_string(slot) + ": " +
           Wrong("byte offset", byteOffset,
                 "an integer that leaves " + std::to_string(needed) + " of the buffer's " +
                     std::to_string(held) + " bytes");
  }
  if ((static_cast<int64_t>(byteOffset) & (alignment - 1)) != 0) {
    return "slot " + std::to_string(slot) + ": " +
           Wrong("byte offset", byteOffset, "a multiple of " + std::to_string(alignment));
  }
  return {};
}

// Whether as many numbers are bound as the program has slots, the workspace not counted.
inline std::string CheckBindingCount(size_t count, size_t slots) {
  if (count == 2 * (slots - 1)) return {};
  return Wrong(
      "numbers in the bindings", static_cast<double>(count),
      std::to_string(2 * (slots - 1)) + " (a buffer and a byte offset for each slot but the workspace)");
}

}  // namespace nabla
