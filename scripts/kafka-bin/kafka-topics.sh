#!/bin/bash
# kafka-topics.sh as in Apache Kafka, carried out by millctl: --create, --list, --describe, --alter, --delete.
set -u -o pipefail
# shellcheck source=scripts/kafka-bin/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

action='' bootstrap='' topic='' partitions='' replication='' lenient=''
configs=() unset_configs=()

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --create | --list | --describe | --alter | --delete)
        [ -z "$action" ] || usage "only one of --create, --list, --describe, --alter and --delete"
        action=${1#--}
        shift
        continue
        ;;
      --if-not-exists | --if-exists) lenient=$1 && shift && continue ;;
      --exclude-internal) shift && continue ;;
      --help) sed -n '2s/^# //p' "$0" && exit 0 ;;
    esac
    [ $# -ge 2 ] || usage "$1 needs a value, or is no option of this script"
    case $1 in
      --bootstrap-server) bootstrap=$2 ;;
      --zookeeper) bootstrap=$(from_zookeeper "$2") ;;
      --topic) topic=$2 ;;
      --partitions) partitions=$2 ;;
      --replication-factor) replication=$2 ;;
      --config) configs+=("$2") ;;
      --delete-config) unset_configs+=("$2") ;;
      --command-config) warn "--command-config $2 is not used: this script speaks gRPC" ;;
      *) usage "$1 is no option of this script; Kafka's own tool works with this broker as well" ;;
    esac
    shift 2
  done
  [ -n "$action" ] || usage "one of --create, --list, --describe, --alter and --delete is required"
  need "$bootstrap" --bootstrap-server
}

create() {
  need "$topic" --topic
  local options=()
  [ -z "$partitions" ] || options+=(--partitions "$partitions")
  [ -z "$replication" ] || options+=(--replication-factor "$replication")
  [ -z "$lenient" ] || options+=(--if-not-exists)
  local config
  for config in "${configs[@]}"; do options+=(--config "$config"); done
  "${millctl[@]}" topic create "$topic" "${options[@]}" >/dev/null && echo "Created topic $topic."
}

names() { "${millctl[@]}" topic list | awk 'NR > 1 { print $1 }'; }

# describe NAME: the lines that Kafka prints.
describe() {
  "${millctl[@]}" topic describe "$1" | awk -v OFS='\t' '
    $1 == "topic" && !name { name = $2; id = $4; count = $6; copies = $8; next }
    /^  [^ ]+ = / && !table { key = $1; sub(/^  [^ ]+ = /, ""); configs = configs (configs ? "," : "") key "=" $0; next }
    $1 == "PARTITION" {
      print "Topic: " name, "TopicId: " id, "PartitionCount: " count, "ReplicationFactor: " copies, "Configs: " configs
      table = 1
      next
    }
    table { print "", "Topic: " name, "Partition: " $1, "Leader: " $2, "Replicas: " $4, "Isr: " $5 }'
}

describe_all() {
  local name listed
  if [ -n "$topic" ]; then
    describe "$topic"
    return
  fi
  listed=$(names) || return
  for name in $listed; do describe "$name" || return; done
}

alter() {
  need "$topic" --topic
  local options=() config
  for config in "${configs[@]}"; do options+=(--set "$config"); done
  for config in "${unset_configs[@]}"; do options+=(--unset "$config"); done
  if [ -n "$partitions" ]; then
    "${millctl[@]}" topic add-partitions "$topic" --total "$partitions" >/dev/null || return
  elif [ ${#options[@]} -eq 0 ]; then
    usage "nothing to alter: give --partitions or --config"
  fi
  [ ${#options[@]} -eq 0 ] || "${millctl[@]}" topic alter "$topic" "${options[@]}" >/dev/null
}

delete() {
  need "$topic" --topic
  "${millctl[@]}" topic delete "$topic" ${lenient:+--if-exists} >/dev/null
}

parse "$@"
path=$(program millctl) || exit 1
address=$(grpc_address "$bootstrap") || exit
millctl=("$path" --broker "$address")
case $action in
  list) names ;;
  describe) describe_all ;;
  *) "$action" ;;
esac
