// A decoder of zlib that is kept from call to call.
#include "napi/inflate.h"

#include <cstdint>
#include <limits>
#include <memory>

#include "napi/arguments.h"
#include "napi/process_symbols.h"

namespace nabla {
namespace {

// As zlib.h lays it out, which has been the same since version 1.0; `version` below has zlib check the size.
struct Stream {
  const uint8_t* input;
  unsigned inputLeft;
  unsigned long inputTotal;
  uint8_t* output;
  unsigned outputLeft;
  unsigned long outputTotal;
  const char* message;
  void* state;
  void* (*allocate)(void*, unsigned, unsigned);
  void (*free)(void*, void*);
  void* opaque;
  int dataType;
  unsigned long checksum;
  unsigned long reserved;
};

constexpr int kOk = 0;         // Z_OK
constexpr int kStreamEnd = 1;  // Z_STREAM_END
constexpr int kFinish = 4;     // Z_FINISH

class Decoder {
 public:
  static std::unique_ptr<Decoder> Open() {
    auto* const version = ProcessSymbol<const char*()>("zlibVersion");
    auto* const init = ProcessSymbol<int(Stream*, const char*, int)>("inflateInit_");
    std::unique_ptr<Decoder> decoder(new Decoder());
    if (version == nullptr || init == nullptr || decoder->inflate_ == nullptr || decoder->reset_ == nullptr ||
        decoder->end_ == nullptr ||
        init(&decoder->stream_, version(), static_cast<int>(sizeof(Stream))) != kOk) {
      return nullptr;
    }
    decoder->open_ = true;
    return decoder;
  }

  ~Decoder() {
    if (open_) end_(&stream_);
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Bytes written, or -1.
  double Unpack(const ArrayBytes& packed, const ArrayBytes& target) {
    constexpr size_t kMost = std::numeric_limits<unsigned>::max();
    if (packed.bytes > kMost || target.bytes > kMost || reset_(&stream_) != kOk) return -1;
    stream_.input = static_cast<const uint8_t*>(packed.data);
    stream_.inputLeft = static_cast<unsigned>(packed.bytes);
    stream_.output = static_cast<uint8_t*>(target.data);
    stream_.outputLeft = static_cast<unsigned>(target.bytes);
    const int result = inflate_(&stream_, kFinish);
    return result == kStreamEnd ? static_cast<double>(target.bytes - stream_.outputLeft) : -1;
  }

 private:
  Decoder() = default;

  Stream stream_ = {};
  bool open_ = false;
  int (*inflate_)(Stream*, int) = ProcessSymbol<int(Stream*, int)>("inflate");
  int (*reset_)(Stream*) = ProcessSymbol<int(Stream*)>("inflateReset");
  int (*end_)(Stream*) = ProcessSymbol<int(Stream*)>("inflateEnd");
};

}  // namespace

Napi::Value MakeInflate(const Napi::CallbackInfo& info) {
  std::shared_ptr<Decoder> decoder = Decoder::Open();
  if (decoder == nullptr) return info.Env().Undefined();
  return Napi::Function::New(
      info.Env(),
      [decoder](const Napi::CallbackInfo& call) -> Napi::Value {
        const napi_value result = GuardReturning(call.Env(), [&]() -> napi_value {
          const ArrayBytes packed =
              ArrayArgument(call, 0, "inflate", "packed", "a Uint8Array", napi_uint8_array);
          const ArrayBytes target =
              ArrayArgument(call, 1, "inflate", "target", "a Uint8Array", napi_uint8_array);
          return Napi::Number::New(call.Env(), decoder->Unpack(packed, target));
        });
        return Napi::Value(call.Env(), result);
      },
      "inflate");
}

}  // namespace nabla
