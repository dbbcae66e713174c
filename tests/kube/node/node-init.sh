#!/bin/bash
# node-init.sh : PID 1 of the node. up.sh starts it in new net/pid/mount/ipc/uts namespaces;
# when it dies, the kernel ends every process of the node with it. Not for direct use.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
export PATH=$BIN:$DEBS/usr/bin:$DEBS/usr/sbin:$PATH
S=$KUBE_STATE P=$KUBE_STATE/pki C=$KUBE_STATE/conf
# the node has no way out, so no proxies and nothing from the caller's Go/TLS environment
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY SSL_CERT_FILE SSL_CERT_DIR
ulimit -n "$(ulimit -Hn)"

# Mounts: volumes with mountPropagation need a shared tree; /run is fresh for each start.
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/sysctl
# The kubelet insists on some settings that belong to the whole machine. Show it (only in this mount
# namespace) files that hold the values it wants, so that it leaves the machine's as they are.
for kv in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
          kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  f=${kv%=*}; echo "${kv#*=}" > "/run/sysctl/${f//\//.}"
  mount --bind "/run/sysctl/${f//\//.}" "/proc/sys/$f"
done

# Names of Services and pods for what is run in the node's namespaces.
printf 'nameserver %s\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n' "$DNS_CLUSTER_IP" > /run/resolv.conf
mount --bind /run/resolv.conf "$(readlink -f /etc/resolv.conf)"

# Network: loopback, and a bridge without ports that carries the node's address.
hostname node-1
ip link set lo up
ip link add node0 type bridge
for n in $(seq "$KUBE_NODES"); do ip addr add "$NODE_NETWORK.$n/24" dev node0; done
ip link set node0 up
ip route add "$SERVICE_CIDR" dev node0   # never leaves: kube-proxy rewrites it before
echo 1 > /proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables

# run NAME CMD... : start CMD, and start it again a second after it ends
run() {
  local name=$1; shift
  (
    set +e
    while :; do
      "$@" >> "$S/log/$name.log" 2>&1 &
      echo $! > "$S/run/$name.pid"
      wait $!
      [ ! -e "$S/run/stopping" ] || exit 0
      echo "=== $name ended, starting again" >> "$S/log/$name.log"
      sleep 1
    done
  ) &
}
# until_ok SECONDS CMD...
until_ok() {
  local n=$(($1 * 5)); shift
  until "$@" >/dev/null 2>&1; do
    n=$((n - 1)); [ $n -gt 0 ] || { echo "gave up waiting for: $*" >&2; return 1; }
    sleep 0.2
  done
}
k() { kubectl --kubeconfig "$C/admin.kubeconfig" "$@"; }

for n in $(seq "$KUBE_NODES"); do run "containerd-$n" containerd --config "$C/containerd-$n.toml"; done
run etcd etcd --name n1 --data-dir "$S/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster n1=http://127.0.0.1:2380
until_ok 30 bash -c 'exec 3<>/dev/tcp/127.0.0.1/2379'
run kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
  --advertise-address="$NODE_IP" --secure-port=6443 --service-cluster-ip-range="$SERVICE_CIDR" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --client-ca-file="$P/ca.crt" --tls-cert-file="$P/apiserver.crt" --tls-private-key-file="$P/apiserver.key" \
  --kubelet-certificate-authority="$P/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --kubelet-client-certificate="$P/apiserver-kubelet.crt" --kubelet-client-key="$P/apiserver-kubelet.key" \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$P/sa.pub" --service-account-signing-key-file="$P/sa.key" \
  --requestheader-client-ca-file="$P/front-ca.crt" --requestheader-allowed-names=front-proxy \
  --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
  --requestheader-username-headers=X-Remote-User \
  --proxy-client-cert-file="$P/front-proxy.crt" --proxy-client-key-file="$P/front-proxy.key"
run forward socat "UNIX-LISTEN:$S/api.sock,fork,unlink-early,mode=600" TCP:127.0.0.1:6443

export CONTAINERD_NAMESPACE=k8s.io
for n in $(seq "$KUBE_NODES"); do
  CONTAINERD_ADDRESS=$(containerd_socket "$n")
  export CONTAINERD_ADDRESS
  until_ok 60 ctr version
  for i in pause busybox; do ctr images import "$KUBE_CACHE/$i.tar"; done >> "$S/log/images.log" 2>&1
done

until_ok 120 k get --raw /readyz
run kube-controller-manager kube-controller-manager --kubeconfig="$C/kube-controller-manager.kubeconfig" \
  --leader-elect=false --use-service-account-credentials=true \
  --service-account-private-key-file="$P/sa.key" --root-ca-file="$P/ca.crt" \
  --cluster-signing-cert-file="$P/ca.crt" --cluster-signing-key-file="$P/ca.key"
run kube-scheduler kube-scheduler --kubeconfig="$C/kube-scheduler.kubeconfig" --leader-elect=false
for n in $(seq "$KUBE_NODES"); do
  folder=$(kubelet_folder "$n")
  run "kubelet-$n" kubelet --config="$C/kubelet-$n.yaml" --kubeconfig="$C/kubelet-$n.kubeconfig" \
    --root-dir="$folder" --cert-dir="$folder/pki" --hostname-override="node-$n" --node-ip="$NODE_NETWORK.$n" \
    --node-labels="topology.kubernetes.io/zone=zone-$n"
done
run kube-proxy kube-proxy --config="$C/kube-proxy.yaml"
until_ok 60 k apply --server-side -f "$C/addons.yaml"
run coredns coredns -conf "$C/Corefile" -dns.port 53
export POD_NAMESPACE=local-path-storage
run local-path local-path-provisioner start --kubeconfig "$C/local-path.kubeconfig" --config "$C/local-path.json" \
  --helper-image "$BUSYBOX_IMAGE" --helper-pod-file "$C/helper-pod.yaml" --configmap-name local-path-config \
  --service-account-name default
touch "$S/run/started"

# stay as PID 1 and reap
while :; do sleep 3600 & wait $! || true; done
