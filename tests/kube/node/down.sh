#!/bin/bash
# down.sh [--all] : stop the node that up.sh started and remove the cluster's state. Loaded images
# are kept for the next up.sh; --all removes these too.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
S=$KUBE_STATE
if pid=$(node_pid); then
  # first the kubelet, then its containers, so that containerd's image store is left clean
  # shellcheck disable=SC2016  # the shell in the node expands these
  "$HERE/node/in-node.sh" bash -c '
    touch "$1/run/stopping"
    for pid in "$1"/run/{kubelet-*,local-path,kube-controller-manager}.pid; do kill -9 "$(cat "$pid")"; done 2>/dev/null
    for CONTAINERD_ADDRESS in /run/containerd-*/containerd.sock; do
      export CONTAINERD_ADDRESS
      for t in $(ctr tasks ls -q); do ctr tasks kill -a -s KILL "$t"; done
      for i in 1 2 3 4 5; do
        for c in $(ctr containers ls -q); do ctr tasks rm -f "$c"; ctr containers rm "$c"; done
        [ -n "$(ctr containers ls -q)" ] || break; sleep 0.3
      done
    done' _ "$S" >/dev/null 2>&1 || true
  kill -9 "$pid"      # PID 1 of the node: the kernel ends all the others
  while [ -e "/proc/$pid" ]; do sleep 0.1; done
fi
if f=$(cat "$S/forward.pid" 2>/dev/null) && grep -qzF "UNIX-CONNECT:$S/api.sock" "/proc/$f/cmdline" 2>/dev/null; then
  kill "$f"
fi
for h in /sys/fs/cgroup/*/"$CGROUP"; do
  [ -d "$h" ] || continue
  for _ in $(seq 20); do find "$h" -depth -type d -exec rmdir {} + 2>/dev/null && break; sleep 0.1; done
done
for d in "$S"/*; do
  case $d in */containerd-*) [ "${1:-}" = --all ] || continue ;; esac
  rm -rf --one-file-system "$d"
done
echo down
