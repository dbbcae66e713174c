#!/bin/bash
# Compares our schemas and codecs with those that Kafka publishes: run.sh BUILD_DIR
#
# 1. compare.py: every field of every schema against those inside the jars of the client and the group coordinator.
# 2. Random messages that Kafka's classes encode must come back byte for byte through our codecs.
# 3. Random messages that our codecs encode must come back byte for byte through Kafka's classes.
#
# BUILD_DIR is a preset's folder, as build/release. Needs mvn and a JDK of 17 or later; builds wire_peer when it is missing.
# COUNT messages of each kind and version (default 40), from SEED (default 1). Ends with `N passed, N failed, N skipped`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
build=$(cd "$1" && pwd)
count=${COUNT:-40} seed=${SEED:-1}
work="$build/schema-compat"
mkdir -p "$work"

[ -x "$build/bin/wire_peer" ] || ninja -C "$build" wire_peer
# To a file: maven ends with escape codes even when it is quiet.
mvn -q -B -f "$here/pom.xml" -Dbuild.folder="$work/maven" compile >"$work/maven.log" 2>&1 || { cat "$work/maven.log"; exit 1; }
jars=("$work"/maven/jars/kafka-clients-*.jar "$work"/maven/jars/kafka-group-coordinator-[0-9]*.jar)
peer=(java -XX:+UseSerialGC -cp "$work/maven/classes:$work/maven/jars/*" millrace.schema.Peer)
passed=0 failed=0

# tally FILE: adds the counts in the last line of FILE, showing what comes before it.
tally() {
  sed '$d' "$1"
  local words
  read -ra words <<<"$(tail -n 1 "$1")"
  passed=$((passed + words[0])) failed=$((failed + words[2]))
}

# same TITLE SENT RETURNED: one check per line; differing ones are shown, shortened.
same() {
  local lines differ
  lines=$(wc -l <"$2")
  [ "$lines" -gt 0 ] || { echo "$1: nothing was sent"; failed=$((failed + 1)); return; }
  [ "$lines" = "$(wc -l <"$3")" ] || { echo "$1: $(wc -l <"$3") of $lines came back"; failed=$((failed + 1)); return; }
  paste -d '|' "$2" "$3" | awk -F '|' -v title="$1" \
    '$1 != $2 { if (++n <= 20) { print title ": sent     " substr($1, 1, 400); print title ": returned " substr($2, 1, 400) } }
     END { print n + 0 }' >"$work/differ"
  sed '$d' "$work/differ"
  differ=$(tail -n 1 "$work/differ")
  passed=$((passed + lines - differ)) failed=$((failed + differ))
}

python3 "$here/compare.py" "${jars[@]}" >"$work/compare" || true
tally "$work/compare"

"$build/bin/wire_peer" list >"$work/list"
"${peer[@]}" generate "$count" "$seed" <"$work/list" >"$work/java" 2>"$work/java.log" || { cat "$work/java.log"; exit 1; }
"$build/bin/wire_peer" echo <"$work/java" >"$work/java.ours"
same "Kafka's message through our codec" "$work/java" "$work/java.ours"
"$build/bin/wire_peer" generate "$count" "$seed" >"$work/cpp"
"${peer[@]}" echo <"$work/cpp" >"$work/cpp.theirs" 2>"$work/java.log" || { cat "$work/java.log"; exit 1; }
same "our message through Kafka's classes" "$work/cpp" "$work/cpp.theirs"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
