#!/bin/bash
# Installs what the compatibility tests drive: setup.sh TOOLS_DIR [tool ...]
# One folder per tool under TOOLS_DIR. A tool that is up to date is left alone; for one that cannot be had,
# TOOLS_DIR/TOOL.missing says why, and its tests are skipped with that reason. Registries are asked through their
# ordinary clients, which follow the settings of the machine.
set -u
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=$(mkdir -p "$1" && cd "$1" && pwd)
shift
readonly HERE TOOLS
readonly ALL=(main kafka-python-2.0 kafka-python-3 node go java ui kcat)
readonly INSTALL_SECONDS=300

missing() { # TOOL REASON
  echo "$2" >"$TOOLS/$1.missing"
  echo "$1: $2" >&2
}

# have_commands TOOL COMMAND ...
have_commands() {
  local tool=$1 command
  shift
  for command in "$@"; do
    command -v "$command" >/dev/null || { missing "$tool" "the command $command is not installed"; return 1; }
  done
}

# fresh TOOL FILE ...: true when TOOL was installed from exactly these files.
fresh() {
  local tool=$1
  shift
  [ "$(cat "$TOOLS/$tool.stamp" 2>/dev/null)" = "$(cat "$@" | sha256sum)" ]
}

# install TOOL FILE ... -- COMMAND ...: runs COMMAND unless TOOL is fresh, and remembers what it was made of.
install() {
  local tool=$1 files=()
  shift
  while [ "$1" != -- ]; do files+=("$1") && shift; done
  shift
  rm -f "$TOOLS/$tool.missing"
  fresh "$tool" "${files[@]}" && return 0
  rm -f "$TOOLS/$tool.stamp"
  if timeout --kill-after=10 "$INSTALL_SECONDS" "$@" >"$TOOLS/$tool.log" 2>&1; then
    cat "${files[@]}" | sha256sum >"$TOOLS/$tool.stamp"
  else
    missing "$tool" "its installation failed: $(grep -v '^$' "$TOOLS/$tool.log" | tail -n 1 | cut -c 1-200)"
  fi
}

install_venv() {
  local tool=$1 requirements="$HERE/python/requirements/$1.txt"
  have_commands "$tool" python3 || return 0
  if [ "$tool" = kafka-python-2.0 ] && ! python3 -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
    missing "$tool" "kafka-python 2.0.2 does not import under Python 3.12 and later"
    return 0
  fi
  # shellcheck disable=SC2016  # the inner shell expands these
  install "$tool" "$requirements" -- bash -c 'rm -rf "$1" && python3 -m venv "$1" &&
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"' - "$TOOLS/$tool" "$requirements"
}

install_node() {
  have_commands node node npm || return 0
  # shellcheck disable=SC2016
  install node "$HERE/node/package-lock.json" -- bash -c 'mkdir -p "$1" && cp "$2"/package*.json "$1" && cd "$1" &&
    npm ci --ignore-scripts --no-audit --no-fund' - "$TOOLS/node" "$HERE/node"
}

install_go() {
  have_commands go go || return 0
  # shellcheck disable=SC2016
  install go "$HERE"/go/go.sum "$HERE"/go/*.go -- bash -c 'mkdir -p "$1" && cd "$2" && go build -o "$1/driver" .' \
    - "$TOOLS/go" "$HERE/go"
}

install_java() {
  have_commands java java javac mvn || return 0
  # shellcheck disable=SC2016
  install java "$HERE"/java/pom.xml "$HERE"/java/*.java -- bash -c 'rm -rf "$1" && mkdir -p "$1" &&
    mvn -q -B -ntp -f "$2/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$1/libs" &&
    javac -d "$1/classes" -cp "$1/libs/*" "$2"/*.java' - "$TOOLS/java" "$HERE/java"
}

install_ui() {
  have_commands ui java javac mvn || return 0
  # shellcheck disable=SC2016
  install ui "$HERE"/ui/pom.xml "$HERE"/ui/*.java -- bash -c 'rm -rf "$1" && mkdir -p "$1" &&
    mvn -q -B -ntp -f "$2/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$1/libs" &&
    javac -d "$1/classes" -cp "$1/libs/*" "$2"/*.java' - "$TOOLS/ui" "$HERE/ui"
}

install_tool() {
  case $1 in
    main | kafka-python-2.0 | kafka-python-3) install_venv "$1" ;;
    node | go | java | ui) "install_$1" ;;
    kcat)
      rm -f "$TOOLS/kcat.missing"
      have_commands kcat kcat
      ;;
    *)
      echo "no tool is called '$1'; there are: ${ALL[*]}" >&2
      return 1
      ;;
  esac
}

wanted=("$@")
[ $# -gt 0 ] || wanted=("${ALL[@]}")
children=()
for tool in "${wanted[@]}"; do
  install_tool "$tool" &
  children+=($!)
done
for child in "${children[@]}"; do wait "$child"; done
[ ! -e "$TOOLS/main.missing" ] || [[ " ${wanted[*]} " != *" main "* ]]
