// A step run from numbers in a known place.
#include "napi/staged_run.h"

#include <cstddef>
#include <utility>

#include "napi/arguments.h"
#include "napi/device_object.h"

namespace nabla {
namespace {

// Of the program and of the number of bindings, before these.
constexpr size_t kHead = 2;

struct StagedRun {
  std::shared_ptr<Runner> runner;
  const double* numbers;
  size_t most;  // bindings
};

napi_value Call(napi_env env, napi_callback_info raw) {
  return GuardReturning(env, [&]() -> napi_value {
    void* data = nullptr;
    if (napi_get_cb_info(env, raw, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
    const StagedRun& staged = *static_cast<StagedRun*>(data);
    ThrowIfClosed("run", *staged.runner);
    const double count = staged.numbers[1];
    if (!(count >= 0 && count <= static_cast<double>(staged.most))) {
      Throw("run", "numbers in the bindings, got " + std::to_string(count) + ", expected at most " +
                       std::to_string(staged.most));
    }
    StepFault fault;
    ThrowIf("run", Runner::Turn(*staged.runner)
                       ->Run(staged.numbers[0], staged.numbers + kHead, static_cast<size_t>(count), fault));
    if (!fault.ended()) return nullptr;
    return FaultToValue(env, fault);
  });
}

// Runs inside the garbage collector: calls nothing that could touch JavaScript.
void Finalize(napi_env, void* data, void*) { delete static_cast<StagedRun*>(data); }

void Check(napi_env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

}  // namespace

Napi::Value MakeStagedRun(const Napi::CallbackInfo& info, std::shared_ptr<Runner> runner) {
  const Napi::Env env = info.Env();
  const ArrayBytes array = ArrayArgument(info, 0, "stagedRun", "array", "a Float64Array", napi_float64_array);
  if (array.elements < kHead) {
    Throw("stagedRun", "array, got " + std::to_string(array.elements) + " numbers, expected 2 or more");
  }
  auto staged = std::make_unique<StagedRun>(
      StagedRun{std::move(runner), static_cast<const double*>(array.data), array.elements - kHead});
  napi_value function = nullptr;
  Check(env, napi_create_function(env, "runStaged", NAPI_AUTO_LENGTH, Call, staged.get(), &function));
  // Neither writable nor configurable: the array lives as long as the function.
  const napi_property_descriptor keeping = {"array", nullptr, nullptr,      nullptr,
                                            nullptr, info[0], napi_default, nullptr};
  Check(env, napi_define_properties(env, function, 1, &keeping));
  Check(env, napi_add_finalizer(env, function, staged.get(), Finalize, nullptr, nullptr));
  staged.release();
  return Napi::Value(env, function);
}

}  // namespace nabla
