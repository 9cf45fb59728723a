// The addon's entry: exports the class Device, and what makes a function that unpacks zlib streams.
#include <napi.h>

#include "napi/arguments.h"
#include "napi/device_object.h"
#include "napi/inflate.h"
#include "napi/process_symbols.h"

namespace {

// Whether this Node lets finalizers run inside the garbage collector (18.19, 20.10, 21 and later).
bool HasCollectorFinalizers() { return nabla::ProcessSymbol<void()>("node_api_post_finalizer") != nullptr; }

}  // namespace

// Node asks which Node-API the addon was made for. Version 8 is what the code uses; the experimental number
// asks in addition that finalizers run during collection instead of on the event loop, without which a long
// synchronous loop of tensor operations would never give memory back. All finalizers of this addon are fit
// for that: they call nothing that could touch JavaScript.
extern "C" NAPI_MODULE_EXPORT int32_t NODE_API_MODULE_GET_API_VERSION(void) {
  constexpr int32_t kExperimental = 2147483647;
  return HasCollectorFinalizers() ? kExperimental : NAPI_VERSION;
}

extern "C" NAPI_MODULE_EXPORT napi_value NAPI_MODULE_INITIALIZER(napi_env env, napi_value exports) {
  return nabla::Guard(env, [&]() -> napi_value {
    Napi::Object all(env, exports);
    all.Set("Device", nabla::DeviceObject::Define(env));
    all.Set("makeInflate", Napi::Function::New(env, nabla::MakeInflate, "makeInflate"));
    return exports;
  });
}
