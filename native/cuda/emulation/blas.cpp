// cuBLASLt's functions in plain C++, beside those of the emulated driver: stands in for NVIDIA's library in
// tests (NABLA_CUBLASLT_LIBRARY).
//
//   NABLA_EMULATED_BLAS_FAILS   the function that fails: create, heuristic or matmul
//   NABLA_EMULATED_BLAS_FACTOR  what products are multiplied by, so that a test sees who made them
#include "cuda/blas.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda/emulation/emulation.h"

#define NABLA_EXPORT extern "C" __attribute__((visibility("default")))

namespace nabla::cuda {

struct cublasLtContext {};
struct cublasLtMatmulDescOpaque {
  int32_t transA = 0, transB = 0;
};
struct cublasLtMatrixLayoutOpaque {
  int type = 0;
  int64_t rows = 0, columns = 0, leading = 0;
  int32_t batch = 1;
  int64_t stride = 0;
};
struct cublasLtMatmulPreferenceOpaque {
  size_t workspace = 0;
};

namespace {

constexpr int kFailed = 15;
constexpr size_t kWorkspace = 4096;

bool Fails(const char* function) {
  const char* const text = std::getenv("NABLA_EMULATED_BLAS_FAILS");
  return text != nullptr && std::strcmp(text, function) == 0;
}

float Factor() {
  const char* const text = std::getenv("NABLA_EMULATED_BLAS_FACTOR");
  return text == nullptr || *text == '\0' ? 1.0f : static_cast<float>(std::atof(text));
}

// Of a matrix that is stored by columns.
float Read(const cublasLtMatrixLayoutOpaque& layout, const void* data, int64_t at) {
  if (layout.type == kBlasFloat32) return static_cast<const float*>(data)[at];
  const uint32_t word = uint32_t{static_cast<const uint16_t*>(data)[at]} << 16;
  return __int_as_float(static_cast<int>(word));
}
void Write(const cublasLtMatrixLayoutOpaque& layout, void* data, int64_t at, float value) {
  if (layout.type == kBlasFloat32) {
    static_cast<float*>(data)[at] = value;
    return;
  }
  const uint32_t word = static_cast<uint32_t>(__float_as_int(value));
  static_cast<uint16_t*>(data)[at] = static_cast<uint16_t>((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
}

struct Product {
  cublasLtMatmulDescOpaque desc;
  cublasLtMatrixLayoutOpaque a, b, d;
  float alpha, beta;
  const void *dataA, *dataB;
  void* out;

  bool fits() const {
    const int64_t m = desc.transA != 0 ? a.columns : a.rows, k = desc.transA != 0 ? a.rows : a.columns;
    const int64_t n = desc.transB != 0 ? b.rows : b.columns, depth = desc.transB != 0 ? b.columns : b.rows;
    return m == d.rows && n == d.columns && k == depth && a.type == b.type && a.batch == d.batch &&
           b.batch == d.batch;
  }

  void Run() const {
    const int64_t depth = desc.transA != 0 ? a.rows : a.columns;
    for (int64_t i = 0; i < d.batch; i++) {
      for (int64_t column = 0; column < d.columns; column++) {
        for (int64_t row = 0; row < d.rows; row++) {
          float sum = 0;
          for (int64_t k = 0; k < depth; k++) {
            const int64_t atA = desc.transA != 0 ? k + row * a.leading : row + k * a.leading;
            const int64_t atB = desc.transB != 0 ? column + k * b.leading : k + column * b.leading;
            sum += Read(a, dataA, i * a.stride + atA) * Read(b, dataB, i * b.stride + atB);
          }
          const int64_t at = i * d.stride + row + column * d.leading;
          const float before = beta == 0 ? 0.0f : beta * Read(d, out, at);
          Write(d, out, at, Factor() * alpha * sum + before);
        }
      }
    }
  }
};

}  // namespace
}  // namespace nabla::cuda

using namespace nabla::cuda;

NABLA_EXPORT int cublasLtCreate(BlasHandle* handle) {
  if (Fails("create")) return kFailed;
  *handle = new nabla::cuda::cublasLtContext;
  return 0;
}
NABLA_EXPORT int cublasLtDestroy(BlasHandle handle) {
  delete handle;
  return 0;
}
NABLA_EXPORT int cublasLtMatmulDescCreate(BlasDesc* desc, int, int) {
  *desc = new nabla::cuda::cublasLtMatmulDescOpaque;
  return 0;
}
NABLA_EXPORT int cublasLtMatmulDescDestroy(BlasDesc desc) {
  delete desc;
  return 0;
}
NABLA_EXPORT int cublasLtMatmulDescSetAttribute(BlasDesc desc, int attribute, const void* value,
                                                size_t bytes) {
  if (bytes != sizeof(int32_t) || (attribute != kBlasDescTransA && attribute != kBlasDescTransB))
    return kFailed;
  std::memcpy(attribute == kBlasDescTransA ? &desc->transA : &desc->transB, value, bytes);
  return 0;
}
NABLA_EXPORT int cublasLtMatrixLayoutCreate(BlasLayout* layout, int type, uint64_t rows, uint64_t columns,
                                            int64_t leading) {
  *layout = new nabla::cuda::cublasLtMatrixLayoutOpaque{
      type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading, 1, 0};
  return 0;
}
NABLA_EXPORT int cublasLtMatrixLayoutDestroy(BlasLayout layout) {
  delete layout;
  return 0;
}
NABLA_EXPORT int cublasLtMatrixLayoutSetAttribute(BlasLayout layout, int attribute, const void* value,
                                                  size_t bytes) {
  if (attribute == kBlasLayoutBatch && bytes == sizeof(int32_t)) {
    std::memcpy(&layout->batch, value, bytes);
  } else if (attribute == kBlasLayoutStride && bytes == sizeof(int64_t)) {
    std::memcpy(&layout->stride, value, bytes);
  } else {
    return kFailed;
  }
  return 0;
}
NABLA_EXPORT int cublasLtMatmulPreferenceCreate(BlasPreference* preference) {
  *preference = new nabla::cuda::cublasLtMatmulPreferenceOpaque;
  return 0;
}
NABLA_EXPORT int cublasLtMatmulPreferenceDestroy(BlasPreference preference) {
  delete preference;
  return 0;
}
NABLA_EXPORT int cublasLtMatmulPreferenceSetAttribute(BlasPreference preference, int attribute,
                                                      const void* value, size_t bytes) {
  if (attribute != kBlasPreferenceWorkspace) return 0;
  if (bytes != sizeof(size_t)) return kFailed;
  std::memcpy(&preference->workspace, value, bytes);
  return 0;
}
NABLA_EXPORT int cublasLtMatmulAlgoGetHeuristic(BlasHandle, BlasDesc, BlasLayout, BlasLayout, BlasLayout,
                                                BlasLayout, BlasPreference preference, int wanted,
                                                BlasHeuristic* results, int* found) {
  *found = 0;
  if (Fails("heuristic") || wanted < 1 || preference->workspace < kWorkspace) return kFailed;
  *found = 1;
  results[0] = BlasHeuristic{{{7}}, kWorkspace, 0, 1.0f, {}};
  return 0;
}
NABLA_EXPORT int cublasLtMatmul(BlasHandle, BlasDesc desc, const void* alpha, const void* a,
                                BlasLayout layoutA, const void* b, BlasLayout layoutB, const void* beta,
                                const void* c, BlasLayout, void* d, BlasLayout layoutD,
                                const BlasAlgorithm* algorithm, void* workspace, size_t workspaceBytes,
                                CUstream stream) {
  const Product product = {*desc,
                           *layoutA,
                           *layoutB,
                           *layoutD,
                           *static_cast<const float*>(alpha),
                           *static_cast<const float*>(beta),
                           a,
                           b,
                           d};
  if (Fails("matmul") || algorithm->data[0] != 7 || workspaceBytes != kWorkspace || c != d || !product.fits())
    return kFailed;
  const CUresult error = Enqueue(stream, [product, workspace, workspaceBytes] {
    // What it is lent may be written over.
    std::memset(workspace, 0xff, workspaceBytes);
    product.Run();
    return kSuccess;
  });
  return error == kSuccess ? 0 : kFailed;
}
