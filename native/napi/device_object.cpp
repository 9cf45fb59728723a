// The JavaScript class `Device`: arguments checked, calls passed on to the runner, ends of runs carried back.
#include "napi/device_object.h"

#include <iterator>
#include <new>
#include <string>
#include <utility>

#include "cpu/device.h"
#include "cpu/table.h"
#include "cuda/device.h"
#include "napi/arguments.h"
#include "napi/staged_run.h"

namespace nabla {
namespace {

constexpr double kMostThreads = 256;
constexpr const char* kHostArray = "a Float32Array, Int32Array or Uint8Array";

// What an object from own() keeps until it is collected.
struct Ownership {
  std::shared_ptr<Runner> runner;
  Handle buffer;
  int64_t bytes;
};

// Runs inside the garbage collector where Node allows that: a loop that never returns to the event loop then
// still gives its buffers back. Calls nothing that could touch JavaScript.
void FreeOwned(napi_env env, void* data, void*) {
  std::unique_ptr<Ownership> ownership(static_cast<Ownership*>(data));
  int64_t total = 0;
  napi_adjust_external_memory(env, -ownership->bytes, &total);
  ownership->runner->FreeSoon(ownership->buffer);
}

void SetNumber(Napi::Object object, const char* name, int64_t value) {
  object.Set(name, static_cast<double>(value));
}

double NumberOption(const Napi::Object& options, const char* name, double otherwise) {
  const Napi::Value value = options.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

// options: threads, instructionSet.
std::unique_ptr<Device> OpenCpu(const Napi::Object& options) {
  const double threads = NumberOption(options, "threads", 1);
  const Napi::Value wanted = options.Get("instructionSet");
  const std::string instructionSet = wanted.IsString() ? wanted.As<Napi::String>().Utf8Value() : "";
  if (!(threads >= 1 && threads <= kMostThreads)) {
    Throw("open", "number of threads, got " + std::to_string(threads) + ", expected 1 to 256");
  }
  const KernelTable* const kernels = FindKernelTable(instructionSet);
  if (kernels == nullptr) {
    std::string known;
    for (const KernelTable* table : UsableKernelTables())
      known += (known.empty() ? "" : ", ") + std::string(table->name);
    Throw("open",
          "instruction set, got '" + instructionSet + "', expected one that this processor runs: " + known);
  }
  return std::make_unique<CpuDevice>(*kernels, static_cast<int>(threads));
}

// options: device, the GPU's number; precision, 'tf32' or 'float32'.
std::unique_ptr<Device> OpenCuda(const Napi::Object& options) {
  const double number = NumberOption(options, "device", -1);
  const Napi::Value wanted = options.Get("precision");
  const std::string precision = wanted.IsString() ? wanted.As<Napi::String>().Utf8Value() : "tf32";
  if (precision != "tf32" && precision != "float32") {
    Throw("open", "precision of products, got '" + precision + "', expected 'tf32' or 'float32'");
  }
  std::string reason;
  std::unique_ptr<Device> device =
      cuda::OpenDevice(static_cast<int>(number),
                       precision == "tf32" ? cuda::Precision::kTf32 : cuda::Precision::kFloat32, reason);
  if (device == nullptr) Throw("open", reason);
  return device;
}

}  // namespace

Napi::Value FaultToValue(Napi::Env env, const StepFault& fault) {
  Napi::Array array = Napi::Array::New(env, 5);
  array.Set(0u, Napi::Number::New(env, static_cast<double>(fault.fault.code)));
  array.Set(1u, Napi::Number::New(env, fault.instruction));
  array.Set(2u, Napi::Number::New(env, static_cast<double>(fault.fault.value)));
  array.Set(3u, Napi::Number::New(env, static_cast<double>(fault.fault.limit)));
  array.Set(4u, Napi::String::New(env, fault.error));
  return array;
}

template <Napi::Value (DeviceObject::*method)(const Napi::CallbackInfo&)>
napi_value DeviceObject::Method(napi_env env, napi_callback_info raw) {
  return GuardReturning(env, [&]() -> napi_value {
    const Napi::CallbackInfo info(env, raw);
    // V8 has checked that `this` is a Device: the methods carry the class's signature.
    void* object = nullptr;
    if (napi_unwrap(env, info.This(), &object) != napi_ok) return nullptr;
    return (static_cast<DeviceObject*>(object)->*method)(info);
  });
}

Napi::Value DeviceObject::Define(Napi::Env env) {
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name,   nullptr, callback, nullptr, nullptr, nullptr, napi_default_method,
                                    nullptr};
  };
  const napi_property_descriptor methods[] = {
      method("info", Method<&DeviceObject::Info>),
      method("memory", Method<&DeviceObject::Memory>),
      method("allocate", Method<&DeviceObject::Allocate>),
      method("free", Method<&DeviceObject::Free>),
      method("own", Method<&DeviceObject::Own>),
      method("write", Method<&DeviceObject::Write>),
      method("read", Method<&DeviceObject::Read>),
      method("load", Method<&DeviceObject::Load>),
      method("unload", Method<&DeviceObject::Unload>),
      method("run", Method<&DeviceObject::Run>),
      method("start", Method<&DeviceObject::Start>),
      method("stop", Method<&DeviceObject::Stop>),
      method("close", Method<&DeviceObject::Close>),
      method("stagedRun", Method<&DeviceObject::StagedRun>),
  };
  napi_value constructor = nullptr;
  if (napi_define_class(env, "Device", NAPI_AUTO_LENGTH, Construct, nullptr, std::size(methods), methods,
                        &constructor) != napi_ok) {
    throw Napi::Error::New(env);
  }
  return Napi::Value(env, constructor);
}

