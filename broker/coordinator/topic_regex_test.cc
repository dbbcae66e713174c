#include "broker/coordinator/topic_regex.h"

#include <gtest/gtest.h>

#include "broker/model/errors.h"

namespace millrace::coordinator {
namespace {

TEST(TopicRegex, MatchesWholeNames) {
  const auto regex = TopicRegex::parse("orders-[0-9]+|audit");
  ASSERT_TRUE(regex.ok());
  EXPECT_TRUE(regex->matches("orders-17"));
  EXPECT_TRUE(regex->matches("audit"));
  EXPECT_FALSE(regex->matches("orders-"));
  EXPECT_FALSE(regex->matches("orders-17-dead"));
  EXPECT_FALSE(regex->matches("my-audit"));
}

TEST(TopicRegex, FindsTopicsInOrder) {
  Topics topics;
  for (const char* name : {"b1", "a2", "a1", "c"}) topics.by_name[name].name = name;
  const auto regex = TopicRegex::parse("[ab]\\d");
  ASSERT_TRUE(regex.ok());
  EXPECT_EQ(regex->matches(topics), (std::vector<std::string>{"a1", "a2", "b1"}));
}

TEST(TopicRegex, RefusesWhatIsNoExpressionOrTooLarge) {
  for (const char* text : {"(", "a**", "[", "(?=look)", "\\1", "((((a{100}){100}){100}){100})"}) {
    const auto regex = TopicRegex::parse(text);
    ASSERT_FALSE(regex.ok()) << text;
    EXPECT_EQ(regex.error().code, model::ErrorCode::kInvalidRegularExpression);
    EXPECT_NE(regex.error().detail.find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace millrace::coordinator
