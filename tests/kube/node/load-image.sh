#!/bin/bash
# load-image.sh IMAGE_TAR... : import OCI or docker archives into containerd's k8s.io namespace.
# Pods must use the exact name in the archive, with imagePullPolicy IfNotPresent or Never.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[ $# -ge 1 ] || { echo "usage: load-image.sh IMAGE_TAR..." >&2; exit 2; }
for tar in "$@"; do
  for n in $(seq "$(cat "$KUBE_STATE/nodes")"); do
    CONTAINERD_ADDRESS=$(containerd_socket "$n") "$HERE/node/in-node.sh" ctr images import --snapshotter overlayfs - <"$tar"
  done
done
