# The Debian packages each kind of work needs, and how they get installed; sourced, never run.
# docs/building.md lists the same for people. Names are those of Debian 12 (bookworm).
# shellcheck shell=bash

packages_of() {
  case $1 in
    build)
      echo g++ cmake ninja-build ccache pkg-config python3 git libcpp-httplib-dev libfmt-dev libspdlog-dev \
        libprotobuf-dev protobuf-compiler libgrpc++-dev protobuf-compiler-grpc prometheus-cpp-dev \
        nlohmann-json3-dev libyaml-cpp-dev libcli11-dev zlib1g-dev libgtest-dev libgmock-dev liblz4-dev \
        libzstd-dev libisal-dev libsnappy-dev libre2-dev
      ;;
    format) echo python3 git clang-format-14 ;;
    lint) echo clang-tidy-14 shellcheck ;;
    fuzz) echo clang-14 llvm-14 libclang-rt-14-dev ;;
    java) echo maven openjdk-17-jdk-headless ;;
    clients) echo kcat python3-venv python3-pip nodejs npm golang-go curl ;;
    network) echo iproute2 ;;
    chart) echo python3 python3-yaml golang-go ;;
    kube) echo golang-go openssl jq ;;
    node) echo golang-go openssl jq iproute2 nftables iptables conntrack socat procps util-linux gcc libc6-dev ;;
    quickstart) echo kcat curl ;;
    image) echo buildah podman runc debootstrap ;;
    *) fail "no package group is called '$1'" ;;
  esac
}

# A package counts as there when its command is, for tools that people install by other means.
provided_elsewhere() {
  case $1 in
    golang-go) have go ;;
    nodejs) have node ;;
    npm) have npm ;;
    maven) have mvn ;;
    openjdk-17-jdk-headless) have javac ;;
    *) return 1 ;;
  esac
}

# missing_packages GROUP ...: names, one line each, of what is not installed.
missing_packages() {
  local group package
  for group in "$@"; do
    for package in $(packages_of "$group"); do
      if ! dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' &&
        ! provided_elsewhere "$package"; then
        echo "$package"
      fi
    done
  done | sort -u
}

# install_packages GROUP ...: apt-get installs what is missing, as root or through sudo.
# Returns 1, after saying which command to run, where that cannot be done.
install_packages() {
  local missing as_root=()
  if ! have dpkg-query; then
    echo "not a Debian system: the packages listed in docs/building.md are taken to be there"
    return 0
  fi
  missing=$(missing_packages "$@" | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    if have sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      echo "packages are missing and this is neither root nor sudo. Run: apt-get install $missing"
      return 1
    fi
  fi
  echo "installing: $missing"
  local log
  log=$(mktemp)
  # shellcheck disable=SC2086  # one word per package is meant
  if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
    >"$log" 2>&1; then
    tail -n 20 "$log"
    rm -f "$log"
    echo "apt-get could not install: $missing"
    return 1
  fi
  rm -f "$log"
}
