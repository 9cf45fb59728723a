// Functions of the process that loaded the addon, which need not be there.
#pragma once

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace nabla {

// What Node, or a library that it has loaded, exports under this name; null where nothing does.
template <class Function>
Function* ProcessSymbol(const char* name) {
#if defined(_WIN32)
  return reinterpret_cast<Function*>(GetProcAddress(GetModuleHandleA(nullptr), name));
#else
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
#endif
}

}  // namespace nabla
