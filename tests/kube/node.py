"""The node that tests/kube/node brings up, from outside: images, commands inside it, processes in its pods."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile

from kubectl import KUBECTL, ROOT, Failed, kubectl, run, until

NODE = ROOT / "tests/kube/node"


def in_node(*command, check=True, seconds=120, given=None):
    return run(NODE / "in-node.sh", *command, check=check, seconds=seconds, given=given)


def load_image(tar):
    run(NODE / "load-image.sh", tar, seconds=300)


def make_image(name, fill, entrypoint, user="65532:65532"):
    """An image of what `fill(folder)` puts into a folder, loaded into the node. Returns its size in bytes, compressed by nothing."""
    with tempfile.TemporaryDirectory() as folder:
        root, tar = pathlib.Path(folder, "root"), pathlib.Path(folder, "image.tar")
        root.mkdir()
        fill(root)
        done = subprocess.run([NODE / "rootfs-image.sh", name, root, tar, *entrypoint], capture_output=True, text=True, check=False,
                              env={**os.environ, "IMAGE_USER": user, "IMAGE_ENTRYPOINT": "yes"})
        if done.returncode:
            raise Failed(done.stderr)
        load_image(tar)
        return tar.stat().st_size


def runtime(*programs):
    """A fill() for make_image: programs with the libraries they load, as in the Dockerfile."""
    return lambda root: run(ROOT / "scripts/lib/collect_runtime.sh", root, *programs)


def process_of(pod_uid, program):
    """PID inside the node of a pod's program, found by the pod's cgroup; None while it is not there."""
    script = ('for p in /proc/[0-9]*; do grep -q "$1" $p/cgroup 2>/dev/null && [ "$(readlink $p/exe)" = "$2" ] && '
              "echo ${p#/proc/} && break; done; true")
    found = in_node("bash", "-c", script, "_", pod_uid, program).strip()
    return int(found) if found else None


def kill_process(namespace, pod, program):
    """kill -9 of the program of a pod. Returns the PID that it had."""
    uid = json.loads(kubectl("-n", namespace, "get", "pod", pod, "-o", "json"))["metadata"]["uid"]
    pid = until(f"{program} runs in {pod}", lambda: process_of(uid, program), 30)
    in_node("kill", "-9", str(pid))
    return pid


def memory_of(namespace, pod, program):
    """Resident bytes of the program of a pod."""
    uid = json.loads(kubectl("-n", namespace, "get", "pod", pod, "-o", "json"))["metadata"]["uid"]
    status = in_node("cat", f"/proc/{process_of(uid, program)}/status")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


@contextlib.contextmanager
def port_forward(namespace, target, port):
    """A local port that leads to a port of a pod or Service, from outside the node."""
    with tempfile.NamedTemporaryFile("w+") as said:
        forwarding = subprocess.Popen([KUBECTL, "-n", namespace, "port-forward", target, f":{port}"], stdout=said,
                                      stderr=subprocess.STDOUT)
        try:
            match = until("the port is forwarded",
                          lambda: re.search(r"127\.0\.0\.1:(\d+)", pathlib.Path(said.name).read_text(encoding="utf-8")), 30, 0.1)
            yield int(match[1])
        finally:
            forwarding.terminate()
            forwarding.wait(10)


class Load:
    """tests/kube/load.py inside the node: what it acknowledged is checked when it ends."""

    def __init__(self, python, bootstrap, topic, partitions):
        path = os.pathsep.join(str(ROOT / folder) for folder in ("tests/compat", "tests/faults"))
        self.process = subprocess.Popen(
            [NODE / "in-node.sh", "env", f"PYTHONPATH={path}", "PYTHONDONTWRITEBYTECODE=1", python, ROOT / "tests/kube/load.py",
             bootstrap, topic, str(partitions)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.steps = []
        self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the load has ended with code {self.process.wait(10)}")
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def mark(self, step):
        self.steps.append(self.ask(f"mark {step}"))
        return self.steps[-1]

    def stop(self):
        verdict = self.ask("stop")
        self.process.wait(30)
        return verdict

    def end(self):
        """However it stands."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
