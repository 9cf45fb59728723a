// Unpacking of small zlib streams into memory that is there already, by the zlib inside of Node.
#pragma once

#include <napi.h>

namespace nabla {

// For the many small pictures of a data set: node:zlib makes and frees a decoder for each, which costs four
// times what unpacking does. A function `(packed, target)`, both Uint8Array, that answers how many bytes it
// wrote, or -1 where `packed` is damaged or holds more than `target` has room for; undefined where Node does
// not export its zlib, as its documentation says that it does.
Napi::Value MakeInflate(const Napi::CallbackInfo& info);

}  // namespace nabla
