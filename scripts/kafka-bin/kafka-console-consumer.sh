#!/bin/bash
# kafka-console-consumer.sh as in Apache Kafka, carried out by millctl: prints the values of records, one a line.
set -u -o pipefail
# shellcheck source=scripts/kafka-bin/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bootstrap='' topic='' group='' partition='' from=latest quiet_ms='' options=()

offset() {
  case $1 in
    earliest | latest) from=$1 ;;
    *[!0-9]* | '') usage "--offset takes earliest, latest or a number that is not negative, not $1" ;;
    *) from=$1 ;;
  esac
}

while [ $# -gt 0 ]; do
  case $1 in
    --from-beginning) from=earliest && shift && continue ;;
    --skip-message-on-error) shift && continue ;;
    --help) sed -n '2s/^# //p' "$0" && exit 0 ;;
  esac
  [ $# -ge 2 ] || usage "$1 needs a value, or is no option of this script"
  case $1 in
    --bootstrap-server) bootstrap=$2 ;;
    --zookeeper) bootstrap=$(from_zookeeper "$2") ;;
    --topic) topic=$2 ;;
    --partition) partition=$2 && options+=(--partition "$2") ;;
    --offset) offset "$2" ;;
    --max-messages) options+=(--max "$2") ;;
    --timeout-ms) quiet_ms=$2 ;;
    --group) group=$2 && options+=(--group "$2") ;;
    --property | --formatter-property) [[ $2 =~ ^print\.value=true$ ]] || warn "the property $2 is not used; see millctl consume --verbose" ;;
    --consumer-property | --command-property | --isolation-level) warn "$1 $2 is not used: this script speaks gRPC" ;;
    *) usage "$1 is no option of this script; Kafka's own tool works with this broker as well" ;;
  esac
  shift 2
done
need "$bootstrap" --bootstrap-server
need "$topic" --topic
if [ -n "$group" ]; then
  [ -z "$partition" ] || usage "--group and --partition do not go together: the members of a group share its partitions"
  [[ $from == [el]* ]] || usage "--group and --offset $from do not go together: the group keeps its place"
fi
[[ $quiet_ms =~ ^[0-9]*$ ]] || usage "--timeout-ms takes milliseconds, not $quiet_ms"
path=$(program millctl) || exit 1
address=$(grpc_address "$bootstrap") || exit
command=("$path" --broker "$address" consume "$topic" --from "$from" "${options[@]}")
[ -n "$quiet_ms" ] || exec "${command[@]}"

# With --timeout-ms: ends, as Kafka's does, when no record came for so long.
exec {records}< <(exec "${command[@]}")
reader=$!
seconds=$(printf '%d.%03d' $((quiet_ms / 1000)) $((quiet_ms % 1000)))
while IFS= read -r -t "$seconds" -u "$records" line; do printf '%s\n' "$line"; done
# Above 128 the time was over; else the stream ended, by --max-messages or an error, and its exit code is ours.
if kill "$reader" 2>/dev/null; then
  wait "$reader" 2>/dev/null
  exit 0
fi
wait "$reader"
