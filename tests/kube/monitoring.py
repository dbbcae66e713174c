"""A real Prometheus inside the node, with deploy/prometheus as it is; and whether every query of ours has an answer there."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

import yaml
from kubectl import ROOT, Failed, kubectl
from node import NODE, in_node

PORT = 19090
PROMETHEUS = os.environ.get("PROMETHEUS", "prometheus")
# What a healthy cluster of this run cannot show: nothing was compacted away or refused, or only some kinds of clients push metrics.
MAY_BE_EMPTY = {
    "Broker internals: Dropped messages", "Broker internals: Opened and closed", "Broker internals: Changes of replicas",
    "Operator: Brokers", "Operator: Events", "Operator: Actions",
}


def discovered():
    """What the discovery of pods finds, as a file of targets: Debian's Prometheus is built without it."""
    targets = []
    for pod in json.loads(kubectl("get", "pods", "-A", "-o", "json"))["items"]:
        labels = {"__meta_kubernetes_namespace": pod["metadata"]["namespace"], "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                  "__meta_kubernetes_pod_phase": pod["status"]["phase"]}
        for name, value in (pod["metadata"].get("labels") or {}).items():
            labels["__meta_kubernetes_pod_label_" + re.sub(r"[^a-zA-Z0-9_]", "_", name)] = value
        for port in [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]:
            if pod["status"].get("podIP"):
                targets.append({"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
                                "labels": {**labels, "__meta_kubernetes_pod_container_port_name": port.get("name", "")}})
    return targets


class Prometheus:
    """In the node's network, with deploy/prometheus and the pods that there are."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        config = yaml.safe_load((ROOT / "deploy/prometheus/scrape.yaml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "5s", "evaluation_interval": "15s"}
        for job in config["scrape_configs"]:
            del job["kubernetes_sd_configs"]
            job["file_sd_configs"] = [{"files": [f"{self.folder}/targets.json"], "refresh_interval": "2s"}]
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (self.folder / "alerts.yaml").write_text((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"), encoding="utf-8")
        self.ending = threading.Event()
        self.looking = threading.Thread(target=self._look, daemon=True)
        self.looking.start()
        with open(self.folder / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [NODE / "in-node.sh", PROMETHEUS, f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address=127.0.0.1:{PORT}"], stdout=log, stderr=subprocess.STDOUT)

    def _look(self):
        while not self.ending.is_set():
            try:
                (self.folder / "targets.new").write_text(json.dumps(discovered()), encoding="utf-8")
                (self.folder / "targets.new").rename(self.folder / "targets.json")
            except (Failed, subprocess.TimeoutExpired, KeyError):
                pass  # The API server is busy; the next look finds it.
            self.ending.wait(3)

    def check_runs(self):
        if self.process.poll() is not None:
            raise Failed("Prometheus has ended: " + (self.folder / "log").read_text(encoding="utf-8")[-1500:])

    def stop(self):
        self.ending.set()
        self.looking.join(30)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)


def ask(path, **parameters):
    url = f"http://127.0.0.1:{PORT}/api/v1/{path}" + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
    answer = json.loads(in_node("curl", "-sS", "--noproxy", "*", url))
    if answer["status"] != "success":
        raise Failed(f"{path} {parameters}: {answer.get('error')}")
    return answer["data"]


def targets_up(prometheus):
    prometheus.check_runs()
    return sum(one["health"] == "up" for one in ask("targets")["activeTargets"])


def queries(namespace, cluster):
    """(dashboard: panel, query) of everything that is shown, with the variables as a person would choose them."""
    for path in sorted((ROOT / "deploy/grafana").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"].replace("$namespace", namespace).replace("$cluster", cluster)
                query = re.sub(r"\$(topic|group|pod)", ".*", query).replace("$__rate_interval", "2m")
                yield f"{board['title'].removeprefix('Millrace / ')}: {panel['title']}", query


def verdict(prometheus, namespace, cluster):
    """Which queries had data, which had not, and which alerts could not be evaluated."""
    prometheus.check_runs()
    found = {"queries": 0, "empty": [], "failed": []}
    for where, query in queries(namespace, cluster):
        found["queries"] += 1
        if not ask("query", query=query)["result"]:
            found["empty" if where in MAY_BE_EMPTY else "failed"].append(f"{where}: {query}")
    for group in ask("rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] not in ("ok", "unknown"):
                found["failed"].append(f"alert {rule['name']}: {rule.get('lastError')}")
    found["firing"] = sorted({one["labels"]["alertname"] for one in ask("alerts")["alerts"] if one["state"] == "firing"})
    return found
