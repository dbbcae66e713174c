#include "broker/replica/append_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/model/test_batches.h"
#include "broker/replica/testing/inspect.h"

namespace millrace::replica {
namespace {

using model::Term;
using testing::batch;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr Term kTerm{3};

Bytes placed(std::int64_t base, std::int32_t count = 1, Term term = kTerm) {
  Bytes bytes = batch({.count = count, .text = "x"});
  model::set_position(bytes.mutable_view(), Offset{base}, term);
  return bytes;
}

Bytes joined(const std::vector<Bytes>& batches) {
  std::vector<std::uint8_t> all;
  for (const Bytes& one : batches) all.insert(all.end(), one.view().begin(), one.view().end());
  return Bytes::copy_of(common::ByteView(all));
}

raft::Append append_of(std::int64_t from, std::int64_t to, const std::vector<Bytes>& data,
                       std::int64_t commit = 0) {
  std::size_t bytes = 0;
  for (const Bytes& piece : data) bytes += piece.size();
  return {.prev = {.term = kTerm, .offset = Offset{from}},
          .term = kTerm,
          .to = Offset{to},
          .bytes = static_cast<std::uint32_t>(bytes),
          .commit = Offset{commit}};
}

/// "[base, end)" of each batch of each piece.
std::vector<std::string> shape(const std::vector<Bytes>& pieces) {
  std::vector<std::string> lines;
  for (const Bytes& piece : pieces) {
    for (std::size_t at = 0; at < piece.size();) {
      const auto view = model::BatchView::parse(piece.view().subspan(at)).value();
      lines.push_back(fmt::format("[{}, {}) {}", view.base_offset(), view.next_offset(),
                                  view.record_count() == 0 ? "hole" : "data"));
      EXPECT_TRUE(view.crc_matches());
      EXPECT_EQ(view.leader_epoch(), kTerm);
      at += view.size();
    }
  }
  return lines;
}

TEST(AppendData, WholeBatchesOneAfterTheOther) {
  const std::vector<Bytes> data{joined({placed(5, 2), placed(7)}), placed(8, 3)};
  const auto append = append_of(5, 11, data);
  EXPECT_EQ(fault_of(append, data, {Offset{5}}), std::nullopt);
  EXPECT_EQ(largest_batch(data), placed(8, 3).size());
  const auto pieces = pieces_of(data, {Offset{5}, Offset{11}}, kTerm);
  EXPECT_THAT(shape(pieces), ElementsAre("[5, 7) data", "[7, 8) data", "[8, 11) data"));
  EXPECT_EQ(pieces[0].data(), data[0].data()) << "nothing is copied";
}

TEST(AppendData, WhatIsThereAlreadyIsLeftOut) {
  const std::vector<Bytes> data{joined({placed(5, 2), placed(7)}), placed(8, 3)};
  const auto append = append_of(5, 11, data);
  EXPECT_EQ(fault_of(append, data, {Offset{7}}), std::nullopt);
  EXPECT_THAT(shape(pieces_of(data, {Offset{7}, Offset{11}}, kTerm)),
              ElementsAre("[7, 8) data", "[8, 11) data"));
  EXPECT_THAT(fault_of(append, data, {Offset{6}}), Optional(HasSubstr("inside a batch")));
}

TEST(AppendData, NonsenseIsRefused) {
  const std::vector<Bytes> good{placed(5), placed(6)};
  const auto append = append_of(5, 7, good);
  ASSERT_EQ(fault_of(append, good, {Offset{5}}), std::nullopt);
  EXPECT_THAT(fault_of(append, {placed(5)}, {Offset{5}}), Optional(HasSubstr("announced were")));
  EXPECT_THAT(fault_of(append, {}, {Offset{5}}), Optional(HasSubstr("announced were")));
  EXPECT_THAT(fault_of(append, {placed(6), placed(5)}, {Offset{5}}),
              Optional(HasSubstr("nothing")));
  EXPECT_THAT(fault_of(append, {placed(5), placed(5)}, {Offset{5}}),
              Optional(HasSubstr("was to follow")));
  EXPECT_THAT(fault_of(append, {placed(4), placed(5)}, {Offset{5}}),
              Optional(HasSubstr("was to follow")));
  EXPECT_THAT(fault_of(append, {placed(5), placed(6, 2)}, {Offset{5}}),
              Optional(HasSubstr("was to follow")));
  EXPECT_THAT(fault_of(append, {placed(5), placed(6, 1, Term{2})}, {Offset{5}}),
              Optional(HasSubstr("is of term 2")));
  EXPECT_THAT(fault_of(append, {placed(5), Bytes()}, {Offset{5}}), Optional(HasSubstr("empty")));
  Bytes torn = Bytes::copy_of(good[1].view());
  torn.mutable_data()[torn.size() - 1] ^= 1;
  EXPECT_THAT(fault_of(append, {good[0], torn}, {Offset{5}}), Optional(HasSubstr("checksum")));
  Bytes torn_but_there = Bytes::copy_of(good[0].view());
  torn_but_there.mutable_data()[torn_but_there.size() - 1] ^= 1;
  EXPECT_EQ(fault_of(append, {torn_but_there, good[1]}, {Offset{6}}), std::nullopt)
      << "what is not written is not looked at";
}

// A log whose start was moved into a batch: the others begin there too.
TEST(AppendData, ALogMayBeginInsideABatch) {
  const std::vector<Bytes> data{joined({placed(3, 4), placed(7)})};
  const auto append = append_of(5, 8, data, 8);
  EXPECT_EQ(fault_of(append, data, {.from = Offset{5}, .log_start = Offset{5}}), std::nullopt);
  EXPECT_THAT(shape(pieces_of(data, {Offset{5}, Offset{8}}, kTerm)),
              ElementsAre("[3, 7) data", "[7, 8) data"));
  EXPECT_EQ(fault_of(append, data, {Offset{7}, Offset{5}}), std::nullopt) << "once more";
  EXPECT_THAT(fault_of(append, data, {Offset{6}, Offset{5}}),
              Optional(HasSubstr("inside a batch")));
  EXPECT_THAT(fault_of(append, data, {Offset{5}, Offset{4}}), Optional(HasSubstr("was to follow")));
  const std::vector<Bytes> behind{joined({placed(7), placed(7)})};
  EXPECT_THAT(fault_of(append_of(5, 8, behind, 8), behind, {Offset{5}, Offset{5}}),
              Optional(HasSubstr("was to follow")));
  const std::vector<Bytes> in_front{placed(3, 2), placed(5, 3)};
  EXPECT_THAT(fault_of(append_of(5, 8, in_front, 8), in_front, {Offset{5}, Offset{5}}),
              Optional(HasSubstr("was to follow")));
}

// Versions before groups counted from term 0. What is written down is of the term that it counts
// as, beside others of it.
TEST(AppendData, TermZeroIsTermOne) {
  const std::vector<Bytes> data{placed(5, 1, Term{0})};
  const std::vector<Bytes> mixed{joined({placed(5, 2, Term{0}), placed(7, 1, Term{1})})};
  const auto pieces = pieces_of(mixed, {Offset{5}, Offset{8}}, Term{1});
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0], joined({placed(5, 2, Term{1}), placed(7, 1, Term{1})}));
  EXPECT_EQ(mixed[0], joined({placed(5, 2, Term{0}), placed(7, 1, Term{1})}));
  raft::Append append = append_of(5, 6, data);
  EXPECT_THAT(fault_of(append, data, {Offset{5}}), Optional(HasSubstr("is of term 0")));
  append.prev.term = append.term = Term{1};
  EXPECT_EQ(fault_of(append, data, {Offset{5}}), std::nullopt);
}

