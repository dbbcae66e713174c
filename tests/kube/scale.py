"""Thousands of topics on a real API server, a real broker and a real operator, without a node: scale.py [NUMBER]

The resources are there before the operator is. It is then timed until every one of them is Ready, and watched for a while in which
nothing happens: no write may be made, no topic asked for. BUILD is the build directory, KUBECTL and KUBECONFIG as in kubectl.py; the
API server has our definitions (schema_test.py), or gets them here. The last line is "N passed, N failed, N skipped".
"""

import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import yaml
from kubectl import ROOT, Failed, kubectl, until

BUILD = pathlib.Path(os.environ["BUILD"])
# Without controllers a namespace is never gone: each run has its own.
SPACE, CLUSTER = f"scale-{os.getpid()}", "events"
# The port that the operator asks brokers at.
GRPC_PORT = 9094
SECONDS_MOST = 60
QUIET_SECONDS = 90


class Api:
    """The API server by HTTP, a connection for each thread: kubectl would be the bottleneck."""

    def __init__(self):
        config = yaml.safe_load(pathlib.Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.address = urllib.parse.urlsplit(server["server"])
        self.context = ssl.create_default_context(cadata=self.text(server, "certificate-authority"))
        self.context.check_hostname = False
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
            pem.write(self.text(user, "client-certificate") + "\n" + self.text(user, "client-key"))
            pem.flush()
            self.context.load_cert_chain(pem.name)
        self.local = threading.local()

    @staticmethod
    def text(of, name):
        if f"{name}-data" in of:
            return base64.b64decode(of[f"{name}-data"]).decode()
        return pathlib.Path(of[name]).read_text(encoding="utf-8")

    def call(self, method, path, body=None, kind="application/json"):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(self.address.hostname, self.address.port, context=self.context, timeout=60)
        self.local.connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
        answer = self.local.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)


def topic(number):
    return {"apiVersion": "millrace.dev/v1alpha1", "kind": "MillraceTopic",
            "metadata": {"name": f"topic-{number:05}", "namespace": SPACE},
            "spec": {"cluster": CLUSTER, "partitions": 1, "replicationFactor": 1, "config": {"retention.ms": str(100000 + number)}}}


def make_objects(api, number):
    """A paused cluster, a pod in which its broker seems to run, and the topics."""
    kubectl("create", "namespace", SPACE)
    base = f"/apis/millrace.dev/v1alpha1/namespaces/{SPACE}"
    api.call("POST", f"{base}/millraceclusters", {
        "apiVersion": "millrace.dev/v1alpha1", "kind": "MillraceCluster",
        "metadata": {"name": CLUSTER, "namespace": SPACE, "annotations": {"millrace.dev/paused": "true"}},
        "spec": {"brokers": 1}})
    labels = {"millrace.dev/cluster": CLUSTER, "app.kubernetes.io/instance": CLUSTER}
    pods = f"/api/v1/namespaces/{SPACE}/pods"
    api.call("POST", pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{CLUSTER}-0", "namespace": SPACE, "labels": labels},
                            "spec": {"containers": [{"name": "broker", "image": "none"}], "automountServiceAccountToken": False}})
    api.call("PATCH", f"{pods}/{CLUSTER}-0/status", {"status": {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}]}}, "application/merge-patch+json")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: api.call("POST", f"{base}/millracetopics", topic(one)), range(number)))


def start_broker(folder):
    log = open(folder / "broker.log", "wb")
    broker = subprocess.Popen(
        [BUILD / "bin/millrace", "--data", folder / "data", f"--grpc.listen=127.0.0.1:{GRPC_PORT}", "--kafka.listen=127.0.0.1:0",
         "--http.listen=127.0.0.1:0", "--internal.listen=127.0.0.1:0", "--shards=1"], stdout=log, stderr=log)
    until("the broker is ready", lambda: b"ready kafka=" in (folder / "broker.log").read_bytes(), 60)
    return broker


