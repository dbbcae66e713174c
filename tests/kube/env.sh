# Settings shared by the scripts under tests/kube; sourced, not run.
# shellcheck shell=bash disable=SC2034  # what is set here is used by those who source it
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

K8S_VERSION=${K8S_VERSION:-v1.34.4}         # k8s.io/kubernetes on the Go module proxy
COREDNS_VERSION=${COREDNS_VERSION:-v1.13.2}
HELM_VERSION=${HELM_VERSION:-v3.19.5}
LOCALPATH_VERSION=${LOCALPATH_VERSION:-v0.0.30}
GO_MINOR_MIN=24                             # what they need; an older go fetches GO_TOOLCHAIN from the proxy
GO_TOOLCHAIN=go1.24.11

KUBE_CACHE=${KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube} # programs and the two images of the node
KUBE_STATE=${KUBE_STATE:-/var/lib/kube-node}                   # etcd, containerd, kubelet, logs
KUBE_API_PORT=${KUBE_API_PORT:-6443}                           # on 127.0.0.1 outside the node
KUBE_MAX_PODS=${KUBE_MAX_PODS:-110}
KUBECONFIG_ADMIN=$KUBE_STATE/admin.kubeconfig
BIN=$KUBE_CACHE/bin
DEBS=$KUBE_CACHE/debs                       # Debian packages that are unpacked, not installed: none of them starts a service

# Kubelets, each with a containerd of its own, all in one set of namespaces: node-1, node-2 ... at 10.10.0.1, 10.10.0.2 ...
KUBE_NODES=${KUBE_NODES:-1}
NODE_NETWORK=10.10.0
NODE_IP=$NODE_NETWORK.1 # on a bridge inside the node's own network namespace; the API server and the DNS are there too
POD_CIDR=10.244.0.0/16
SERVICE_CIDR=10.96.0.0/16
API_CLUSTER_IP=10.96.0.1
DNS_CLUSTER_IP=10.96.0.10
CGROUP=kube-node-$(printf %s "$KUBE_STATE" | cksum | cut -d' ' -f1) # parent of all pods' cgroups
PAUSE_IMAGE=localhost/pause:3.10
BUSYBOX_IMAGE=localhost/busybox:1

# node_pid: the PID, seen from outside, of the node's init; fails if it is down.
node_pid() {
  local pid
  pid=$(cat "$KUBE_STATE/node.pid" 2>/dev/null) || return 1
  # A reused PID does not carry our script's name.
  grep -qz 'node-init.sh' "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}

# containerd_socket N, kubelet_folder N, images_folder N: of one of the nodes.
containerd_socket() { echo "/run/containerd-$1/containerd.sock"; }
kubelet_folder() { echo "$KUBE_STATE/kubelet-$1"; }
images_folder() { echo "$KUBE_STATE/containerd-$1"; }

# program NAME: where a program is: built, or unpacked from its Debian package, or the machine's own.
program() {
  local candidate
  for candidate in "$BIN/$1" "$DEBS/usr/bin/$1" "$DEBS/usr/sbin/$1"; do
    [ -x "$candidate" ] && echo "$candidate" && return 0
  done
  command -v "$1"
}
