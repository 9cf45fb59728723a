# Builds the CPU addon with node-gyp, for those who have no cmake: the same sources and flags as CMakeLists.txt.
{
  'targets': [{
    'target_name': 'nabla',
    'sources': ['<!@(node -p "require(\'fs\').readFileSync(\'native/sources.txt\', \'utf8\').split(/\\r?\\n/).filter((line) => line.startsWith(\'native/\')).join(\' \')")'],
    'include_dirs': ['native', '<!(node -p "require(\'node-addon-api\').include_dir")'],
    'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_CPP_EXCEPTIONS'],
    'cflags!': ['-fno-exceptions', '-O3'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20', '-O3'],
    'cflags_cc': ['-std=c++20', '-O2', '-fno-math-errno', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter'],
    'xcode_settings': {
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'CLANG_CXX_LIBRARY': 'libc++',
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
      'OTHER_CPLUSPLUSFLAGS': ['-fno-math-errno'],
    },
    'msvs_settings': {'VCCLCompilerTool': {'ExceptionHandling': 1, 'AdditionalOptions': ['/std:c++20']}},
  }],
}
