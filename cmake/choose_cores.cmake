# Turns MULTILEVEL_CORE into MULTILEVEL_CORES, the list of instruction sets to compile the core for.
#
# A source build stays on its machine, so one core is enough and takes half the time; a wheel for others needs both.
include(CheckCXXSourceCompiles)

set(CMAKE_REQUIRED_FLAGS "-march=x86-64-v3")
check_cxx_source_compiles("
  #if !defined(__x86_64__) || !defined(__AVX2__)
  #error not x86-64
  #endif
  int main() { return 0; }" MULTILEVEL_COMPILER_HAS_V3)
unset(CMAKE_REQUIRED_FLAGS)

if(MULTILEVEL_CORE STREQUAL "both" OR (MULTILEVEL_CORE STREQUAL "native" AND CMAKE_CROSSCOMPILING))
  set(MULTILEVEL_CORES base)
  if(MULTILEVEL_COMPILER_HAS_V3)
    list(APPEND MULTILEVEL_CORES v3)
  endif()
elseif(MULTILEVEL_CORE STREQUAL "native")
  set(MULTILEVEL_CORES base)
  if(MULTILEVEL_COMPILER_HAS_V3)
    # By the check that the installed package makes at import. A program for another processor than this one does not run.
    try_run(MULTILEVEL_PROCESSOR_LACKS_V3 MULTILEVEL_PROCESSOR_CHECKED
      "${PROJECT_BINARY_DIR}/processor" "${PROJECT_SOURCE_DIR}/cmake/processor.cpp"
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${PROJECT_SOURCE_DIR}/cpp")
    if(NOT MULTILEVEL_PROCESSOR_CHECKED)
      message(FATAL_ERROR "cmake/processor.cpp could not be compiled; -DMULTILEVEL_CORE=both builds without it")
    elseif(MULTILEVEL_PROCESSOR_LACKS_V3 STREQUAL "0")
      set(MULTILEVEL_CORES v3)
    elseif(NOT MULTILEVEL_PROCESSOR_LACKS_V3 STREQUAL "1")
      list(APPEND MULTILEVEL_CORES v3)
    endif()
  endif()
elseif(MULTILEVEL_CORE STREQUAL "v3" AND NOT MULTILEVEL_COMPILER_HAS_V3)
  message(FATAL_ERROR "MULTILEVEL_CORE=v3, but this compiler does not compile for x86-64-v3")
elseif(MULTILEVEL_CORE MATCHES "^(base|v3)$")
  set(MULTILEVEL_CORES ${MULTILEVEL_CORE})
else()
  message(FATAL_ERROR "MULTILEVEL_CORE is '${MULTILEVEL_CORE}': it can be native, base, v3 or both")
endif()
message(STATUS "Building the core for: ${MULTILEVEL_CORES}")
