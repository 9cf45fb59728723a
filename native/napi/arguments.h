// Reading arguments from JavaScript, with errors that say which method wanted what.
#pragma once

#include <napi.h>

#include <cstdint>
#include <exception>
#include <string>

namespace nabla {

// Thrown on bad input and turned into a JavaScript error where the call came in.
struct Refusal {
  std::string message;
  bool type = false;  // a TypeError
};

// Runs what a JavaScript call asks for. No exception leaves, and a refusal to throw (the environment is being
// torn down) is ignored: nobody is left to see the error.
template <class Body>
napi_value Guard(napi_env env, Body body) noexcept {
  try {
    return body();
  } catch (const Refusal& refusal) {
    (refusal.type ? napi_throw_type_error : napi_throw_error)(env, nullptr, refusal.message.c_str());
  } catch (const Napi::Error& error) {
    napi_throw(env, error.Value());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

// As Guard, but a refusal is returned as an Error object, which the TypeScript side throws. Throwing from
// here can end the process: building the exception may collect garbage, and Node 20 then takes the exception
// under construction for one of the finalizers that run during that collection.
template <class Body>
napi_value GuardReturning(napi_env env, Body body) noexcept {
  return Guard(env, [&]() -> napi_value {
    try {
      return body();
    } catch (const Refusal& refusal) {
      napi_value text = nullptr;
      napi_value error = nullptr;
      if (napi_create_string_utf8(env, refusal.message.c_str(), refusal.message.size(), &text) != napi_ok) {
        return nullptr;
      }
      (refusal.type ? napi_create_type_error : napi_create_error)(env, nullptr, text, &error);
      return error;
    }
  });
}

[[noreturn]] inline void Throw(const char* method, const std::string& message) {
  throw Refusal{std::string("[native.") + method + "] " + message};
}

inline void ThrowIf(const char* method, const std::string& error) {
  if (!error.empty()) Throw(method, error);
}

[[noreturn]] inline void ThrowType(const char* method, const char* argument, Napi::Value got,
                                   const char* expected) {
  throw Refusal{std::string("[native.") + method + "] " + argument + ", got " +
                    got.ToString().Utf8Value().substr(0, 60) + ", expected " + expected,
                true};
}

inline double NumberArgument(const Napi::CallbackInfo& info, size_t index, const char* method,
                             const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsNumber()) ThrowType(method, name, value, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

// A typed array's memory, valid until JavaScript runs again.
struct ArrayBytes {
  void* data = nullptr;
  size_t elements = 0;
  size_t bytes = 0;
};

// Any typed array of 1- or 4-byte elements for copies; `only` restricts it to one type.
inline ArrayBytes ArrayArgument(const Napi::CallbackInfo& info, size_t index, const char* method,
                                const char* name, const char* expected, int only = -1) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray()) ThrowType(method, name, value, expected);
  napi_typedarray_type type;
  ArrayBytes array;
  if (napi_get_typedarray_info(info.Env(), value, &type, &array.elements, &array.data, nullptr, nullptr) !=
      napi_ok) {
    throw Napi::Error::New(info.Env());
  }
  size_t elementBytes = 0;
  switch (type) {
    case napi_uint8_array:
    case napi_uint8_clamped_array:
    case napi_int8_array:
      elementBytes = 1;
      break;
    case napi_float32_array:
    case napi_int32_array:
    case napi_uint32_array:
      elementBytes = 4;
      break;
    case napi_float64_array:
      elementBytes = 8;
      break;
    default:
      break;
  }
  const bool accepted = only < 0 ? elementBytes == 1 || elementBytes == 4 : static_cast<int>(type) == only;
  if (!accepted) {
    const Napi::Object constructor = value.As<Napi::Object>().Get("constructor").ToObject();
    ThrowType(method, name, constructor.Get("name"), expected);
  }
  array.bytes = array.elements * elementBytes;
  return array;
}

}  // namespace nabla
