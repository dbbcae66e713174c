#include "operator/main/memory.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace millrace::operators {
namespace {

// Goal: everything works as before, code and tables alike. Method: use some of the libraries
// before, and after the pages were given back.
TEST(Memory, WhatWasGivenBackIsThereWhenItIsUsed) {
  const std::string before = fmt::format("{:>8.3f} {}", 2.5, "text");
  EXPECT_GT(give_back_memory(), 100'000u) << "the program and its libraries are larger than that";
  EXPECT_EQ(fmt::format("{:>8.3f} {}", 2.5, "text"), before);
  EXPECT_GT(give_back_memory(), 0u);
}

}  // namespace
}  // namespace millrace::operators
