#!/bin/bash
# up.sh: starts the node with a fresh cluster, waits until it is Ready, prints the kubeconfig's path.
# Everything runs in one set of new namespaces (net, pid, mount, ipc, uts): nothing in it can reach
# any network outside. The only opening is a loopback port that leads to the API server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
# shellcheck source-path=SCRIPTDIR/..
. "$HERE/certificates.sh"
if node_pid >/dev/null; then echo "already up" >&2; echo "$KUBECONFIG_ADMIN"; exit 0; fi
"$HERE/setup.sh" --ready node >&2 || { echo "run tests/kube/setup.sh node first" >&2; exit 1; }
for program in conntrack ip iptables jq nft openssl socat; do
  command -v $program >/dev/null || { echo "$program is not installed; scripts/test node installs what the node needs" >&2; exit 1; }
done
"$HERE/node/down.sh" >/dev/null      # leftovers of a node that died
S=$KUBE_STATE P=$KUBE_STATE/pki C=$KUBE_STATE/conf
# shellcheck disable=SC2034  # for certificates.sh
PKI=$P
mkdir -p "$S"/{log,run,pki,conf/cni,etcd,local-path}; chmod 700 "$S/etcd" "$P" "$C"
echo "$KUBE_NODES" > "$S/nodes"

# --- certificates
ca ca kubernetes-ca
ca front-ca front-proxy-ca
svc=kubernetes.default.svc
cert apiserver ca /CN=kube-apiserver serverAuth \
  "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:$svc,DNS:$svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$API_CLUSTER_IP"
cert apiserver-kubelet ca /CN=kube-apiserver-kubelet-client clientAuth
cert front-proxy front-ca /CN=front-proxy clientAuth
cert admin ca /O=system:masters/CN=admin clientAuth
for n in $(seq "$KUBE_NODES"); do
  cert "kubelet-server-$n" ca "/CN=node-$n" serverAuth "DNS:node-$n,IP:$NODE_NETWORK.$n"
  cert "kubelet-$n" ca "/O=system:nodes/CN=system:node:node-$n" clientAuth
  kubeconfig "kubelet-$n" 6443 "$C/kubelet-$n.kubeconfig"
done
cert kube-controller-manager ca /CN=system:kube-controller-manager clientAuth
cert kube-scheduler ca /CN=system:kube-scheduler clientAuth
cert kube-proxy ca /CN=system:kube-proxy clientAuth
cert coredns ca /CN=system:coredns clientAuth
cert local-path ca /CN=system:local-path clientAuth
service_account_keys
for u in admin kube-controller-manager kube-scheduler kube-proxy coredns local-path; do
  kubeconfig $u 6443 "$C/$u.kubeconfig"
done
kubeconfig admin "$KUBE_API_PORT" "$KUBECONFIG_ADMIN"

# --- configuration of the components
for n in $(seq "$KUBE_NODES"); do
mkdir -p "$(kubelet_folder "$n")" "$(images_folder "$n")"
cat > "$C/containerd-$n.toml" <<Y
version = 2
root = "$(images_folder "$n")"
state = "$(dirname "$(containerd_socket "$n")")"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$(containerd_socket "$n")"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true    # lowering it takes CAP_SYS_RESOURCE
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$DEBS/usr/lib/cni"
    conf_dir = "$C/cni"
Y
done
cat > "$C/cni/10-bridge.conflist" <<Y
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
echo "nameserver $DNS_CLUSTER_IP" > "$C/resolv.conf"
for n in $(seq "$KUBE_NODES"); do
cat > "$C/kubelet-$n.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
featureGates: {KubeletInUserNamespace: true}   # carry on where CAP_SYS_RESOURCE is missing
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/node-$n
address: $NODE_NETWORK.$n
podLogsDir: $S/log/pods-$n                     # a kubelet removes what it does not know
healthzPort: 0
containerRuntimeEndpoint: unix://$(containerd_socket "$n")
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $P/kubelet-server-$n.crt
tlsPrivateKeyFile: $P/kubelet-server-$n.key
clusterDomain: cluster.local
clusterDNS: ["$DNS_CLUSTER_IP"]
resolvConf: $C/resolv.conf
maxPods: $KUBE_MAX_PODS
imageGCHighThresholdPercent: 100               # images cannot be pulled again: never collect them
evictionHard: {memory.available: 200Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
Y
done
cat > "$C/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $POD_CIDR
hostnameOverride: node-1
nodePortAddresses: ["$NODE_NETWORK.0/24"]
clientConnection: {kubeconfig: $C/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0}             # the limit is the machine's, leave it
Y
cat > "$C/Corefile" <<Y
.:53 {
  bind $NODE_IP
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $C/coredns.kubeconfig
    pods insecure
    ttl 5
  }
  cache 5
}
Y
echo "{\"nodePathMap\": [{\"node\": \"DEFAULT_PATH_FOR_NON_LISTED_NODES\", \"paths\": [\"$S/local-path\"]}]}" > "$C/local-path.json"
cat > "$C/helper-pod.yaml" <<Y
apiVersion: v1
kind: Pod
metadata: {name: helper-pod}
spec:
  containers: [{name: helper-pod, image: "$BUSYBOX_IMAGE", imagePullPolicy: Never}]
Y
sed -e "s|@NODE_IP@|$NODE_IP|; s|@DNS_IP@|$DNS_CLUSTER_IP|; s|@LOCAL_PATH@|$S/local-path|" "$HERE/node/addons.yaml" > "$C/addons.yaml"

# --- a cgroup of its own, in each v1 hierarchy, for the pods
for h in /sys/fs/cgroup/*/; do
  case $h in */unified/) continue ;; esac
  for n in $(seq "$KUBE_NODES"); do mkdir -p "$h$CGROUP/node-$n"; done
done
for folder in "$CGROUP" $(seq -f "$CGROUP/node-%g" "$KUBE_NODES"); do
  for f in cpuset.cpus cpuset.mems; do
    [ ! -e "/sys/fs/cgroup/cpuset/$f" ] || cat "/sys/fs/cgroup/cpuset/$f" > "/sys/fs/cgroup/cpuset/$folder/$f"
  done
done

# --- start
setsid unshare --net --mount --pid --ipc --uts --fork --kill-child --mount-proc \
  bash "$HERE/node/node-init.sh" </dev/null >> "$S/log/node.log" 2>&1 &
u=$!
for _ in $(seq 50); do
  p=$(tr -d ' ' < "/proc/$u/task/$u/children" 2>/dev/null || true)
  [ -n "$p" ] && echo "$p" > "$S/node.pid" && node_pid >/dev/null && break
  sleep 0.1
done
setsid socat "TCP-LISTEN:$KUBE_API_PORT,bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$S/api.sock" \
  </dev/null >> "$S/log/forward-outside.log" 2>&1 &
echo $! > "$S/forward.pid"

k() { "$BIN/kubectl" --kubeconfig "$KUBECONFIG_ADMIN" "$@"; }
end=$((SECONDS + ${KUBE_UP_TIMEOUT:-180}))
until [ -e "$S/run/started" ] && [ "$(k get nodes --no-headers 2>/dev/null | grep -c ' Ready')" = "$KUBE_NODES" ] &&
      k -n default get serviceaccount default >/dev/null 2>&1; do
  node_pid >/dev/null || { echo "the node died, see $S/log" >&2; exit 1; }
  [ $SECONDS -lt $end ] || { echo "the node did not become Ready, see $S/log" >&2; exit 1; }
  sleep 0.3
done
echo "$KUBE_NODES nodes Ready after $SECONDS s" >&2
echo "$KUBECONFIG_ADMIN"
