#!/bin/bash
# kafka-storage.sh as in Apache Kafka: format -t CLUSTER_ID -c server.properties, and random-uuid.
set -u -o pipefail
# shellcheck source=scripts/kafka-bin/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# property FILE NAME ...: the value of the first NAME that the file sets; the last line that sets it counts.
property() {
  local file=$1 name value
  shift
  for name in "$@"; do
    value=$(sed -n "s/^[[:space:]]*${name//./\\.}[[:space:]]*[=:][[:space:]]*//p" "$file" | tail -n 1 | sed 's/[[:space:]]*$//')
    [ -z "$value" ] || { echo "$value" && return; }
  done
}

format() {
  local id='' config='' lenient='' directory
  while [ $# -gt 0 ]; do
    case $1 in
      -g | --ignore-formatted) lenient=1 && shift && continue ;;
      -s | --standalone | --no-initial-controllers) shift && continue ;;
    esac
    [ $# -ge 2 ] || usage "$1 needs a value, or is no option of this script"
    case $1 in
      -t | --cluster-id) id=$2 ;;
      -c | --config) config=$2 ;;
      -r | --release-version | -f | --feature | -I | --initial-controllers) ;;
      *) usage "format: $1 is no option of this script" ;;
    esac
    shift 2
  done
  need "$id" --cluster-id
  need "$config" --config
  [ -r "$config" ] || usage "the file $config cannot be read"
  directory=$(property "$config" data.dir log.dirs log.dir)
  need "${directory%%,*}" "log.dirs in $config"
  directory=${directory%%,*}
  if [ -e "$directory/millrace.json" ] && [ -z "$lenient" ]; then
    warn "the directory $directory is formatted already; --ignore-formatted leaves it as it is if the cluster is the same"
    exit 1
  fi
  local path
  path=$(program millrace) || exit 1
  env -u MILLRACE_BROKER -u MILLRACE_BIN "$path" format --config "$config" --data "$directory" "--cluster.id=$id"
}

case ${1:-} in
  format) shift && format "$@" ;;
  random-uuid) head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' ;;
  *) usage "usage: $PROGRAM format -t CLUSTER_ID -c server.properties | random-uuid" ;;
esac
