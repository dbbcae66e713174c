#!/bin/bash
# in-node.sh CMD... : run CMD inside the node's namespaces (network, pid, mount, ipc, uts).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
pid=$(node_pid) || { echo "node is not up" >&2; exit 1; }
export PATH=$BIN:$DEBS/usr/bin:$DEBS/usr/sbin:$PATH KUBECONFIG=$KUBE_STATE/conf/admin.kubeconfig
CONTAINERD_ADDRESS=${CONTAINERD_ADDRESS:-$(containerd_socket 1)}
export CONTAINERD_ADDRESS CONTAINERD_NAMESPACE=k8s.io
exec nsenter -t "$pid" -n -p -m -i -u --wdns="$PWD" -- "$@"
