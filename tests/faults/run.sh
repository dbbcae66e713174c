#!/bin/bash
# Faults against real broker processes: run.sh BUILD_DIR [--full] [case ...]
# kill -9 under load, full disks, thousands of idle connections, wrong starts. --full: as many kills and as much data as
# the promises name, about half an hour; without it a few minutes. The last line is "N passed, N failed, N skipped".
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE COMPAT=$HERE/../compat
[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
MILLRACE_BUILD=$(cd "$1" && pwd)
export MILLRACE_BUILD
export MILLRACE_TOOLS=${MILLRACE_TOOLS:-$MILLRACE_BUILD/compat-tools}
shift
"$COMPAT/setup.sh" "$MILLRACE_TOOLS" main || {
  echo "skipped: the fault tests: $(cat "$MILLRACE_TOOLS/main.missing")"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}
arguments=("$HERE/cases") names=()
for argument in "$@"; do
  case $argument in
    --full) export FAULTS_FULL=1 ;;
    *) names+=("$argument") ;;
  esac
done
if [ ${#names[@]} -gt 0 ]; then
  expression=$(printf ' or %s' "${names[@]}")
  arguments+=(-k "${expression# or }")
fi
cd "$HERE" && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$COMPAT" exec "$MILLRACE_TOOLS/main/bin/python" -m pytest \
  -p no:cacheprovider -p harness.counting --import-mode=importlib --rootdir="$HERE" --durations=5 -q "${arguments[@]}"