napi_value DeviceObject::Construct(napi_env env, napi_callback_info raw) {
  return Guard(env, [&]() -> napi_value {
    const Napi::CallbackInfo info(env, raw);
    if (!info.IsConstructCall())
      Throw("open", "Device called as a function, got no `new`, expected `new Device(options)`");
    auto device = std::make_unique<DeviceObject>(info);
    const auto finalize = [](napi_env, void* object, void*) { delete static_cast<DeviceObject*>(object); };
    if (napi_wrap(env, info.This(), device.get(), finalize, nullptr, nullptr) == napi_ok) device.release();
    return info.This();
  });
}

DeviceObject::DeviceObject(const Napi::CallbackInfo& info) : env_(info.Env()) {
  const Napi::Object options = info[0].IsObject() ? info[0].As<Napi::Object>() : Napi::Object::New(env_);
  const Napi::Value backend = options.Get("backend");
  const bool cuda = backend.IsString() && backend.As<Napi::String>().Utf8Value() == "cuda";
  runner_ = std::make_shared<Runner>(
      cuda ? OpenCuda(options) : OpenCpu(options), [this](const Completion& completion) {
        auto copy = std::make_unique<Completion>(completion);
        if (napi_call_threadsafe_function(deliver_, copy.get(), napi_tsfn_nonblocking) == napi_ok)
          copy.release();
      });
  const Napi::String name = Napi::String::New(env_, "nabla run");
  if (napi_create_threadsafe_function(env_, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, Deliver,
                                      &deliver_) != napi_ok) {
    throw Napi::Error::New(env_);
  }
  // Only runs under way keep the process alive.
  napi_unref_threadsafe_function(env_, deliver_);
  // Hooks run last in, first out: the thread has ended before Node takes the thread-safe function away.
  napi_add_env_cleanup_hook(env_, TearDown, this);
}

DeviceObject::~DeviceObject() {
  if (deliver_ == nullptr) return;
  napi_remove_env_cleanup_hook(env_, TearDown, this);
  runner_->Close(false);
  napi_release_threadsafe_function(deliver_, napi_tsfn_abort);
}

void DeviceObject::TearDown(void* object) {
  DeviceObject* const device = static_cast<DeviceObject*>(object);
  device->runner_->Close(false);
  // Node frees the function itself from here on.
  device->deliver_ = nullptr;
}

