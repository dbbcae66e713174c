#!/bin/bash
# Three real nodes from nothing, everything on them, and away again: run_node.sh [step ...] (tests/kube/e2e.py has the steps). As root.
# KEEP=1 leaves the nodes up. The last line is "N passed, N failed, N skipped".
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$HERE/../../scripts/lib/common.sh"
export KUBE_NODES=${KUBE_NODES:-3}
. "$HERE/env.sh"
BUILD=${BUILD:-$ROOT/build/release}
TOOLS=${TOOLS:-$BUILD/compat-tools}
configure release
build release millrace millctl millrace-operator || fail "broker and operator do not build"
"$ROOT/tests/compat/setup.sh" "$TOOLS" main || skip "the Python clients cannot be had: $(cat "$TOOLS/main.missing")"
KUBECTL=$(program kubectl) HELM=$(program helm) PROMETHEUS=$(program prometheus)
[ -n "${KEEP:-}" ] || trap '"$HERE/node/down.sh"' EXIT
KUBECONFIG=$("$HERE/node/up.sh") || {
  rm -rf "$ROOT/build/test/node-logs" && mkdir -p "$ROOT/build/test" && cp -r "$KUBE_STATE/log" "$ROOT/build/test/node-logs"
  fail "the nodes do not come up; what they logged is in build/test/node-logs"
}
export BUILD TOOLS KUBECTL HELM PROMETHEUS KUBECONFIG KUBE_STATE
PYTHONDONTWRITEBYTECODE=1 python3 "$HERE/e2e.py" "$@"
