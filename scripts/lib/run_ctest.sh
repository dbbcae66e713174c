# run_ctest PRESET LABEL: builds the test programs of that label, runs them, prints what failed and the count.
# Sourced by the stages that are CTest labels.
# shellcheck shell=bash

run_ctest() {
  local preset=$1 label=$2 directory="$ROOT/build/$1" reports
  has_target "$preset" "tests_$label" || skip "no test has the label '$label' yet"
  build "$preset" "tests_$label" || fail "the tests do not build"
  reports="$directory/reports/$label"
  rm -rf "$reports"
  mkdir -p "$reports/gtest"
  (cd "$directory" && GTEST_OUTPUT="xml:$reports/gtest/" ctest -L "^$label\$" -j "$JOBS" --timeout "${TEST_TIMEOUT:-300}" \
    --output-on-failure --no-tests=error --output-junit "$reports/ctest.xml") >"$reports/output.txt" 2>&1 ||
    # The whole output of what failed, bounded; the rest is in the file.
    grep -v -E '^ *(Start|[0-9]+/[0-9]+ Test +#[0-9]+:.*Passed)' "$reports/output.txt" | tail -n 200
  python3 "$ROOT/scripts/lib/count_tests.py" "$reports/ctest.xml" "$reports/gtest"
}
