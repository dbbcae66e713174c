// The command line and the environment.
#include "operator/main/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "operator/main/listen_address.h"

namespace millrace::operators {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Options parsed(const std::vector<std::string>& arguments) {
  Options options;
  const auto problem = read_options(arguments, options);
  EXPECT_FALSE(problem.has_value()) << problem->detail;
  return options;
}

TEST(Options, WithoutFlagsAllNamespacesAreLookedAfter) {
  const Options options = parsed({});
  EXPECT_EQ(options.command, Command::kRun);
  EXPECT_THAT(options.namespaces, IsEmpty());
  EXPECT_EQ(options.http_listen, "0.0.0.0:8080");
  EXPECT_EQ(options.lease_name, "millrace-operator");
}

TEST(Options, NamespacesMayBeRepeatedOrAList) {
  EXPECT_THAT(parsed({"--namespace=a", "--namespace", "b"}).namespaces, ElementsAre("a", "b"));
  EXPECT_THAT(parsed({"--namespace=a,b,,c"}).namespaces, ElementsAre("a", "b", "c"));
}

TEST(Options, AddressesToListenOn) {
  const auto parsed_to = [](const std::string& text, const std::string& host, int port) {
    const auto address = parse_listen_address(text);
    return address && address->host == host && address->port == port;
  };
  EXPECT_TRUE(parsed_to("0.0.0.0:8080", "0.0.0.0", 8080));
  EXPECT_TRUE(parsed_to(":0", "", 0));
  EXPECT_TRUE(parsed_to("[::1]:65535", "::1", 65535));
  for (const char* none :
       {"", "8080", "host", "host:", "host:x", "host:80x", "host:-1", "host:65536"})
    EXPECT_FALSE(parse_listen_address(none)) << none;
}

TEST(Options, TheEnvironmentIsReadAndAFlagWins) {
  setenv("MILLRACE_OPERATOR_LEASE_NAME", "from-environment", 1);
  setenv("MILLRACE_OPERATOR_HTTP_LISTEN", "127.0.0.1:1", 1);
  setenv("MILLRACE_OPERATOR_NAMESPACE", "x,y", 1);
  const Options options = parsed({"--http-listen=127.0.0.1:2"});
  EXPECT_EQ(options.lease_name, "from-environment");
  EXPECT_EQ(options.http_listen, "127.0.0.1:2");
  EXPECT_THAT(options.namespaces, ElementsAre("x", "y"));
  for (const char* name : {"LEASE_NAME", "HTTP_LISTEN", "NAMESPACE"})
    unsetenv((std::string("MILLRACE_OPERATOR_") + name).c_str());
}

TEST(Options, CommandsHaveTheirOwn) {
  const Options check = parsed({"check", "http://127.0.0.1:8080/readyz", "--wait-seconds=5"});
  EXPECT_EQ(check.command, Command::kCheck);
  EXPECT_EQ(check.url, "http://127.0.0.1:8080/readyz");
  EXPECT_EQ(check.wait_seconds, 5);
  const Options apply = parsed({"apply", "a.json", "b.json", "--kubeconfig=/k"});
  EXPECT_EQ(apply.command, Command::kApply);
  EXPECT_THAT(apply.files, ElementsAre("a.json", "b.json"));
  EXPECT_EQ(apply.kubeconfig, "/k");
}

// An operator whose namespace was left empty by mistake would act everywhere.
TEST(Options, AnEmptyNamespaceIsNotAllOfThem) {
  for (const std::vector<std::string>& empty :
       {std::vector<std::string>{"--namespace="}, {"--namespace", ""}, {"--namespace=,"}}) {
    Options options;
    const auto problem = read_options(empty, options);
    ASSERT_TRUE(problem.has_value()) << empty[0];
    EXPECT_EQ(problem->exit_code, 64);
    EXPECT_THAT(problem->detail, HasSubstr("--namespace"));
  }
  setenv("MILLRACE_OPERATOR_NAMESPACE", "", 1);
  EXPECT_THAT(parsed({}).namespaces, IsEmpty()) << "an empty variable counts as none";
  unsetenv("MILLRACE_OPERATOR_NAMESPACE");
}

TEST(Options, WhatIsWrongIsSaid) {
  Options options;
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--no-such-flag"},
                                                {"--workers=0"},
                                                {"--log-level=loud"},
                                                {"--lease-seconds=1"},
                                                {"check"},
                                                {"dance"}}) {
    const auto problem = read_options(wrong, options);
    ASSERT_TRUE(problem.has_value()) << wrong[0];
    EXPECT_EQ(problem->exit_code, 64);
    EXPECT_THAT(problem->detail, HasSubstr("--help")) << wrong[0];
  }
}

}  // namespace
}  // namespace millrace::operators
