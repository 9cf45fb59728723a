# The CUDA kernels: compiled by nvcc, where it is found, and embedded in the addon; compiled over the emulation for tests.
#
# nvcc makes device code only, so that CMake's CUDA language, with its host compiler and its run-time library, is not needed.
file(GLOB NABLA_CUDA_KERNELS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/native/cuda/kernels/*.cu)
find_program(NABLA_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)

if(NABLA_CUDA AND NABLA_NVCC)
  execute_process(COMMAND ${NABLA_NVCC} --version OUTPUT_VARIABLE version)
  string(REGEX MATCH "release ([0-9.]+)" version "${version}")
  set(nvcc_version ${CMAKE_MATCH_1})
else()
  set(nvcc_version 0)
endif()

if(nvcc_version VERSION_GREATER_EQUAL 13)
  get_filename_component(nvcc_folder ${NABLA_NVCC} REALPATH)
  get_filename_component(nvcc_folder ${nvcc_folder} DIRECTORY)
  find_program(NABLA_BIN2C bin2c HINTS ${nvcc_folder} REQUIRED)
  set(architectures)
  foreach(architecture ${NABLA_CUDA_ARCHITECTURES})
    list(APPEND architectures -gencode=arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  # For GPUs to come, the driver compiles it.
  list(GET NABLA_CUDA_ARCHITECTURES 0 least)
  list(APPEND architectures -gencode=arch=compute_${least},code=compute_${least})
  # Registers that do not fit are an error: a kernel that spills is written anew, not shipped.
  set(nvcc_flags -std=c++20 -O3 --compress-mode=size -Werror=all-warnings -Xptxas=--warn-on-spills,-Werror -I${CMAKE_SOURCE_DIR}/native)
  set(folder ${CMAKE_BINARY_DIR}/cuda)
  file(MAKE_DIRECTORY ${folder})
  set(index "")
  set(table "")
  set(headers)
  foreach(source ${NABLA_CUDA_KERNELS})
    get_filename_component(family ${source} NAME_WE)
    add_custom_command(
      OUTPUT ${folder}/${family}.fatbin
      COMMAND ${NABLA_NVCC} ${nvcc_flags} ${architectures} -MD -MF ${folder}/${family}.d -MT ${folder}/${family}.fatbin
              -fatbin ${source} -o ${folder}/${family}.fatbin
      DEPENDS ${source}
      DEPFILE ${folder}/${family}.d
      COMMENT "Compiling CUDA kernels ${family}"
      VERBATIM)
    add_custom_command(
      OUTPUT ${folder}/${family}.inc
      COMMAND ${NABLA_BIN2C} --static --const --type longlong --name ${family}Image ${folder}/${family}.fatbin > ${folder}/${family}.inc
      DEPENDS ${folder}/${family}.fatbin
      VERBATIM)
    string(APPEND index "#include \"${family}.inc\"\n")
    string(APPEND table "    {\"${family}\", ${family}Image, sizeof ${family}Image},\n")
    list(APPEND headers ${folder}/${family}.inc)
  endforeach()
  string(REPLACE ";" " " names "${NABLA_CUDA_ARCHITECTURES}")
  file(CONFIGURE OUTPUT ${folder}/nabla_cuda_images.h @ONLY CONTENT
       "${index}constexpr Image kImages[] = {\n${table}};\nconstexpr const char* kArchitectures = \"${names}\";\n")
  set_source_files_properties(native/cuda/images.cpp PROPERTIES
    COMPILE_DEFINITIONS NABLA_CUDA_IMAGES INCLUDE_DIRECTORIES ${folder} OBJECT_DEPENDS "${headers}")
  add_custom_target(nabla_cuda_kernels DEPENDS ${headers})
  add_dependencies(nabla_core nabla_cuda_kernels)
  message(STATUS "CUDA kernels: nvcc ${nvcc_version}, for ${names}")
elseif(NABLA_CUDA AND NABLA_NVCC)
  message(STATUS "No CUDA kernels: nvcc ${nvcc_version} at ${NABLA_NVCC}, 13 or later is needed")
else()
  message(STATUS "No CUDA kernels: no nvcc")
endif()

# The kernels over the emulation, as a library that stands in for NVIDIA's driver.
function(nabla_add_emulated_driver)
  if(WIN32)
    return()
  endif()
  set(sources ${NABLA_CUDA_KERNELS})
  list(TRANSFORM sources REPLACE "^${CMAKE_SOURCE_DIR}/" "")
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS -Wno-unknown-pragmas)
  add_library(nabla_emulated_cuda MODULE native/cuda/emulation/driver.cpp native/cuda/emulation/blas.cpp native/cuda/emulation/emulation.cpp ${sources})
  target_link_libraries(nabla_emulated_cuda PRIVATE nabla_flags Threads::Threads)
  set_target_properties(nabla_emulated_cuda PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
endfunction()
