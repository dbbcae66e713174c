#!/bin/bash
# Everything that a real API server is enough for: our definitions of resources, and the CTest tests with the label kube.
# The last line is "N passed, N failed, N skipped".
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$HERE/../../scripts/lib/common.sh"
. "$HERE/../../scripts/lib/run_ctest.sh"
. "$HERE/env.sh"
readonly COUNTS='s/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p'

MILLRACE_KUBE_FOLDER=$(mktemp -d)
MILLRACE_KUBE_API=$HERE/api.sh
export MILLRACE_KUBE_FOLDER MILLRACE_KUBE_API
trap '"$MILLRACE_KUBE_API" down "$MILLRACE_KUBE_FOLDER"; rm -rf "$MILLRACE_KUBE_FOLDER"' EXIT
KUBECONFIG=$("$MILLRACE_KUBE_API" up "$MILLRACE_KUBE_FOLDER") || fail "the API server does not come up"
export KUBECONFIG
KUBECTL=$(program kubectl) || fail "kubectl is not there"
HELM=$(program helm) || fail "Helm is not there"
export KUBECTL HELM

passed=0 failed=0 skipped=0
# add COMMAND ...: runs it and adds what its last line counts.
add() {
  local counts
  counts=$("$@" | tee /dev/stderr | sed -n "$COUNTS" | tail -n 1)
  [ -n "$counts" ] || { echo "it ended before it had counted: $*" && failed=$((failed + 1)) && return; }
  read -r p f s <<<"$counts"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# Programs share one API server, so they run one after the other.
add env PYTHONDONTWRITEBYTECODE=1 python3 "$HERE/schema_test.py"
configure release
if has_target release tests_kube; then
  build release tests_kube || fail "the tests do not build"
  JOBS=1 add run_ctest release kube
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
