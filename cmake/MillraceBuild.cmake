# Compiler settings and the three ways to declare a target. Every module uses these and nothing else,
# so that warnings, include paths and labels are the same everywhere.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

# Sanitizers of the whole build: "address,undefined", "thread" or empty. Presets set it.
set(MILLRACE_SANITIZE "" CACHE STRING "value of -fsanitize for every target")
# Builds only the fuzz targets and what they link, with libFuzzer's instrumentation (needs clang).
option(MILLRACE_FUZZ "build the fuzzers" OFF)

# Headers that most files share, parsed once: a fifth less work in a cold build, which is why the scripts turn it on in a
# fresh tree; copies of the tree share it through ccache. Off by default, as a missing #include goes unseen.
option(MILLRACE_PRECOMPILE "use precompiled headers" OFF)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Two copies of the tree share what either compiled: paths below the top count as relative.
  set(ccache_launcher "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${CCACHE_PROGRAM}")
  set(CMAKE_C_COMPILER_LAUNCHER "${ccache_launcher}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${ccache_launcher}")
endif()

add_library(millrace_flags INTERFACE)
target_include_directories(millrace_flags INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/generated")
target_compile_options(millrace_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wno-missing-field-initializers -fno-omit-frame-pointer -march=x86-64-v2
  # Names of files in messages and debug information start at the top of the tree.
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
if(MILLRACE_SANITIZE)
  target_compile_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 reports false "maybe uninitialized" and bounds errors in instrumented code.
    target_compile_options(millrace_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(MILLRACE_FUZZ)
  target_compile_options(millrace_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(millrace_flags INTERFACE -fcoroutines)
endif()

# millrace_precompiled(SET KIND library|program [DEPS lib ...] HEADERS <header> ...): declares a set of headers that is
# parsed once. Libraries and programs are position independent in different ways and cannot share a set.
function(millrace_precompiled set)
  cmake_parse_arguments(ARG "" "KIND" "DEPS;HEADERS" ${ARGN})
  if(ARG_KIND STREQUAL "library")
    add_library(millrace_headers_${set} OBJECT EXCLUDE_FROM_ALL "${CMAKE_SOURCE_DIR}/cmake/precompiled.cc")
  else()
    add_executable(millrace_headers_${set} EXCLUDE_FROM_ALL "${CMAKE_SOURCE_DIR}/cmake/precompiled.cc")
  endif()
  target_link_libraries(millrace_headers_${set} PRIVATE millrace_flags ${ARG_DEPS})
  if(MILLRACE_PRECOMPILE)
    target_precompile_headers(millrace_headers_${set} PRIVATE ${ARG_HEADERS})
  endif()
endfunction()

# millrace_use_precompiled(TARGET SET)
function(millrace_use_precompiled target set)
  if(MILLRACE_PRECOMPILE)
    # Where a target's options make the set unusable, it is built without it.
    set_target_properties(${target} PROPERTIES PCH_WARN_INVALID OFF)
    target_precompile_headers(${target} REUSE_FROM millrace_headers_${set})
  endif()
endfunction()

# millrace_library(NAME SOURCES a.cc b.cc [DEPS lib ...])
# One static library: a module. Sources are listed one by one; headers need no mention.
function(millrace_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(millrace_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(millrace_${name} PUBLIC millrace_flags ${ARG_DEPS})
  if(millrace_proto IN_LIST ARG_DEPS)
    millrace_use_precompiled(millrace_${name} grpc)
  else()
    millrace_use_precompiled(millrace_${name} std)
  endif()
endfunction()

# millrace_label(NAME LABEL...): gives a registered test its labels and adds it to the targets
# tests_LABEL, which build all programs of a label and nothing else.
# Labels: unit (all of them together under a minute), property (random cases, minutes), threads (worth running under the thread sanitizer).
function(millrace_label name)
  set_tests_properties(${name} PROPERTIES LABELS "${ARGN}")
  foreach(label IN LISTS ARGN)
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    if(TARGET ${name})
      add_dependencies(tests_${label} ${name})
    endif()
  endforeach()
endfunction()

# millrace_test(NAME SOURCES x_test.cc [DEPS lib ...] [LABEL unit ...])
# One gtest program, registered with CTest. It runs with its own source folder as working directory,
# so that scripts are found as testdata/NAME.txt.
function(millrace_test name)
  if(MILLRACE_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABEL" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE millrace_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  millrace_use_precompiled(${name} test)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  millrace_label(${name} ${ARG_LABEL})
endfunction()

include(CheckLinkerFlag)
check_linker_flag(CXX "-Wl,-z,pack-relative-relocs" MILLRACE_PACKS_RELOCATIONS)

# millrace_program(NAME SOURCES main.cc [DEPS lib ...]): an executable in build/PRESET/bin.
function(millrace_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE millrace_flags ${ARG_DEPS})
  # In an unpacked archive (scripts/archive) the libraries lie beside bin/, those that libraries load too: hence the old tag.
  set_target_properties(${name} PROPERTIES BUILD_RPATH "$ORIGIN/../lib")
  target_link_options(${name} PRIVATE -Wl,--disable-new-dtags -Wl,--gc-sections)
  # What the loader changes in a position-independent program is a list of 24 bytes each, or of a few bits: 3 % of the broker.
  # glibc 2.36 reads it, which is what the programs ask for anyhow.
  if(MILLRACE_PACKS_RELOCATIONS)
    target_link_options(${name} PRIVATE -Wl,-z,pack-relative-relocs)
  endif()
endfunction()

# millrace_fuzzer(NAME SOURCES x_fuzz.cc [DEPS lib ...])
# One LLVMFuzzerTestOneInput. With MILLRACE_FUZZ a libFuzzer program, part of the target "fuzzers"; in every other build a
# unit test that feeds it tests/fuzz/corpus/NAME once, so that seeds and old findings stay checked everywhere.
function(millrace_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE millrace_flags ${ARG_DEPS})
  if(MILLRACE_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    if(NOT TARGET fuzzers)
      add_custom_target(fuzzers)
    endif()
    add_dependencies(fuzzers ${name})
    set_property(GLOBAL APPEND PROPERTY MILLRACE_FUZZERS ${name})
  else()
    target_sources(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cc")
    add_test(NAME ${name} COMMAND ${name} "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
    millrace_label(${name} unit)
  endif()
endfunction()
