#!/bin/bash
# kafka-server-start.sh as in Apache Kafka: [-daemon] server.properties [--override NAME=VALUE ...]
# Settings that this broker knows are used, the others are named in a warning. There is no Java.
set -u -o pipefail
# shellcheck source=scripts/kafka-bin/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

daemon=''
[ "${1:-}" != -daemon ] || { daemon=1 && shift; }
[ $# -ge 1 ] || usage "usage: $PROGRAM [-daemon] server.properties [--override NAME=VALUE ...]"
config=$1
shift
[ -r "$config" ] || usage "the file $config cannot be read"
overrides=()
while [ $# -gt 0 ]; do
  case $1 in
    --override)
      [[ ${2:-} == *=* ]] || usage "--override takes NAME=VALUE"
      overrides+=("--$2")
      shift 2
      ;;
    *) usage "$1 is no option of this script" ;;
  esac
done
path=$(program millrace) || exit 1
command=(env -u MILLRACE_BROKER -u MILLRACE_BIN "$path" --config "$config" "${overrides[@]}")
[ -n "$daemon" ] || exec "${command[@]}"
setsid "${command[@]}" </dev/null >"${LOG_DIR:-.}/millrace.out" 2>&1 &
