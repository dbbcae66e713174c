// Listeners for clients outside: what the settings may say of them, and the file of addresses.
#include "broker/model/outside_listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr BrokerId kSelf{1};

std::string refusal(std::string_view value) {
  const auto checked = check_broker_config("kafka.outside.listen", value);
  return checked.ok() ? "" : checked.error().detail;
}
std::string complaint(std::string_view file) {
  return read_outside_addresses(file, kSelf).problem;
}

// The value is what the operator sets: operator/resources/testdata/everything.yaml.
TEST(OutsideListeners, AreNamesWithAddresses) {
  const auto listeners = parse_outside_listeners("nodes://0.0.0.0:9095,cloud://0.0.0.0:9096");
  ASSERT_TRUE(listeners.ok());
  EXPECT_THAT(*listeners, ElementsAre(OutsideListener{"nodes", {"0.0.0.0", 9095}},
                                      OutsideListener{"cloud", {"0.0.0.0", 9096}}));
  EXPECT_THAT(*parse_outside_listeners(""), IsEmpty());
  EXPECT_THAT(*parse_outside_listeners(" a.B_1://[::1]:0 , b://:0 "),
              ElementsAre(OutsideListener{"a.B_1", {"::1", 0}}, OutsideListener{"b", {"", 0}}));
}

TEST(OutsideListeners, AreRefusedWithTheReason) {
  EXPECT_EQ(refusal("nodes://0.0.0.0:9095"), "");
  EXPECT_EQ(refusal("0.0.0.0:9095"),
            "Invalid value 0.0.0.0:9095 for configuration kafka.outside.listen: Expected "
            "NAME://HOST:PORT, with commas between them");
  for (const char* no_port : {"a://h", "a://h:", "a://h:x", "a://h:65536", "a://::1:9", "a://",
                              "a://[[h]]:9", "a://h h:9", "a://h/:9"})
    EXPECT_THAT(refusal(no_port), HasSubstr("with a port from 0 (a free one) to 65535")) << no_port;
  for (const char* no_name : {"://h:9", "a b://h:9", "\xc3\xa4://h:9"})
    EXPECT_THAT(refusal(no_name), HasSubstr("letters, digits")) << no_name;
  EXPECT_THAT(refusal(std::string(64, 'a') + "://h:9"), HasSubstr("63 at most"));
  EXPECT_THAT(refusal("a://h:1,a://h:2"), HasSubstr("Two listeners are called a"));
  EXPECT_THAT(refusal("a://h:1,b://0.0.0.0:1"), HasSubstr("Listeners a and b have the same port"));
  EXPECT_EQ(refusal("a://10.0.0.1:1,b://10.0.0.2:1,c://h:0,d://h:0"), "");
  for (const char* taken : {"kafka", "internal", "grpc", "http"})
    EXPECT_THAT(refusal(std::string(taken) + "://h:9"), HasSubstr("choose another name"));
  std::string many = "a0://h:1";
  for (int i = 1; i <= 16; ++i) many += ",a" + std::to_string(i) + "://h:" + std::to_string(i + 1);
  EXPECT_THAT(refusal(many), HasSubstr("There may be 16 listeners"));
}

// Brokers that share a socket's address would be given each other's connections, unnoticed.
TEST(OutsideListeners, FitTheOtherDoors) {
  const auto check = [](ConfigMap config) {
    const BrokerLayers layers{.from_start = &config};
    const auto checked =
        check_outside(resolve_outside_settings(layers), resolve_broker_settings(layers));
    return checked.ok() ? "" : checked.error().detail;
  };
  EXPECT_EQ(check({}), "");
  EXPECT_EQ(check({{"kafka.outside.addresses", "/f"}}), "");
  EXPECT_EQ(check({{"kafka.outside.listen", "a://:9095"}, {"kafka.outside.addresses", "/f"}}), "");
  EXPECT_THAT(check({{"kafka.outside.listen", "a://:9095"}}),
              HasSubstr("set kafka.outside.addresses"));
  for (const char* port : {"9092", "9093", "9094", "9644"}) {
    EXPECT_THAT(check({{"kafka.outside.listen", std::string("a://127.0.0.1:") + port},
                       {"kafka.outside.addresses", "/f"}}),
                HasSubstr("give it another one"));
  }
  EXPECT_EQ(check({{"kafka.outside.listen", "a://10.0.0.1:9092"},
                   {"kafka.listen", "10.0.0.2:9092"},
                   {"kafka.outside.addresses", "/f"}}),
            "");
}

// The lines are what the operator writes: operator/resources/testdata/everything.yaml.
TEST(OutsideAddresses, AreTheLinesOfOneBroker) {
  const OutsideLines read = read_outside_addresses(
      "nodes 0 10.0.0.1:31000\nnodes 1 10.0.0.2:31001\n\n# by hand\r\n"
      "\tlb 1  [2001:db8::7]:9095 \r\nlb 0 one.example.com:9095",
      kSelf);
  EXPECT_EQ(read.problem, "");
  EXPECT_THAT(read.addresses, ElementsAre(Pair("lb", ListenAddress{"2001:db8::7", 9095}),
                                          Pair("nodes", ListenAddress{"10.0.0.2", 31001})));
  for (const char* nothing : {"", "nodes 0 h:1"}) {
    EXPECT_THAT(read_outside_addresses(nothing, kSelf).addresses, IsEmpty());
    EXPECT_EQ(complaint(nothing), "");
  }
}

TEST(OutsideAddresses, ABadLineIsNamed) {
  EXPECT_EQ(complaint("a 1 h:1\na 0 h\n"),
            "line 2 is not of the form LISTENER BROKER HOST:PORT, with the number of a broker and "
            "an address that clients can connect to");
  for (const char* line :
       {"a", "a 1", "a x h:1", "a -1 h:1", "a 1 h:0", "a 1 :9", "a 1 h:70000", "a 1 0.0.0.0:9",
        "a 1 [::]:9", "a 1 h:1 more", "a! 1 h:1", "a: 1 h:1", "a 1 h\xc3\xa4:1"})
    EXPECT_THAT(complaint(line), HasSubstr("line 1 is not of the form")) << line;
  EXPECT_THAT(complaint("a 1 " + std::string(256, 'h') + ":9"), HasSubstr("line 1"));
  EXPECT_EQ(complaint("a 0 h:1\nb 0 h:1\na 0 h:2\nx"),
            "line 3 says again where listener a of broker 0 is, after line 1");
  EXPECT_THAT(read_outside_addresses("a 1 h:1\na 1 h:2\nx\nb 1 h:3", kSelf).addresses,
              ElementsAre(Pair("a", ListenAddress{"h", 1}), Pair("b", ListenAddress{"h", 3})))
      << "the others are understood";
  EXPECT_THAT(complaint(std::string((1 << 20) + 1, '\n')), HasSubstr("more than 1048576 bytes"));
}

}  // namespace
}  // namespace millrace::model
