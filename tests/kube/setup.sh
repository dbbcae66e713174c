#!/bin/bash
# Gets the programs of a Kubernetes into $KUBE_CACHE (~/.cache/kube): setup.sh [--ready] chart|api|node
#   chart  Helm, Prometheus' promtool                     about 1 minute the first time
#   api    also etcd, kube-apiserver and kubectl          about 6 minutes
#   node   also all that a node with pods needs           about 11 minutes
# (two idle cores, nothing cached). What is there at the right version is kept. --ready only says, by its exit code and one
# line, whether everything is there. Go programs are built from the module proxy that go is set up with; Debian packages that
# would start a service are only unpacked.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

ready_only=
[ "${1:-}" != --ready ] || { ready_only=yes && shift; }
purpose=${1:-node}
case $purpose in
  chart | api | node) ;;
  *)
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
    ;;
esac

readonly CHART_PROGRAMS="helm:$HELM_VERSION"
readonly API_PROGRAMS="etcd:$K8S_VERSION kube-apiserver:$K8S_VERSION kubectl:$K8S_VERSION"
readonly NODE_PROGRAMS="kubelet:$K8S_VERSION kube-controller-manager:$K8S_VERSION kube-scheduler:$K8S_VERSION
  kube-proxy:$K8S_VERSION coredns:$COREDNS_VERSION local-path-provisioner:$LOCALPATH_VERSION"
case $purpose in
  chart) programs=$CHART_PROGRAMS debs=prometheus ;;
  api) programs="$CHART_PROGRAMS $API_PROGRAMS" debs=prometheus ;;
  node)
    programs="$CHART_PROGRAMS $API_PROGRAMS $NODE_PROGRAMS"
    debs="prometheus containerd runc containernetworking-plugins busybox"
    ;;
esac

is_built() { [ -x "$BIN/$1" ] && [ "$(cat "$BIN/.$1.version" 2>/dev/null)" = "$2" ]; }
is_unpacked() { [ -e "$DEBS/.$1" ]; }

missing=
for entry in $programs; do is_built "${entry%:*}" "${entry#*:}" || missing+=" ${entry%:*}"; done
for deb in $debs; do is_unpacked "$deb" || missing+=" $deb"; done
if [ -n "$ready_only" ]; then
  [ -z "$missing" ] || echo "not in $KUBE_CACHE:$missing"
  [ -z "$missing" ]
  exit
fi
mkdir -p "$BIN" "$DEBS"

# unpack PACKAGE: a Debian package into $DEBS.
unpack() {
  local tmp
  tmp=$(mktemp -d)
  chmod 755 "$tmp"
  local get=(apt-get -qq -o APT::Sandbox::User= download "$1")
  (cd "$tmp" && { "${get[@]}" 2>/dev/null || { apt-get update -qq && "${get[@]}"; }; })
  dpkg -x "$tmp/$1"_*.deb "$DEBS"
  touch "$DEBS/.$1"
  rm -rf "$tmp"
}

# use_go: a go that is new enough, first on PATH. Since 1.21 go fetches what a module asks for by itself.
use_go() {
  local minor folder module
  minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  if [ "$minor" -lt 21 ]; then
    folder=$KUBE_CACHE/$GO_TOOLCHAIN
    if [ ! -x "$folder/bin/go" ]; then
      module=golang.org/toolchain@v0.0.1-$GO_TOOLCHAIN.linux-$(go env GOARCH)
      mkdir -p "$folder.new"
      cp -r "$(cd "$folder.new" && go mod download -json "$module" | sed -n 's/^.*"Dir": "\(.*\)".*/\1/p')/." "$folder.new"
      # The module cache keeps no permissions.
      chmod -R u+w "$folder.new" && chmod 755 "$folder.new"/bin/* "$folder.new"/pkg/tool/*/*
      mv "$folder.new" "$folder"
    fi
    export PATH=$folder/bin:$PATH
  elif [ "$minor" -lt "$GO_MINOR_MIN" ]; then
    export GOTOOLCHAIN=$GO_TOOLCHAIN+auto
  fi
}
export CGO_ENABLED=0 GOFLAGS="-mod=mod -trimpath -buildvcs=false -p=${JOBS:-$(nproc)}"

# build OUT VERSION MODULE_FOLDER PACKAGE [LDFLAGS]
build() {
  local out=$1 version=$2 folder=$3 package=$4 flags=${5:-} started=$SECONDS
  is_built "$out" "$version" && return
  (cd "$folder" && go build -ldflags "-s -w $flags" -o "$BIN/$out.new" "$package") 2> >(grep -v '^go: downloading ' >&2 || true)
  mv "$BIN/$out.new" "$BIN/$out"
  echo "$version" >"$BIN/.$out.version"
  echo "built $out $version in $((SECONDS - started)) s"
}

# kubernetes_module: k8s.io/kubernetes names its parts by relative paths, which do not count when it is a dependency; a
# module around it names each of them at the version that belongs to it.
kubernetes_module() {
  local folder=$KUBE_CACHE/mod/kubernetes-$K8S_VERSION source
  if [ ! -f "$folder/go.mod" ]; then
    source=$(go mod download -json "k8s.io/kubernetes@$K8S_VERSION" | sed -n 's/^.*"Dir": "\(.*\)".*/\1/p')
    mkdir -p "$folder"
    {
      printf 'module kubenode\n\n'
      grep -E '^go |^godebug ' "$source/go.mod"
      printf '\nrequire k8s.io/kubernetes %s\n\n' "$K8S_VERSION"
      awk -v v="v0.${K8S_VERSION#v1.}" '/=> \.\/staging\//{print "replace " $1 " => " $1 " " v}' "$source/go.mod"
    } >"$folder/go.mod.new"
    mv "$folder/go.mod.new" "$folder/go.mod"
  fi
  echo "$folder"
}

