# Shared by the scripts of this folder; sourced, never run. Needs bash.
# shellcheck shell=bash

# The top of the source tree, whatever folder the caller stands in.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Processors to use. JOBS=N in the environment overrides it.
JOBS=${JOBS:-$(nproc)}
# What a stage returns when it could not run at all; its last line of output says why.
readonly EXIT_SKIPPED=77

if [ -t 1 ]; then
  BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' RED='' GREEN='' PLAIN=''
fi
export ROOT JOBS BOLD RED GREEN PLAIN

say() { printf '%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
fail() {
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$*" >&2
  exit 1
}
# skip REASON: ends a stage that cannot run here.
skip() {
  printf 'skipped: %s\n' "$*"
  exit "$EXIT_SKIPPED"
}
have() { command -v "$1" >/dev/null 2>&1; }

# configure PRESET [cmake argument ...]: quiet unless it fails. A tree that is configured keeps its options.
configure() {
  local preset=$1 log
  shift
  log=$(mktemp)
  [ -f "$ROOT/build/$preset/CMakeCache.txt" ] || [ "$preset" = fuzz ] || set -- -DMILLRACE_PRECOMPILE=ON "$@"
  if ! (cd "$ROOT" && cmake --preset "$preset" "$@") >"$log" 2>&1; then
    cat "$log"
    rm -f "$log"
    fail "cmake --preset $preset failed (docs/building.md)"
  fi
  rm -f "$log"
}

# build PRESET TARGET ...: shows progress on a terminal, only problems otherwise.
build() {
  local preset=$1 started=$SECONDS
  shift
  if [ -t 1 ]; then
    ninja -C "$ROOT/build/$preset" -j "$JOBS" "$@" || return 1
  else
    ninja -C "$ROOT/build/$preset" -j "$JOBS" --quiet "$@" || return 1
  fi
  echo "built $preset: $* in $((SECONDS - started)) s"
}

# has_target PRESET TARGET: whether the configured tree knows that target.
has_target() { ninja -C "$ROOT/build/$1" -t query "$2" >/dev/null 2>&1; }
