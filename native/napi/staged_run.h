// A JavaScript function that runs one step, told by numbers in an array that it knows.
#pragma once

#include <napi.h>

#include <memory>

#include "napi/runner.h"

namespace nabla {

// For eager ops, where the call itself is most of the work: no arguments to convert and no object to look up.
// When called it runs program `array[0]` with the `array[1]` numbers from `array[2]` on as bindings, and
// answers as Device.run does. The array's memory must stay where it is; the function keeps it alive.
Napi::Value MakeStagedRun(const Napi::CallbackInfo& info, std::shared_ptr<Runner> runner);

}  // namespace nabla