build_kubernetes() {
  local folder minor=${K8S_VERSION#v1.} stamp='' package
  minor=${minor%%.*}
  folder=$(kubernetes_module)
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamp+=" -X $package.gitVersion=$K8S_VERSION -X $package.gitMajor=1 -X $package.gitMinor=$minor"
    stamp+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
  done
  # etcd's server is a dependency of Kubernetes' tests, so the same module names the right one.
  build etcd "$K8S_VERSION" "$folder" go.etcd.io/etcd/server/v3
  for program in "$@"; do
    build "$program" "$K8S_VERSION" "$folder" "k8s.io/kubernetes/cmd/$program" "$stamp"
  done
}

# wrapper NAME MODULE@VERSION ...: the folder of a module that requires these.
wrapper() {
  local folder=$KUBE_CACHE/mod/$1 module
  shift
  mkdir -p "$folder"
  # What an earlier run completed is kept.
  if ! grep -qF "require ${1%@*} ${1#*@}" "$folder/go.mod" 2>/dev/null; then
    {
      printf 'module wrapper\n\ngo 1.24.0\n\n'
      for module in "$@"; do printf 'require %s %s\n' "${module%@*}" "${module#*@}"; done
    } >"$folder/go.mod"
  fi
  echo "$folder"
}

# The two images that the node itself needs: pause (Kubernetes' own source, static), and busybox for the helper pods of the
# volumes' provisioner and for tests.
make_images() {
  local tmp source library applet
  tmp=$(mktemp -d)
  if [ ! -f "$KUBE_CACHE/pause.tar" ]; then
    mkdir -p "$tmp/pause"
    source=$(cd "$(kubernetes_module)" && go list -m -f '{{.Dir}}' k8s.io/kubernetes)
    gcc -Os -static -s -DVERSION=3.10 -o "$tmp/pause/pause" "$source/build/pause/linux/pause.c"
    "$HERE/node/rootfs-image.sh" "$PAUSE_IMAGE" "$tmp/pause" "$KUBE_CACHE/pause.tar" /pause
  fi
  if [ ! -f "$KUBE_CACHE/busybox.tar" ]; then
    mkdir -p "$tmp"/busybox/{bin,etc,tmp,root,var,proc,sys,dev}
    chmod 1777 "$tmp/busybox/tmp"
    # The dynamic build with its libraries, so that names resolve as in any program.
    cp "$DEBS/bin/busybox" "$tmp/busybox/bin/busybox"
    for library in $(ldd "$tmp/busybox/bin/busybox" | grep -o '/[^ ]*'); do cp -L --parents "$library" "$tmp/busybox"; done
    for applet in $("$tmp/busybox/bin/busybox" --list); do
      [ "$applet" = busybox ] || ln -s busybox "$tmp/busybox/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$tmp/busybox/etc/passwd"
    echo 'root:x:0:' >"$tmp/busybox/etc/group"
    echo 'hosts: files dns' >"$tmp/busybox/etc/nsswitch.conf"
    "$HERE/node/rootfs-image.sh" "$BUSYBOX_IMAGE" "$tmp/busybox" "$KUBE_CACHE/busybox.tar" sh
  fi
  rm -rf "$tmp"
}

for deb in $debs; do is_unpacked "$deb" || unpack "$deb"; done
use_go
# Kubernetes' own libraries, at the version of the rest.
libraries="k8s.io/api@v0.${K8S_VERSION#v1.} k8s.io/apimachinery@v0.${K8S_VERSION#v1.} k8s.io/client-go@v0.${K8S_VERSION#v1.}"
if ! is_built helm "$HELM_VERSION"; then
  # shellcheck disable=SC2086  # words are meant
  folder=$(wrapper helm "helm.sh/helm/v3@$HELM_VERSION" $libraries)
  # Which Kubernetes "helm template" and "helm lint" take for granted.
  minor=${K8S_VERSION#v1.} && minor=${minor%%.*} stamp="-X helm.sh/helm/v3/internal/version.version=$HELM_VERSION"
  for package in chartutil lint/rules; do
    stamp+=" -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=$minor"
  done
  build helm "$HELM_VERSION" "$folder" helm.sh/helm/v3/cmd/helm "$stamp"
fi
case $purpose in
  api) build_kubernetes kube-apiserver kubectl ;;
  node)
    build_kubernetes kube-apiserver kubectl kubelet kube-controller-manager kube-scheduler kube-proxy
    if ! is_built coredns "$COREDNS_VERSION"; then
      # shellcheck disable=SC2086
      folder=$(wrapper coredns "github.com/coredns/coredns@$COREDNS_VERSION" $libraries)
      cp "$HERE/node/coredns/main.go" "$folder/"
      build coredns "$COREDNS_VERSION" "$folder" .
    fi
    if ! is_built local-path-provisioner "$LOCALPATH_VERSION"; then
      folder=$(wrapper local-path "github.com/rancher/local-path-provisioner@$LOCALPATH_VERSION")
      build local-path-provisioner "$LOCALPATH_VERSION" "$folder" github.com/rancher/local-path-provisioner
    fi
    make_images
    ;;
esac
echo "the programs for '$purpose' are in $KUBE_CACHE, after $SECONDS s"
