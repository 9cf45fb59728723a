// The table of embedded kernels: what CMake made of native/cuda/kernels, or nothing.
#include "cuda/images.h"

#include <cstring>

namespace nabla::cuda {
namespace {

#if defined(NABLA_CUDA_IMAGES)
// Generated: arrays, a line NABLA_IMAGE(family) for each, and kArchitectures.
#include "nabla_cuda_images.h"
#else
constexpr Image kImages[] = {{nullptr, nullptr, 0}};
constexpr const char* kArchitectures = "";
#endif

}  // namespace

const Image* FindImage(const char* family) {
  for (const Image& image : kImages) {
    if (image.family != nullptr && std::strcmp(image.family, family) == 0) return &image;
  }
  return nullptr;
}

bool HasImages() { return kImages[0].family != nullptr; }

const char* ImageArchitectures() { return kArchitectures; }

}  // namespace nabla::cuda
