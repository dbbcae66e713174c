# Shared by the scripts of this folder, which take the command lines of Apache Kafka's scripts; sourced, never run.
# shellcheck shell=bash

BIN_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROGRAM=$(basename "$0")

warn() { echo "$PROGRAM: $*" >&2; }
# A command line that cannot be carried out: 2, as millctl.
usage() {
  warn "$*"
  exit 2
}

# program NAME: the path of a Millrace program: MILLRACE_BIN, beside this folder, in the build of this tree, or in PATH.
program() {
  local place
  for place in "${MILLRACE_BIN:-}" "$BIN_HERE" "$BIN_HERE/.." "$BIN_HERE/../../build/release/bin"; do
    if [ -n "$place" ] && [ -f "$place/$1" ] && [ -x "$place/$1" ]; then
      echo "$place/$1"
      return
    fi
  done
  command -v "$1" || { warn "the program $1 was not found; set MILLRACE_BIN to its folder"; return 1; }
}

# grpc_address BOOTSTRAP: where millctl finds the broker that Kafka clients find at BOOTSTRAP. MILLRACE_BROKER says it
# outright; else the gRPC port lies two above Kafka's, as with the default ports 9092 and 9094.
grpc_address() {
  local first=${1%%,*}
  if [ -n "${MILLRACE_BROKER:-}" ]; then
    echo "$MILLRACE_BROKER"
    return
  fi
  [[ $first == *:* ]] || first=$first:9092
  [[ ${first##*:} =~ ^[0-9]+$ ]] || usage "$1 is not HOST:PORT"
  echo "${first%:*}:$((${first##*:} + 2))"
}

# from_zookeeper HOST[:PORT]: the bootstrap address to use instead, with a warning.
from_zookeeper() {
  local host=${1%%[,/]*}
  host=${host%%:*}
  warn "there is no ZooKeeper here and --zookeeper is gone from Kafka too; using --bootstrap-server $host:9092 instead"
  echo "$host:9092"
}

# need VALUE OPTION: VALUE must be there.
need() { [ -n "$1" ] || usage "the option $2 is required"; }
