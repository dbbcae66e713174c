"""kubectl and Helm as functions. KUBECTL, HELM and KUBECONFIG come from the environment."""

import json
import os
import pathlib
import subprocess
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBECTL = os.environ.get("KUBECTL", "kubectl")
HELM = os.environ.get("HELM", "helm")


class Failed(Exception):
    """A command that ended badly; the text is what it said."""


def run(*command, given=None, check=True, seconds=120):
    """What a command prints. Failed with its error output when it ends badly and `check`."""
    done = subprocess.run([str(part) for part in command], input=given, capture_output=True, text=True, check=False,
                          timeout=seconds, cwd=ROOT)
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, command[:8]))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout if check else done


def kubectl(*arguments, given=None, check=True, seconds=120):
    return run(KUBECTL, *arguments, given=given, check=check, seconds=seconds)


def helm(*arguments, seconds=600):
    return run(HELM, *arguments, seconds=seconds)


def get(kind, name, namespace="default"):
    """An object as it is, or None."""
    done = kubectl("-n", namespace, "get", kind, name, "-o", "json", check=False)
    if done.returncode:
        if "NotFound" in done.stderr or "not found" in done.stderr:
            return None
        raise Failed(done.stderr)
    return json.loads(done.stdout)


def items(kind, namespace="default", selector=None):
    arguments = ["-n", namespace, "get", kind, "-o", "json", *(["-l", selector] if selector else [])]
    return json.loads(kubectl(*arguments))["items"]


def apply(objects, namespace=None, *options):
    """Server-side apply of one object or several, in their own namespace or in the one that is given."""
    text = yaml.safe_dump_all(objects if isinstance(objects, list) else [objects])
    return kubectl(*(["-n", namespace] if namespace else []), "apply", *options, "--server-side", "--force-conflicts", "-f", "-", given=text)


def condition(thing, kind):
    """A condition of an object that was read, or {}."""
    for one in ((thing or {}).get("status") or {}).get("conditions") or []:
        if one["type"] == kind:
            return one
    return {}


def until(what, check, seconds=120, pause=0.5):
    """Waits until check() gives something true, and returns that. What check() raises counts as "not yet"."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            found = check()
            if found:
                return found
            last = found
        except (Failed, KeyError, TypeError, subprocess.TimeoutExpired) as problem:
            last = problem
        if time.monotonic() > end:
            raise Failed(f"after {seconds} s still not: {what} ({last!r})")
        time.sleep(pause)
