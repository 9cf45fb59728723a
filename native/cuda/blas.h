// NVIDIA's cuBLASLt, opened at run time where the machine has it: products for which it was measured faster
// than the kernels here are its. Nothing needs it, and whatever it fails at the kernels do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "cuda/driver.h"
#include "cuda/kernels/gemm.h"

namespace nabla::cuda {

// The library's types, declared here so that no header of CUDA is needed.
using BlasHandle = struct cublasLtContext*;
using BlasDesc = struct cublasLtMatmulDescOpaque*;
using BlasLayout = struct cublasLtMatrixLayoutOpaque*;
using BlasPreference = struct cublasLtMatmulPreferenceOpaque*;
struct BlasAlgorithm {
  uint64_t data[8];
};
struct BlasHeuristic {
  BlasAlgorithm algorithm;
  size_t workspaceBytes;
  int status;
  float waves;
  int reserved[4];
};

// Values of its enumerations that are used.
constexpr int kBlasFloat32 = 0, kBlasBfloat16 = 14;
constexpr int kBlasComputeFloat32 = 68, kBlasComputeTf32 = 77;
constexpr int kBlasDescTransA = 3, kBlasDescTransB = 4;
constexpr int kBlasLayoutBatch = 5, kBlasLayoutStride = 6;
constexpr int kBlasPreferenceWorkspace = 1, kBlasPreferenceAlignmentA = 5;

struct BlasLibrary {
#define NABLA_BLAS_CALL(name, symbol, parameters) int(*name) parameters = nullptr;
#include "cuda/blas.def"
#undef NABLA_BLAS_CALL
  std::string path;
};

// The library named by `NABLA_CUBLASLT_LIBRARY`, or one of the system; null where there is none, where
// `NABLA_CUBLASLT` is 0, and beside an emulated driver that no library is named for. Opened once a process.
const BlasLibrary* OpenBlas(const Driver& driver);

// Bytes of scratch that it may work in.
constexpr size_t kBlasWorkspace = size_t{32} << 20;

// A product as the library is asked for it: the sums alone, in float32 or as they are stored.
struct BlasProduct {
  const void* a;
  const void* b;
  void* out;
  bool half;     // the factors
  bool outHalf;  // the output
  bool exact;    // float32 factors are not rounded to TF32
  bool adds;     // to what is in the output
  float alpha;
  int32_t batch, m, n, k, transA, transB;
  int64_t strideA, strideB, strideOut;
};

// What was found out about products, by a word for the product, for all devices of the process.
enum class BlasChoice { kUnknown, kKernels, kLibrary };

// A device's way to the library.
class Blas {
 public:
  // Null where the library does not start.
  static std::unique_ptr<Blas> Start(const BlasLibrary& library, std::string gpu);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  // Whether the product is worth asking for.
  bool Considers(const BlasProduct& product) const;
  BlasChoice Choice(const BlasProduct& product) const;
  void Choose(const BlasProduct& product, BlasChoice choice) const;
  // Queues it; false where the library does not do it, which is noted.
  bool Multiply(const BlasProduct& product, std::byte* workspace, CUstream stream) const;
  // `NABLA_CUBLASLT=always`: wherever the library works, measured or not.
  bool always() const { return always_; }
  const std::string& path() const { return library_.path; }

 private:
  Blas(const BlasLibrary& library, BlasHandle handle, std::string gpu);
  std::string Word(const BlasProduct& product) const;

  const BlasLibrary& library_;
  const BlasHandle handle_;
  const std::string gpu_;
  const bool always_;
};

}  // namespace nabla::cuda