def start_operator(folder, port):
    log = open(folder / "operator.log", "wb")
    return subprocess.Popen(
        [BUILD / "bin/millrace-operator", f"--http-listen=127.0.0.1:{port}", f"--namespace={SPACE}", f"--lease-namespace={SPACE}"],
        stdout=log, stderr=log)


def metrics(port):
    """Every series: (name, labels as text) -> value."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
    except OSError as problem:
        raise Failed(f"no metrics: {problem}") from problem
    found = {}
    for line in lines:
        series = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
        if series:
            found[series.group(1), series.group(2) or ""] = float(series.group(3))
    return found


def total(values, name, *having):
    return sum(value for (one, labels), value in values.items() if one == name and all(text in labels for text in having))


def ready(values):
    return total(values, "millrace_operator_conditions", 'kind="MillraceTopic"', 'condition="Ready"', 'status="True"')


def writes(values):
    """Calls that change something, but for the lease: labels as text -> number."""
    return {labels: value for (name, labels), value in values.items()
            if name == "millrace_operator_api_requests_total" and 'resource="leases"' not in labels
            and not any(f'verb="{verb}"' in labels for verb in ("get", "list", "watch"))}


def check(api, number, folder):
    """What is wrong, as sentences."""
    wrong = []
    make_objects(api, number)
    port = 18080
    broker = start_broker(folder)
    began = time.monotonic()
    operator = start_operator(folder, port)
    try:
        until("every topic is Ready", lambda: ready(metrics(port)) == number, 300, 0.25)
        seconds = time.monotonic() - began
        print(f"{number} topics are Ready {seconds:.1f} s after the operator began")
        if seconds > SECONDS_MOST:
            wrong.append(f"{seconds:.1f} s until all were Ready, more than {SECONDS_MOST}")
        time.sleep(5)
        before, since = metrics(port), time.monotonic()
        time.sleep(QUIET_SECONDS)
        after, passed = metrics(port), time.monotonic() - since
        told = {labels: value - writes(before).get(labels, 0) for labels, value in writes(after).items()}
        made = sum(told.values())
        if made:
            wrong.append(f"{made:.0f} writes in {passed:.0f} s in which nothing happened: "
                         + "; ".join(f"{value:.0f} of {labels}" for labels, value in told.items() if value))
        calls = total(after, "millrace_operator_broker_calls_total") - total(before, "millrace_operator_broker_calls_total")
        if calls > 10 * passed / 10:
            wrong.append(f"{calls:.0f} calls to brokers in {passed:.0f} s in which nothing happened")
        cpu = total(after, "process_cpu_seconds_total") - total(before, "process_cpu_seconds_total")
        print(f"quiet: {made:.0f} writes, {calls:.0f} calls to brokers, {100 * cpu / passed:.2f} % of a core, "
              f"{after['process_resident_memory_bytes', ''] / 2**20:.1f} MiB")
        there = total(after, "millrace_operator_status_writes_total", 'kind="MillraceTopic"')
        if there != number:
            wrong.append(f"{there:.0f} statuses were written for {number} topics")
    finally:
        operator.terminate()
        broker.terminate()
        operator.wait(30)
        broker.wait(30)
    if operator.returncode:
        wrong.append(f"the operator ended with {operator.returncode}")
    return wrong


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    kubectl("apply", "--server-side", "--force-conflicts", "-f", ROOT / "charts/millrace/crds")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        try:
            wrong = check(Api(), number, folder)
        except Failed as problem:
            wrong = [str(problem)]
        for sentence in wrong:
            print("FAILED", sentence)
        if wrong:
            for log in ("operator.log", "broker.log"):
                if (folder / log).exists():
                    print((folder / log).read_text(encoding="utf-8", errors="replace")[-3000:])
    kubectl("delete", "namespace", SPACE, "--wait=false", check=False)
    print(f"{0 if wrong else 1} passed, {1 if wrong else 0} failed, 0 skipped")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
