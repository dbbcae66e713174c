#!/bin/bash
# Real clients and tools against a real broker: run.sh BUILD_DIR [case ...]
# A case is what pytest takes after -k, or a file of cases/. Set MILLRACE_BOOTSTRAP=HOST:PORT (and MILLRACE_GRPC=HOST:PORT)
# to test a broker that runs already; otherwise each test starts BUILD_DIR/bin/millrace as it needs. MILLRACE_BROKERS=3 runs
# what a cluster of three has to pass; without a case both is run.
# The last line is "N passed, N failed, N skipped"; README.md says more.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
[ $# -ge 1 ] || { sed -n '2,6s/^# //p' "$0"; exit 2; }
mkdir -p "$1"
MILLRACE_BUILD=$(cd "$1" && pwd)
export MILLRACE_BUILD
export MILLRACE_TOOLS=${MILLRACE_TOOLS:-$MILLRACE_BUILD/compat-tools}
shift
"$HERE/setup.sh" "$MILLRACE_TOOLS" || {
  echo "skipped: the compatibility tests: $(cat "$MILLRACE_TOOLS/main.missing")"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}
arguments=() names=()
for case in "$@"; do
  if [ -e "$HERE/cases/$case" ]; then arguments+=("$HERE/cases/$case"); else names+=("$case"); fi
done
[ ${#arguments[@]} -gt 0 ] || arguments=("$HERE/cases")
if [ ${#names[@]} -gt 0 ]; then
  expression=$(printf ' or %s' "${names[@]}")
  arguments+=(-k "${expression# or }")
fi
cases() {
  (cd "$HERE" && PYTHONDONTWRITEBYTECODE=1 "$MILLRACE_TOOLS/main/bin/python" -m pytest -p no:cacheprovider \
    -p harness.counting --rootdir="$HERE" --durations=5 -q "${arguments[@]}")
}
if [ -n "${MILLRACE_BROKERS:-}${MILLRACE_BOOTSTRAP:-}" ] || [ $# -gt 0 ]; then
  cases
  exit
fi
# All of it: one broker, then what a cluster has to pass. The counts are of both together.
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
status=0
for brokers in 1 3; do
  echo "== brokers: $brokers"
  MILLRACE_BROKERS=$brokers cases | tee -a "$counts"
  [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
done
awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5 }
  END { print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped" }' "$counts"
exit "$status"
