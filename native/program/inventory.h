// What every device keeps of its buffers, programs and leases: handles, who holds what, and how a program's
// slots are bound to buffers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "program/device.h"
#include "program/handles.h"
#include "program/program.h"
#include "program/requests.h"

namespace nabla {

// A program that is loaded. Devices add to it what they know of it.
struct LoadedProgram {
  Program program;
  std::vector<std::byte*> bases;   // where the operands point now, by slot; [0] is the workspace
  std::vector<int64_t> alignment;  // bytes, by slot
  int32_t leases = 0;
  bool unloaded = false;

  // What was wrong with the words, or an empty string.
  std::string Decode(const int32_t* words, size_t count) {
    std::string error = DecodeProgram(words, count, program);
    if (!error.empty()) return error;
    bases.assign(program.slotBytes.size(), nullptr);
    alignment.assign(program.slotBytes.size(), 1);
    for (const Instruction& instruction : program.code) {
      for (size_t i = 0; i < instruction.operands.size(); i++) {
        if (!instruction.operands[i].present) continue;
        int64_t& least = alignment[static_cast<size_t>(instruction.slots[i])];
        least = std::max(least, SizeOf(instruction.operands[i].dtype));
      }
    }
    return {};
  }

  void Bind(const std::vector<std::byte*>& to) {
    if (bases == to) return;
    for (Instruction& instruction : program.code) {
      for (size_t i = 0; i < instruction.operands.size(); i++) {
        const int32_t slot = instruction.slots[i];
        if (slot >= 0) instruction.operands[i].data = to[static_cast<size_t>(slot)] + instruction.offsets[i];
      }
    }
    bases = to;
  }
};

// A program and its bindings, held for a run.
template <class Loaded>
struct ProgramLease : Device::Lease {
  Loaded* program = nullptr;
  Handle programHandle = 0;
  std::vector<Handle> buffers;
  std::vector<std::byte*> bases;
};

// Block: memory of the device, with data() and bytes(). Loaded: a LoadedProgram.
template <class Block, class Loaded>
class Inventory {
 public:
  struct Buffer {
    Block block;
    int32_t leases = 0;
    bool freed = false;
  };

  // Shared by all programs, grown to what the largest of them needs.
  Block workspace;
  Block scratch;

  // Bytes of all blocks.
  int64_t held() const { return bufferBytes_ + workspace.bytes() + scratch.bytes(); }

  void NotePeak() { peakBytes_ = std::max(peakBytes_, held()); }

  DeviceMemory memory() const {
    DeviceMemory memory;
    memory.buffers = static_cast<int64_t>(buffers_.size());
    memory.bufferBytes = bufferBytes_;
    memory.workspaceBytes = workspace.bytes() + scratch.bytes();
    memory.peakBytes = peakBytes_;
    memory.programs = static_cast<int64_t>(programs_.size());
    return memory;
  }

  // Null for what is not there, or not any more.
  Buffer* FindBuffer(double handle) {
    Buffer* const buffer = IsCount(handle) ? buffers_.Find(static_cast<Handle>(handle)) : nullptr;
    return buffer != nullptr && !buffer->freed ? buffer : nullptr;
  }

  Loaded* FindProgram(double handle) {
    std::unique_ptr<Loaded>* const program =
        IsCount(handle) ? programs_.Find(static_cast<Handle>(handle)) : nullptr;
    return program != nullptr && !(*program)->unloaded ? program->get() : nullptr;
  }

  // Whether there may be one more buffer of that size, before memory is taken for it.
  std::string CheckNewBuffer(double bytes) const {
    if (!IsCount(bytes)) return Wrong("size in bytes", bytes, "an integer from 0 on");
    if (static_cast<int64_t>(buffers_.size()) < kMostBuffers) return {};
    return Wrong("live buffers", static_cast<double>(buffers_.size()),
                 "fewer; dispose of tensors that are no longer needed");
  }

  Handle AddBuffer(Block block) {
    bufferBytes_ += block.bytes();
    NotePeak();
    Buffer fresh;
    fresh.block = std::move(block);
    return buffers_.Add(std::move(fresh));
  }

