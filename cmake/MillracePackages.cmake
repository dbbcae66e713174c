# Every third-party package, found in one place. All are Debian bookworm packages (docs/building.md).
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
# Debian builds it as a library: the settings it was built with are part of its types.
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
find_library(SNAPPY_LIBRARY snappy REQUIRED)

set(millrace_std_headers <algorithm> <array> <chrono> <cstdint> <cstring> <functional> <map> <memory> <optional> <span>
  <string> <string_view> <unordered_map> <utility> <variant> <vector> <fmt/format.h>)
millrace_precompiled(std KIND library DEPS fmt::fmt HEADERS ${millrace_std_headers})
millrace_precompiled(test KIND program DEPS fmt::fmt GTest::gmock HEADERS ${millrace_std_headers} <gtest/gtest.h> <gmock/gmock.h>)
if(NOT MILLRACE_FUZZ)
  millrace_precompiled(grpc KIND library DEPS fmt::fmt gRPC::grpc++ protobuf::libprotobuf
    HEADERS ${millrace_std_headers} <google/protobuf/message.h> <google/protobuf/generated_message_reflection.h>
    <grpcpp/grpcpp.h> <grpcpp/impl/codegen/server_callback_handlers.h>)
endif()
