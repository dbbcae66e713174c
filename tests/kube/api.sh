#!/bin/bash
# An API server and its etcd, real ones, on loopback and for any user: api.sh up|down|kill|start FOLDER
#   up     makes FOLDER and everything in it, waits until it is ready, prints the path of the kubeconfig
#   kill   ends the API server at once (kill -9), start brings it back with everything that was in it
#   down   ends both; FOLDER stays, for its logs
# No controllers run: nothing becomes of a StatefulSet, nothing is collected when its owner goes, a namespace is never gone.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$HERE/certificates.sh"
[ $# -eq 2 ] || { sed -n '2,6s/^# //p' "$0" >&2 && exit 2; }
mkdir -p "$2"
folder=$(cd "$2" && pwd)
PKI=$folder/pki

# end NAME [SIGNAL]: the process that this script started under the name, if it still runs.
end() {
  local pid
  pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 0
  # Not a process that got the number later.
  grep -qzF "$folder" "/proc/$pid/cmdline" 2>/dev/null || return 0
  kill "-${2:-TERM}" "$pid" 2>/dev/null || return 0
  while [ -e "/proc/$pid" ]; do sleep 0.05; done
  rm -f "$folder/$1.pid"
}

# begin NAME COMMAND ...: in a session of its own.
begin() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$folder/$name.log" 2>&1 &
  echo $! >"$folder/$name.pid"
}

free_ports() {
  python3 -c 'import socket
taken = [socket.socket() for _ in range(3)]
for one in taken: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in taken])'
}

start_etcd() {
  begin etcd "$(program etcd)" --name n1 --data-dir "$folder/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "n1=http://127.0.0.1:$peer"
}

start_api() {
  begin kube-apiserver "$(program kube-apiserver)" --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 \
    --advertise-address=127.0.0.1 --secure-port="$api" --service-cluster-ip-range="$SERVICE_CIDR" --authorization-mode=RBAC \
    --disable-admission-plugins=ServiceAccount --endpoint-reconciler-type=none \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$PKI/sa.pub" \
    --service-account-signing-key-file="$PKI/sa.key" --event-ttl=1h
  for _ in $(seq 600); do
    "$(program kubectl)" --kubeconfig "$folder/admin.kubeconfig" get --raw /readyz >/dev/null 2>&1 && return
    [ -e "/proc/$(cat "$folder/kube-apiserver.pid")" ] || break
    sleep 0.2
  done
  tail -n 5 "$folder/kube-apiserver.log" "$folder/etcd.log" >&2
  return 1
}

case $1 in
  up)
    mkdir -p "$PKI"
    chmod 700 "$folder" "$PKI"
    free_ports >"$folder/ports"
    read -r api etcd peer <"$folder/ports"
    ca ca kubernetes-ca
    cert apiserver ca /CN=kube-apiserver serverAuth DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1
    cert admin ca /O=system:masters/CN=admin clientAuth
    service_account_keys
    kubeconfig admin "$api" "$folder/admin.kubeconfig"
    start_etcd
    start_api
    echo "$folder/admin.kubeconfig"
    ;;
  start)
    read -r api etcd peer <"$folder/ports"
    start_api
    ;;
  kill) end kube-apiserver KILL ;;
  down)
    end kube-apiserver KILL
    end etcd KILL
    ;;
  *)
    echo "no such command: $1" >&2
    exit 2
    ;;
esac
