"""Counts the cases of a CTest run: count_tests.py JUNIT_FILE GTEST_XML_DIR

CTest knows programs; a gtest program holds many cases and writes its own XML into GTEST_XML_DIR. A program
without such a file (a script, or one that died before writing) counts as one case. Names what failed or was
skipped, prints "N passed, N failed, N skipped" and returns 1 when anything failed.
"""

import pathlib
import sys
import xml.etree.ElementTree as ET


def gtest_cases(path):
    """Yields (name, outcome) of every case in one gtest XML file."""
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{path.stem}: {case.get('classname')}.{case.get('name')}"
        if case.get("status") == "notrun":
            yield name, "disabled"
        elif case.find("failure") is not None:
            yield name, "failed"
        elif case.get("result") == "skipped" or case.find("skipped") is not None:
            yield name, "skipped"
        else:
            yield name, "passed"


def ctest_programs(path):
    """Yields (name, outcome) of every program of a CTest JUnit file."""
    for case in ET.parse(path).getroot().iter("testcase"):
        outcome = {"run": "passed", "fail": "failed"}.get(case.get("status"), "skipped")
        yield case.get("name"), outcome


def main():
    junit, gtest_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    outcomes = []
    for name, outcome in ctest_programs(junit):
        report = gtest_dir / f"{name}.xml"
        cases = list(gtest_cases(report)) if report.exists() else []
        if not cases:
            cases = [(name, outcome)]
        elif outcome == "failed" and all(result != "failed" for _, result in cases):
            cases.append((f"{name}: ended badly after its cases", "failed"))
        outcomes += cases
    for name, outcome in outcomes:
        if outcome != "passed":
            print(f"{outcome}: {name}")
    counts = {key: sum(o == key for _, o in outcomes) for key in ("passed", "failed", "skipped", "disabled")}
    if counts["disabled"]:
        print("a disabled case is not a test: enable it or remove it")
    failed = counts["failed"] + counts["disabled"]
    print(f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
