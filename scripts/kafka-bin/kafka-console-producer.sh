#!/bin/bash
# kafka-console-producer.sh as in Apache Kafka, carried out by millctl: each line of standard input becomes a record.
set -u -o pipefail
# shellcheck source=scripts/kafka-bin/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bootstrap='' topic='' separator='' parse_key='' options=(--quiet)

# property NAME=VALUE
property() {
  case $1 in
    parse.key=true) parse_key=1 ;;
    parse.key=false) parse_key='' ;;
    key.separator=*) separator=${1#key.separator=} ;;
    acks=* | compression.type=*) setting "$1" ;;
    *) warn "the property $1 is not used" ;;
  esac
}

setting() {
  case $1 in
    acks=0 | acks=1) options+=(--acks leader) ;;
    acks=*) options+=(--acks all) ;;
    compression.type=*) options+=(--compression "${1#compression.type=}") ;;
  esac
}

while [ $# -gt 0 ]; do
  case $1 in
    --compression-codec)
      if [[ ${2:-} =~ ^(none|gzip|snappy|lz4|zstd)$ ]]; then
        options+=(--compression "$2")
        shift
      else
        options+=(--compression gzip)
      fi
      shift
      continue
      ;;
    --sync) shift && continue ;;
    --help) sed -n '2s/^# //p' "$0" && exit 0 ;;
  esac
  [ $# -ge 2 ] || usage "$1 needs a value, or is no option of this script"
  case $1 in
    --bootstrap-server | --broker-list) bootstrap=$2 ;;
    --topic) topic=$2 ;;
    --property | --reader-property | --producer-property | --command-property) property "$2" ;;
    --request-required-acks) setting "acks=$2" ;;
    --batch-size | --timeout | --message-send-max-retries | --retry-backoff-ms | --request-timeout-ms | --max-block-ms) ;;
    *) usage "$1 is no option of this script; Kafka's own tool works with this broker as well" ;;
  esac
  shift 2
done
need "$bootstrap" --bootstrap-server
need "$topic" --topic
[ -z "$parse_key" ] || options+=(--key-separator "${separator:-$'\t'}")
path=$(program millctl) || exit 1
address=$(grpc_address "$bootstrap") || exit
exec "$path" --broker "$address" produce "$topic" "${options[@]}"
