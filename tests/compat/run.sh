#!/bin/bash
# Real clients and tools against a real broker: run.sh BUILD_DIR [case ...]
# A case is what pytest takes after -k, or a file of cases/. Set MILLRACE_BOOTSTRAP=HOST:PORT (and MILLRACE_GRPC=HOST:PORT)
# to test a broker that runs already; otherwise each test starts BUILD_DIR/bin/millrace as it needs.
# The last line is "N passed, N failed, N skipped"; README.md says more.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
[ $# -ge 1 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
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
cd "$HERE" && PYTHONDONTWRITEBYTECODE=1 exec "$MILLRACE_TOOLS/main/bin/python" -m pytest -p no:cacheprovider \
  -p harness.counting --rootdir="$HERE" --durations=5 -q "${arguments[@]}"
