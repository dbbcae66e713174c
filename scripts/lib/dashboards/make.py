"""Writes the dashboards: make.py FOLDER"""

import pathlib
import sys

import broker
import cluster
import groups
import operators
import topic

DASHBOARDS = {"cluster": cluster, "topic": topic, "broker": broker, "groups": groups, "operator": operators}

if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    for name, module in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(module.text(), encoding="utf-8")
