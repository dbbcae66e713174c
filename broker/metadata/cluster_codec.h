// The bytes and the text of the records that a cluster of several brokers needs. Internal to
// records.cc, which has the other kinds.
#pragma once

#include <optional>
#include <string>

#include "broker/metadata/records.h"
#include "proto/millrace/internal/metadata.pb.h"

namespace millrace::metadata {

std::string bytes_of(const common::Uuid& id);
/// nullopt: not 16 bytes.
std::optional<common::Uuid> uuid_of(const std::string& bytes);
/// As above; no bytes are the zero id.
std::optional<common::Uuid> perhaps_uuid_of(const std::string& bytes);

// put() fills the record's field; read() is nullopt if a field has no possible value.

void put(const BrokerStateSet& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::BrokerStateSet& from);
void put(const BrokerDecommissioned& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::BrokerDecommissioned& from);
void put(const MoveStarted& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::MoveStarted& from);
void put(const MoveCompleted& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::MoveCompleted& from);
void put(const MoveCancelled& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::MoveCancelled& from);
void put(const AssignmentSet& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::AssignmentSet& from);
void put(const PermitGranted& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::PermitGranted& from);
void put(const PermitEnded& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::PermitEnded& from);
void put(const SnapshotPart& record, internal::MetadataRecord& out);
std::optional<Record> read(const internal::SnapshotPart& from);

std::string describe_cluster(const BrokerStateSet& record);
std::string describe_cluster(const BrokerDecommissioned& record);
std::string describe_cluster(const MoveStarted& record);
std::string describe_cluster(const MoveCompleted& record);
std::string describe_cluster(const MoveCancelled& record);
std::string describe_cluster(const AssignmentSet& record);
std::string describe_cluster(const PermitGranted& record);
std::string describe_cluster(const PermitEnded& record);
std::string describe_cluster(const SnapshotPart& record);

}  // namespace millrace::metadata
