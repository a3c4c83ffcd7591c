# Warnings, sanitizers and the optional CUDA language, shared by every target.
include(CheckLanguage)

set(TRUETILE_HAVE_CUDA OFF)
if(TRUETILE_CUDA)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES "${TRUETILE_CUDA_ARCHITECTURES}")
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
    enable_language(CUDA)
    set(TRUETILE_HAVE_CUDA ON)
  else()
    message(STATUS "TrueTile: no nvcc found, the CUDA kernels are not built")
  endif()
endif()

function(truetile_target name)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/csrc")
  target_compile_definitions(${name} PRIVATE
    TRUETILE_VERSION="${PROJECT_VERSION}+${TRUETILE_SOURCES}")
  if(MSVC)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:/W4 /WX>)
    return()
  endif()
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Werror>)
  if(UNIX AND NOT APPLE)
    # Some toolchains link libstdc++ statically. Its symbols must stay inside: bound half to our
    # copy and half to the one that torch brings, a library crashes in its first string stream.
    target_link_options(${name} PRIVATE "LINKER:--exclude-libs,ALL")
  endif()
  if(TRUETILE_SANITIZE)
    target_compile_options(${name} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer>)
    target_link_options(${name} PRIVATE -fsanitize=address,undefined)
  elseif(TRUETILE_SANITIZE_THREAD)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=thread>)
    target_link_options(${name} PRIVATE -fsanitize=thread)
  endif()
endfunction()
