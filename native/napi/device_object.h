// The JavaScript class `Device`: one device, the CPU or a GPU, as the TypeScript side of its backend sees it.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_map>

#include "napi/arguments.h"
#include "napi/runner.h"

namespace nabla {

// Methods mirror Backend in src/backend/backend.ts. Each checks its arguments and returns, not throws, an
// Error with a message in the form `[native.method] what was wrong, got X, expected Y; remedy`. Nothing here
// outlives its environment: several worker threads may each have devices, and an environment that is torn
// down in the middle of a step waits for one instruction only.
//
// The class is wrapped by hand, not by Napi::ObjectWrap: in a worker that is being terminated every call into
// JavaScript is refused, and the wrapper would answer that by ending the process.
class DeviceObject {
 public:
  static Napi::Value Define(Napi::Env env);

  explicit DeviceObject(const Napi::CallbackInfo& info);
  // Runs inside the garbage collector: calls nothing that could touch JavaScript.
  ~DeviceObject();
  DeviceObject(const DeviceObject&) = delete;
  DeviceObject& operator=(const DeviceObject&) = delete;

 private:
  // What a run under way holds; the device must not be collected before it ends.
  struct Pending {
    Napi::ObjectReference device;
    Napi::FunctionReference callback;
  };

  static napi_value Construct(napi_env env, napi_callback_info raw);
  template <Napi::Value (DeviceObject::*method)(const Napi::CallbackInfo&)>
  static napi_value Method(napi_env env, napi_callback_info raw);

  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Memory(const Napi::CallbackInfo& info);
  Napi::Value Allocate(const Napi::CallbackInfo& info);
  Napi::Value Free(const Napi::CallbackInfo& info);
  // own(buffer, bytes): an object whose collection frees the buffer, and that weighs as much for the
  // collector.
  Napi::Value Own(const Napi::CallbackInfo& info);
  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Unload(const Napi::CallbackInfo& info);
  // run(program, bindings): undefined, or [code, instruction, value, limit] when a kernel refused its data.
  Napi::Value Run(const Napi::CallbackInfo& info);
  // stagedRun(array): the function of napi/staged_run.h.
  Napi::Value StagedRun(const Napi::CallbackInfo& info);
  // start(program, bindings, steps, callback(fault | null, stepsDone)): a number for stop.
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);
  // Runs that are cut off are reported as stopped.
  Napi::Value Close(const Napi::CallbackInfo& info);

  Runner& Open(const char* method);
  static void Deliver(napi_env env, napi_value, void* context, void* data);
  static void TearDown(void* object);

  napi_env env_;
  // Shared with the objects that own buffers: they may be collected after this one.
  std::shared_ptr<Runner> runner_;
  napi_threadsafe_function deliver_ = nullptr;
  std::unordered_map<int64_t, Pending> pending_;
};

// As `[code, instruction, value, limit, error]`.
Napi::Value FaultToValue(Napi::Env env, const StepFault& fault);

inline void ThrowIfClosed(const char* method, const Runner& runner) {
  if (runner.closed())
    Throw(method, "backend is closed, got a call after close, expected none; open a new one");
}

}  // namespace nabla