Runner& DeviceObject::Open(const char* method) {
  ThrowIfClosed(method, *runner_);
  return *runner_;
}

Napi::Value DeviceObject::Info(const Napi::CallbackInfo& info) {
  Runner::Turn device(Open("info"));
  const DeviceInfo words = device->info();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("instructionSet", words.instructionSet);
  object.Set("threads", words.threads);
  object.Set("device", words.device);
  return object;
}

Napi::Value DeviceObject::Memory(const Napi::CallbackInfo& info) {
  Runner::Turn device(Open("memory"));
  const DeviceMemory memory = device->memory();
  Napi::Object object = Napi::Object::New(info.Env());
  SetNumber(object, "buffers", memory.buffers);
  SetNumber(object, "bufferBytes", memory.bufferBytes);
  SetNumber(object, "workspaceBytes", memory.workspaceBytes);
  SetNumber(object, "peakBytes", memory.peakBytes);
  SetNumber(object, "programs", memory.programs);
  return object;
}

Napi::Value DeviceObject::Allocate(const Napi::CallbackInfo& info) {
  Runner& runner = Open("allocate");
  const double bytes = NumberArgument(info, 0, "allocate", "size in bytes");
  Handle buffer = 0;
  ThrowIf("allocate", Runner::Turn(runner)->Allocate(bytes, buffer));
  return Napi::Number::New(info.Env(), static_cast<double>(buffer));
}

Napi::Value DeviceObject::Free(const Napi::CallbackInfo& info) {
  Runner& runner = Open("free");
  const double buffer = NumberArgument(info, 0, "free", "buffer");
  ThrowIf("free", Runner::Turn(runner)->Free(buffer));
  return info.Env().Undefined();
}

Napi::Value DeviceObject::Own(const Napi::CallbackInfo& info) {
  Open("own");
  const double buffer = NumberArgument(info, 0, "own", "buffer");
  const double bytes = NumberArgument(info, 1, "own", "size in bytes");
  if (!(buffer >= 1 && buffer <= 9007199254740991.0 && bytes >= 0 && bytes <= 9007199254740991.0)) {
    Throw("own", "buffer and size, got " + std::to_string(buffer) + " and " + std::to_string(bytes) +
                     ", expected a handle from allocate and its size in bytes");
  }
  auto ownership = std::make_unique<Ownership>(
      Ownership{runner_, static_cast<Handle>(buffer), static_cast<int64_t>(bytes)});
  napi_value object = nullptr;
  if (napi_create_external(info.Env(), ownership.get(), FreeOwned, nullptr, &object) != napi_ok) {
    throw Napi::Error::New(info.Env());
  }
  int64_t total = 0;
  napi_adjust_external_memory(info.Env(), ownership.release()->bytes, &total);
  return Napi::Value(info.Env(), object);
}

Napi::Value DeviceObject::Write(const Napi::CallbackInfo& info) {
  Runner& runner = Open("write");
  const double buffer = NumberArgument(info, 0, "write", "buffer");
  const double byteOffset = NumberArgument(info, 1, "write", "byte offset");
  const ArrayBytes source = ArrayArgument(info, 2, "write", "source", kHostArray);
  ThrowIf("write", Runner::Turn(runner)->Write(buffer, byteOffset, source.data, source.bytes));
  return info.Env().Undefined();
}

Napi::Value DeviceObject::Read(const Napi::CallbackInfo& info) {
  Runner& runner = Open("read");
  const double buffer = NumberArgument(info, 0, "read", "buffer");
  const double byteOffset = NumberArgument(info, 1, "read", "byte offset");
  const ArrayBytes target = ArrayArgument(info, 2, "read", "target", kHostArray);
  ThrowIf("read", Runner::Turn(runner)->Read(buffer, byteOffset, target.data, target.bytes));
  return info.Env().Undefined();
}

