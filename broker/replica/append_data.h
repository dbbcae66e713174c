// if (const auto wrong = fault_of(append, data, from)) return refuse(*wrong);
// for (Bytes& piece : pieces_of(data, {write.from, write.to}, term)) log.append(piece, ...);
//
// The batches that come with an Append. A leader's bytes are checked before they are written, as a
// client's are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/model/batch.h"
#include "broker/raft/messages.h"
#include "common/bytes.h"

namespace millrace::replica {

using common::Bytes;
using model::Offset;

/// Where the data of an Append is to be written.
struct Place {
  /// Batches from here on are to be written; what lies in front is there already.
  Offset from;
  /// The log begins here; perhaps inside a batch of which the front was trimmed away. Where that is
  /// prev, the first batch may begin in front of it.
  Offset log_start;
};

/// What is wrong with the batches of an Append that are to be written there; nullopt: nothing. They
/// must be whole v2 batches with right checksums, of the term that the message announces, as many
/// bytes as it says, one after the other within (prev, to], with a batch boundary at `from` (see
/// Place). Between them offsets may be missing where compaction took a batch away:
/// only in front of the leader's commit offset. Requires prev.offset <= from <= to. Cost: one pass
/// over what is to be written.
std::optional<std::string> fault_of(const raft::Append& append, const std::vector<Bytes>& data,
                                    Place place);

/// Bytes of the largest batch, as far as the data is one; 0: there is none.
std::size_t largest_batch(const std::vector<Bytes>& data);

struct OffsetRange {
  Offset from;
  Offset to;
};
/// The batches of `range`, without a hole: where offsets are missing stand batches without records,
/// as compaction leaves them too. All are of `term`, also those of versions before groups, which
/// counted from term 0: a log's batches say what its term starts say. They share memory with
/// `data`, but for those. The first batch may begin in front of `from` (see Place). Requires data
/// in which fault_of() found nothing, for this `from`.
std::vector<Bytes> pieces_of(const std::vector<Bytes>& data, OffsetRange range, model::Term term);

}  // namespace millrace::replica