// Where compaction took batches away the log stays dense; anywhere else it is a fault.
TEST(AppendData, HolesAreFilledWhereTheyMayBe) {
  const std::vector<Bytes> data{joined({placed(7), placed(10)})};
  EXPECT_THAT(fault_of(append_of(5, 13, data, 9), data, {Offset{5}}),
              Optional(HasSubstr("nothing")));
  const auto append = append_of(5, 13, data, 13);
  ASSERT_EQ(fault_of(append, data, {Offset{5}}), std::nullopt);
  EXPECT_THAT(
      shape(pieces_of(data, {Offset{5}, Offset{13}}, kTerm)),
      ElementsAre("[5, 7) hole", "[7, 8) data", "[8, 10) hole", "[10, 11) data", "[11, 13) hole"));
  EXPECT_THAT(shape(pieces_of(data, {Offset{9}, Offset{13}}, kTerm)),
              ElementsAre("[9, 10) hole", "[10, 11) data", "[11, 13) hole"));
  EXPECT_EQ(fault_of(append_of(5, 13, {}, 13), {}, {Offset{5}}), std::nullopt);
  EXPECT_THAT(shape(pieces_of({}, {Offset{5}, Offset{13}}, kTerm)), ElementsAre("[5, 13) hole"));
  EXPECT_THAT(fault_of(append_of(5, INT64_MAX, {}, INT64_MAX), {}, {Offset{5}}),
              Optional(HasSubstr("nothing")))
      << "nobody fills that";
}

TEST(AppendData, AVeryLargeHoleIsSeveralBatches) {
  const Offset to{5'000'000'000};
  EXPECT_THAT(shape(pieces_of({}, {Offset{0}, to}, kTerm)),
              ElementsAre("[0, 2147483647) hole", "[2147483647, 4294967294) hole",
                          "[4294967294, 5000000000) hole"));
}

TEST(AppendData, SafeOnAnyBytes) {
  common::Random random(8);
  const std::vector<Bytes> good{joined({placed(5, 2), placed(7), placed(8, 3)})};
  const auto append = append_of(5, 11, good, 11);
  for (int i = 0; i < 20'000; ++i) {
    const auto bad = model::damaged(good[0].view(), random);
    const std::vector<Bytes> data{Bytes::copy_of(common::ByteView(bad))};
    const auto fault = fault_of(append, data, {Offset{5}});
    if (fault.has_value()) continue;
    std::int64_t next = 5;
    for (const std::string& line : shape(pieces_of(data, {Offset{5}, Offset{11}}, kTerm))) {
      EXPECT_TRUE(line.starts_with(fmt::format("[{}, ", next))) << line;
      next = std::stoll(line.substr(line.find(' ') + 1));
    }
    EXPECT_EQ(next, 11);
  }
}

}  // namespace
}  // namespace millrace::replica