  std::string FreeBuffer(double handle) {
    Buffer* const buffer = FindBuffer(handle);
    if (buffer == nullptr) return WrongBuffer(handle);
    buffer->freed = true;
    if (buffer->leases == 0) RemoveBuffer(static_cast<Handle>(handle));
    return {};
  }

  Handle AddProgram(std::unique_ptr<Loaded> program) { return programs_.Add(std::move(program)); }

  // `gone` tells whether it went at once: no lease held it.
  std::string UnloadProgram(double handle, bool& gone) {
    Loaded* const program = FindProgram(handle);
    if (program == nullptr) return WrongProgram(handle);
    program->unloaded = true;
    gone = program->leases == 0;
    if (gone) programs_.Remove(static_cast<Handle>(handle));
    return {};
  }

  template <class Visit>
  void ForEachProgram(Visit visit) {
    programs_.ForEach([&](const std::unique_ptr<Loaded>& program) { visit(*program); });
  }

  // Bytes of workspace and scratch that the largest of the programs needs.
  std::pair<int64_t, int64_t> Needed() {
    int64_t forWorkspace = 0, forScratch = 0;
    ForEachProgram([&](const Loaded& loaded) {
      forWorkspace = std::max(forWorkspace, loaded.program.slotBytes[0]);
      forScratch = std::max(forScratch, static_cast<int64_t>(loaded.program.scratchBytes));
    });
    return {forWorkspace, forScratch};
  }

  // Where each slot of a program lies with these bindings.
  std::string Resolve(const Loaded& loaded, const double* bindings, size_t count,
                      std::vector<std::byte*>& bases) {
    const std::vector<int64_t>& slotBytes = loaded.program.slotBytes;
    if (std::string error = CheckBindingCount(count, slotBytes.size()); !error.empty()) return error;
    bases.resize(slotBytes.size());
    bases[0] = workspace.data();
    for (size_t slot = 1; slot < slotBytes.size(); slot++) {
      const double handle = bindings[2 * slot - 2];
      const double byteOffset = bindings[2 * slot - 1];
      Buffer* const buffer = FindBuffer(handle);
      if (buffer == nullptr) return "slot " + std::to_string(slot) + ": " + WrongBuffer(handle);
      std::string error =
          CheckBinding(slot, buffer->block.bytes(), byteOffset, slotBytes[slot], loaded.alignment[slot]);
      if (!error.empty()) return error;
      bases[slot] = buffer->block.data() + static_cast<int64_t>(byteOffset);
    }
    return {};
  }

  // Holds a program and the buffers that are bound to it until Return.
  std::string Lend(double handle, const double* bindings, size_t count, ProgramLease<Loaded>& lease) {
    Loaded* const program = FindProgram(handle);
    if (program == nullptr) return WrongProgram(handle);
    std::string error = Resolve(*program, bindings, count, lease.bases);
    if (!error.empty()) return error;
    lease.program = program;
    lease.programHandle = static_cast<Handle>(handle);
    lease.buffers.reserve(count / 2);
    for (size_t i = 0; i < count; i += 2) {
      lease.buffers.push_back(static_cast<Handle>(bindings[i]));
      FindBuffer(bindings[i])->leases++;
    }
    program->leases++;
    return {};
  }

  // Gives back what Lend took; whether the program went with it, since it was unloaded before.
  bool Return(ProgramLease<Loaded>& lease) {
    for (const Handle handle : lease.buffers) {
      Buffer* const buffer = buffers_.Find(handle);
      if (--buffer->leases == 0 && buffer->freed) RemoveBuffer(handle);
    }
    lease.buffers.clear();
    const bool gone = --lease.program->leases == 0 && lease.program->unloaded;
    if (gone) programs_.Remove(lease.programHandle);
    lease.program = nullptr;
    return gone;
  }

 private:
  void RemoveBuffer(Handle handle) {
    bufferBytes_ -= buffers_.Find(handle)->block.bytes();
    buffers_.Remove(handle);
  }

  HandleTable<Buffer> buffers_;
  HandleTable<std::unique_ptr<Loaded>> programs_;
  int64_t bufferBytes_ = 0;
  int64_t peakBytes_ = 0;
};

}  // namespace nabla
