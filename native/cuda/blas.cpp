// Opens cuBLASLt, asks it for products, and remembers which of them are its.
#include "cuda/blas.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace nabla::cuda {
namespace {

#if defined(_WIN32)
constexpr const char* kNames[] = {"cublasLt64_13.dll", "cublasLt64_12.dll"};
#else
constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};
#endif

// Products of less work are started as quickly as they are done.
constexpr double kLeastWork = 1 << 21;
// What pointers are multiples of, where the library is asked.
constexpr uint32_t kAlignment = 16;

std::string Environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? std::string() : std::string(text);
}

std::unique_ptr<BlasLibrary> OpenAt(const std::string& path) {
  std::string why;
  void* const opened = OpenLibrary(path.c_str(), why);
  if (opened == nullptr) return nullptr;
  auto library = std::make_unique<BlasLibrary>();
  bool whole = true;
#define NABLA_BLAS_CALL(name, symbol, parameters)                                         \
  library->name = reinterpret_cast<decltype(library->name)>(FindSymbol(opened, #symbol)); \
  whole = whole && library->name != nullptr;
#include "cuda/blas.def"
#undef NABLA_BLAS_CALL
  library->path = path;
  return whole ? std::move(library) : nullptr;
}

// What was found out, for the process.
struct Found {
  BlasChoice choice = BlasChoice::kUnknown;
  bool asked = false;
  BlasAlgorithm algorithm = {};
  size_t workspace = 0;
};
struct Memory {
  std::mutex mutex;
  std::map<std::string, Found> found;
};
Memory& Remembered() {
  static Memory memory;
  return memory;
}

// The library's description of a product. It stores matrices by columns: the product that is stored by rows
// is that of the turned factors, exchanged.
class Description {
 public:
  Description(const BlasLibrary& library, const BlasProduct& p) : library_(library) {
    const int compute = p.half || p.exact ? kBlasComputeFloat32 : kBlasComputeTf32;
    const int factor = p.half ? kBlasBfloat16 : kBlasFloat32;
    const int out = p.outHalf ? kBlasBfloat16 : kBlasFloat32;
    Note(library.DescCreate(&desc_, compute, kBlasFloat32));
    const int32_t first = p.transB != 0 ? 1 : 0, second = p.transA != 0 ? 1 : 0;
    if (works_) Note(library.DescSet(desc_, kBlasDescTransA, &first, sizeof first));
    if (works_) Note(library.DescSet(desc_, kBlasDescTransB, &second, sizeof second));
    Layout(b_, factor, first != 0 ? p.k : p.n, first != 0 ? p.n : p.k, p.batch, p.strideB);
    Layout(a_, factor, second != 0 ? p.m : p.k, second != 0 ? p.k : p.m, p.batch, p.strideA);
    Layout(out_, out, p.n, p.m, p.batch, p.strideOut);
  }
  ~Description() {
    for (BlasLayout layout : {a_, b_, out_}) {
      if (layout != nullptr) (void)library_.LayoutDestroy(layout);
    }
    if (desc_ != nullptr) (void)library_.DescDestroy(desc_);
  }
  Description(const Description&) = delete;
  Description& operator=(const Description&) = delete;

  bool works() const { return works_; }

  bool Ask(BlasHandle handle, Found& found) const {
    BlasPreference preference = nullptr;
    if (library_.PreferenceCreate(&preference) != 0) return false;
    const size_t workspace = kBlasWorkspace;
    int error = library_.PreferenceSet(preference, kBlasPreferenceWorkspace, &workspace, sizeof workspace);
    for (int i = 0; i < 4 && error == 0; i++)
      error =
          library_.PreferenceSet(preference, kBlasPreferenceAlignmentA + i, &kAlignment, sizeof kAlignment);
    BlasHeuristic best = {};
    int count = 0;
    if (error == 0)
      error = library_.GetHeuristic(handle, desc_, b_, a_, out_, out_, preference, 1, &best, &count);
    (void)library_.PreferenceDestroy(preference);
    if (error != 0 || count < 1 || best.status != 0 || best.workspaceBytes > kBlasWorkspace) return false;
    found.algorithm = best.algorithm;
    found.workspace = best.workspaceBytes;
    return true;
  }

  bool Run(BlasHandle handle, const BlasProduct& p, const Found& found, std::byte* workspace,
           CUstream stream) const {
    const float beta = p.adds ? 1.0f : 0.0f;
    return library_.Matmul(handle, desc_, &p.alpha, p.b, b_, p.a, a_, &beta, p.out, out_, p.out, out_,
                           &found.algorithm, workspace, found.workspace, stream) == 0;
  }

 private:
  void Note(int error) { works_ = works_ && error == 0; }
  void Layout(BlasLayout& layout, int type, int64_t rows, int64_t columns, int32_t batch, int64_t stride) {
    if (works_)
      Note(library_.LayoutCreate(&layout, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                                 rows));
    if (batch == 1) return;
    if (works_) Note(library_.LayoutSet(layout, kBlasLayoutBatch, &batch, sizeof batch));
    if (works_) Note(library_.LayoutSet(layout, kBlasLayoutStride, &stride, sizeof stride));
  }

  const BlasLibrary& library_;
  bool works_ = true;
  BlasDesc desc_ = nullptr;
  BlasLayout a_ = nullptr, b_ = nullptr, out_ = nullptr;
};

bool IsAligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0; }

}  // namespace

