# Headers and libraries of an installed torch, for code on its stable ABI only.
#
# find_package(Torch) is not used: on a CUDA build of torch it demands the very CUDA toolkit that
# torch was built with, and it adds flags of its own. The stable ABI needs two include folders and
# libtorch, so that one binary serves every torch >= 2.10 (TORCH_TARGET_VERSION).
find_package(Python REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
  OUTPUT_VARIABLE TorchStable_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)

find_path(TorchStable_INCLUDE_DIR torch/csrc/stable/library.h
  PATHS "${TorchStable_ROOT}/include" NO_DEFAULT_PATH)
foreach(lib IN ITEMS torch torch_cpu)
  find_library(TorchStable_${lib}_LIBRARY ${lib} PATHS "${TorchStable_ROOT}/lib" NO_DEFAULT_PATH)
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TorchStable REQUIRED_VARS
  TorchStable_INCLUDE_DIR TorchStable_torch_LIBRARY TorchStable_torch_cpu_LIBRARY)

if(TorchStable_FOUND AND NOT TARGET TorchStable::TorchStable)
  add_library(TorchStable::TorchStable INTERFACE IMPORTED)
  set_target_properties(TorchStable::TorchStable PROPERTIES
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${TorchStable_INCLUDE_DIR}"
    INTERFACE_INCLUDE_DIRECTORIES "${TorchStable_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS "TORCH_TARGET_VERSION=0x020a000000000000"
    # torch's static initialisers register nothing of ours: keep the libraries although no symbol
    # of libtorch itself may be referenced.
    INTERFACE_LINK_LIBRARIES "-Wl,--no-as-needed;${TorchStable_torch_LIBRARY};${TorchStable_torch_cpu_LIBRARY};-Wl,--as-needed")
endif()
