// The compiled kernels of each family, as the build embedded them.
#pragma once

#include <cstddef>

namespace nabla::cuda {

struct Image {
  const char* family;
  const void* data;  // 8-byte aligned
  size_t bytes;
};

// Null when the addon was built without NVIDIA's compiler.
const Image* FindImage(const char* family);
bool HasImages();
// The architectures they were compiled for, e.g. "80 90a 120"; empty without images.
const char* ImageArchitectures();

}  // namespace nabla::cuda