Napi::Value DeviceObject::Load(const Napi::CallbackInfo& info) {
  Runner& runner = Open("load");
  const ArrayBytes words = ArrayArgument(info, 0, "load", "program", "an Int32Array", napi_int32_array);
  Handle program = 0;
  std::string error;
  try {
    error = Runner::Turn(runner)->Load(static_cast<const int32_t*>(words.data), words.elements, program);
  } catch (const std::bad_alloc&) {
    error =
        "not enough memory for the program, got " + std::to_string(words.elements) + " words, expected fewer";
  }
  ThrowIf("load", error);
  return Napi::Number::New(info.Env(), static_cast<double>(program));
}

Napi::Value DeviceObject::Unload(const Napi::CallbackInfo& info) {
  Runner& runner = Open("unload");
  const double program = NumberArgument(info, 0, "unload", "program");
  ThrowIf("unload", Runner::Turn(runner)->Unload(program));
  return info.Env().Undefined();
}

Napi::Value DeviceObject::Run(const Napi::CallbackInfo& info) {
  Runner& runner = Open("run");
  const double program = NumberArgument(info, 0, "run", "program");
  const ArrayBytes bindings = ArrayArgument(info, 1, "run", "bindings", "a Float64Array", napi_float64_array);
  StepFault fault;
  ThrowIf("run", Runner::Turn(runner)->Run(program, static_cast<const double*>(bindings.data),
                                           bindings.elements, fault));
  if (!fault.ended()) return info.Env().Undefined();
  return FaultToValue(info.Env(), fault);
}

Napi::Value DeviceObject::StagedRun(const Napi::CallbackInfo& info) { return MakeStagedRun(info, runner_); }

Napi::Value DeviceObject::Start(const Napi::CallbackInfo& info) {
  Runner& runner = Open("start");
  const double program = NumberArgument(info, 0, "start", "program");
  const ArrayBytes bindings =
      ArrayArgument(info, 1, "start", "bindings", "a Float64Array", napi_float64_array);
  const double steps = NumberArgument(info, 2, "start", "number of steps");
  if (!info[3].IsFunction()) ThrowType("start", "callback", info[3], "a function");
  int64_t run = 0;
  ThrowIf("start",
          runner.Start(program, static_cast<const double*>(bindings.data), bindings.elements, steps, run));
  // The end of the run is delivered by the event loop, so not before this is in place.
  if (pending_.empty()) napi_ref_threadsafe_function(env_, deliver_);
  pending_.emplace(run, Pending{Napi::Persistent(info.This().As<Napi::Object>()),
                                Napi::Persistent(info[3].As<Napi::Function>())});
  return Napi::Number::New(env_, static_cast<double>(run));
}

Napi::Value DeviceObject::Stop(const Napi::CallbackInfo& info) {
  const double run = NumberArgument(info, 0, "stop", "run");
  if (run >= 1 && run <= 9007199254740991.0) runner_->Stop(static_cast<int64_t>(run));
  return info.Env().Undefined();
}

Napi::Value DeviceObject::Close(const Napi::CallbackInfo& info) {
  runner_->Close(true);
  return info.Env().Undefined();
}

// On the event loop, for each run that ended.
void DeviceObject::Deliver(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Completion> completion(static_cast<Completion*>(data));
  // Without an environment the queue is only emptied, and the device may be gone.
  if (env == nullptr) return;
  Guard(env, [&]() -> napi_value {
    DeviceObject* const device = static_cast<DeviceObject*>(context);
    const auto found = device->pending_.find(completion->run);
    if (found == device->pending_.end()) return nullptr;
    const Pending pending = std::move(found->second);
    device->pending_.erase(found);
    if (device->pending_.empty()) napi_unref_threadsafe_function(env, device->deliver_);
    const bool faulted = completion->fault.ended();
    return pending.callback.Call({faulted ? FaultToValue(env, completion->fault) : Napi::Env(env).Null(),
                                  Napi::Number::New(env, static_cast<double>(completion->steps))});
  });
}

}  // namespace nabla
