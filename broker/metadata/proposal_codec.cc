#include <fmt/format.h>

#include <limits>

#include "broker/metadata/proposal.h"
#include "common/check.h"
#include "proto/millrace/internal/metadata_calls.pb.h"

namespace millrace::metadata {
namespace {

namespace pb = ::millrace::internal;
using model::BrokerId;
using model::Error;
using model::ErrorCode;
using model::Offset;

template <typename Message>
common::Bytes bytes_from(const Message& message) {
  const std::size_t size = message.ByteSizeLong();
  CHECK(size < std::size_t{std::numeric_limits<std::int32_t>::max()});
  common::Bytes bytes = common::Bytes::allocate(size);
  CHECK(message.SerializeToArray(bytes.mutable_data(), static_cast<int>(size)));
  return bytes;
}

template <typename Message>
bool parsed(common::ByteView bytes, Message& message) {
  return bytes.size() <= kProposalBytesMax + 1024 &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

Error not_ours(std::string_view what) {
  return Error{ErrorCode::kCorruptMessage, fmt::format("these bytes are no {}", what)};
}

}  // namespace

common::Bytes encode(const Proposal& proposal) {
  pb::MetadataProposal out;
  out.set_broker(proposal.from.value());
  out.set_base(proposal.base.value());
  out.set_batch(proposal.batch.view().data(), proposal.batch.size());
  out.set_term(proposal.term.value());
  return bytes_from(out);
}

Result<Proposal> read_proposal(const common::Bytes& bytes) {
  pb::MetadataProposal from;
  if (!parsed(bytes, from) || from.base() < 0 || from.term() < 0) return not_ours("proposal");
  Proposal proposal{.from = BrokerId{from.broker()},
                    .base = Offset{from.base()},
                    .batch = {},
                    .term = model::Term{from.term()}};
  if (!from.batch().empty())
    proposal.batch = common::Bytes::copy_of(common::as_bytes(from.batch()));
  return proposal;
}

common::Bytes encode(const ProposalAnswer& answer) {
  pb::MetadataAnswer out;
  out.set_verdict(static_cast<std::int32_t>(answer.verdict));
  out.set_newest(answer.newest.value());
  out.set_error(static_cast<std::int32_t>(answer.error));
  out.set_detail(answer.detail);
  return bytes_from(out);
}

Result<ProposalAnswer> read_answer(common::ByteView bytes) {
  pb::MetadataAnswer from;
  const auto last = static_cast<std::int32_t>(Verdict::kUnknown);
  if (!parsed(bytes, from) || from.verdict() < 0 || from.verdict() > last)
    return not_ours("answer to a proposal");
  // An error that only a newer broker knows is one of the table's for those that do not.
  const auto number = from.error() < INT16_MIN || from.error() > INT16_MAX ? -1 : from.error();
  return ProposalAnswer{.verdict = static_cast<Verdict>(from.verdict()),
                        .newest = Offset{from.newest()},
                        .error = model::error_row(static_cast<ErrorCode>(number)).code,
                        .detail = from.detail()};
}

Result<void> check_batch(common::ByteView bytes) {
  if (bytes.size() > kProposalBytesMax) {
    return Error{ErrorCode::kMessageTooLarge, fmt::format("A change of {} bytes; {} is the most.",
                                                          bytes.size(), kProposalBytesMax)};
  }
  TRY_ASSIGN(const model::BatchView batch, model::BatchView::parse(bytes));
  if (batch.size() != bytes.size() || !batch.crc_matches() || batch.control() ||
      batch.transactional() || batch.producer_id() != model::kNoProducerId) {
    return Error{ErrorCode::kCorruptMessage, "the proposal is not one batch of metadata"};
  }
  TRY_ASSIGN(const auto values, values_of(batch));
  if (proposal_of(batch).is_zero())
    return Error{ErrorCode::kCorruptMessage, "the proposal has no id"};
  for (const common::ByteView value : values) {
    TRY_ASSIGN(const Record record, decode(value));
    if (std::holds_alternative<SnapshotPart>(record))
      return Error{ErrorCode::kCorruptMessage, "a snapshot is written by the leader alone"};
  }
  return common::ok();
}

}  // namespace millrace::metadata