const BlasLibrary* OpenBlas(const Driver& driver) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<BlasLibrary>> opened;
  if (Environment("NABLA_CUBLASLT") == "0") return nullptr;
  const std::string chosen = Environment("NABLA_CUBLASLT_LIBRARY");
  if (chosen.empty() && driver.emulated) return nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  auto known = opened.find(chosen);
  if (known == opened.end()) {
    std::unique_ptr<BlasLibrary> library = chosen.empty() ? nullptr : OpenAt(chosen);
    if (chosen.empty()) {
      for (const char* const name : kNames) {
        if (library == nullptr) library = OpenAt(name);
      }
    }
    known = opened.emplace(chosen, std::move(library)).first;
  }
  return known->second.get();
}

std::unique_ptr<Blas> Blas::Start(const BlasLibrary& library, std::string gpu) {
  BlasHandle handle = nullptr;
  if (library.Create(&handle) != 0 || handle == nullptr) return nullptr;
  return std::unique_ptr<Blas>(new Blas(library, handle, std::move(gpu)));
}

Blas::Blas(const BlasLibrary& library, BlasHandle handle, std::string gpu)
    : library_(library),
      handle_(handle),
      gpu_(std::move(gpu)),
      always_(Environment("NABLA_CUBLASLT") == "always") {}

Blas::~Blas() { (void)library_.Destroy(handle_); }

std::string Blas::Word(const BlasProduct& p) const {
  std::string word = gpu_ + "|" + library_.path;
  const int64_t numbers[] = {p.half, p.outHalf, p.exact,  p.adds,    p.batch,   p.m,        p.n,
                             p.k,    p.transA,  p.transB, p.strideA, p.strideB, p.strideOut};
  for (const int64_t number : numbers) word += " " + std::to_string(number);
  return word;
}

bool Blas::Considers(const BlasProduct& p) const {
  return static_cast<double>(p.batch) * p.m * p.n * p.k >= kLeastWork;
}

BlasChoice Blas::Choice(const BlasProduct& product) const {
  Memory& memory = Remembered();
  const std::lock_guard<std::mutex> lock(memory.mutex);
  const auto found = memory.found.find(Word(product));
  return found == memory.found.end() ? BlasChoice::kUnknown : found->second.choice;
}

void Blas::Choose(const BlasProduct& product, BlasChoice choice) const {
  Memory& memory = Remembered();
  const std::lock_guard<std::mutex> lock(memory.mutex);
  memory.found[Word(product)].choice = choice;
}

bool Blas::Multiply(const BlasProduct& product, std::byte* workspace, CUstream stream) const {
  // Another product of this shape may begin where the library does not ask for.
  if (!IsAligned(product.a) || !IsAligned(product.b) || !IsAligned(product.out)) return false;
  Memory& memory = Remembered();
  const std::lock_guard<std::mutex> lock(memory.mutex);
  Found& found = memory.found[Word(product)];
  const Description description(library_, product);
  bool works = description.works();
  if (works && !found.asked) works = found.asked = description.Ask(handle_, found);
  works = works && description.Run(handle_, product, found, workspace, stream);
  if (!works) found.choice = BlasChoice::kKernels;
  return works;
}

}  // namespace nabla::cuda
