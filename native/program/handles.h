// Numbers by which JavaScript names things that live on this side: a stale number is recognised, not
// followed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nabla {

// A positive integer, exact as a JavaScript number: place in the table + 1, and above it how often the place
// was reused.
using Handle = int64_t;

template <class T>
class HandleTable {
 public:
  Handle Add(T value) {
    if (free_.empty()) {
      places_.emplace_back();
      free_.push_back(places_.size() - 1);
    }
    const size_t at = free_.back();
    free_.pop_back();
    Place& place = places_[at];
    place.value = std::move(value);
    place.used = true;
    return place.generation * kPlaces + static_cast<Handle>(at) + 1;
  }

  // Null for anything but a number that Add returned and Remove has not taken back.
  T* Find(Handle handle) {
    if (handle < 1) return nullptr;
    const size_t at = static_cast<size_t>((handle - 1) % kPlaces);
    if (at >= places_.size()) return nullptr;
    Place& place = places_[at];
    return place.used && place.generation == (handle - 1) / kPlaces ? &place.value : nullptr;
  }

  // Of a handle that Find accepts.
  void Remove(Handle handle) {
    const size_t at = static_cast<size_t>((handle - 1) % kPlaces);
    Place& place = places_[at];
    place.value = T();
    place.used = false;
    place.generation = (place.generation + 1) % kGenerations;
    free_.push_back(at);
  }

  template <class Visit>
  void ForEach(Visit visit) {
    for (Place& place : places_) {
      if (place.used) visit(place.value);
    }
  }

  size_t size() const { return places_.size() - free_.size(); }

 private:
  static constexpr Handle kPlaces = Handle{1} << 24;
  static constexpr Handle kGenerations = Handle{1} << 28;
  struct Place {
    T value{};
    Handle generation = 0;
    bool used = false;
  };
  std::vector<Place> places_;
  std::vector<size_t> free_;
};

}  // namespace nabla
