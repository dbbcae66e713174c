"""What a real API server says to our resources: schema_test.py. The last line is "N passed, N failed, N skipped"."""

import copy
import json
import re
import sys
import tempfile
import unittest

import yaml
from kubectl import ROOT, Failed, apply, helm, kubectl, until

HERE = ROOT / "tests/kube"
CRDS = sorted((ROOT / "charts/millrace/crds").glob("*.yaml"))
SAMPLES = sorted((ROOT / "deploy/samples").glob("*.yaml"))
BAD_AT_LEAST = 30


def read(path):
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def merged(base, change):
    """`base` with `change` laid over it; null takes a field away."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    out = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def tried(manifest, namespace="default"):
    """(accepted, what the API server says) of an object that is not kept."""
    done = kubectl("-n", namespace, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json", "-f", "-",
                   given=json.dumps(manifest), check=False)
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr


class Definitions(unittest.TestCase):
    def test_samples_are_accepted(self):
        for path in SAMPLES:
            for one in read(path):
                accepted, says = tried(one)
                self.assertTrue(accepted, f"{path.name}: {says}")

    def test_what_the_pages_show_is_accepted(self):
        bases = yaml.safe_load((HERE / "bad_manifests.yaml").read_text(encoding="utf-8"))["bases"]
        blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8"), re.DOTALL)
        self.assertGreater(len(blocks), 2)
        for block in blocks:
            for shown in yaml.safe_load_all(block):
                # A part of a cluster's spec, or a whole resource.
                accepted, says = tried(shown if "kind" in shown else merged(bases["mrc"], shown))
                self.assertTrue(accepted, f"{block}\n{says}")

    def test_every_field_has_a_description(self):
        def walk(schema, where):
            for name, field in schema.get("properties", {}).items():
                if not field.get("description"):
                    missing.append(f"{where}.{name}")
                walk(field, f"{where}.{name}")
            if isinstance(schema.get("items"), dict):
                walk(schema["items"], f"{where}[]")

        missing = []
        for path in CRDS:
            for definition in read(path):
                for version in definition["spec"]["versions"]:
                    schema = version["schema"]["openAPIV3Schema"]
                    for part in ("spec", "status"):
                        walk(schema["properties"][part], f"{definition['spec']['names']['kind']}.{part}")
        self.assertEqual(missing, [])

    def test_explain_knows_them(self):
        self.assertIn("brokers", kubectl("explain", "mrc.spec"))
        self.assertIn("partitions", kubectl("explain", "mrt.spec"))

    def test_columns(self):
        for kind, columns in (("mrc", "READY"), ("mrt", "PARTITIONS")):
            apply(yaml.safe_load((HERE / "bad_manifests.yaml").read_text(encoding="utf-8"))["bases"][kind])
            self.assertIn(columns, kubectl("get", kind).splitlines()[0])
        kubectl("delete", "mrc,mrt", "--all", "--wait=false")

    def test_scale(self):
        apply(yaml.safe_load((HERE / "bad_manifests.yaml").read_text(encoding="utf-8"))["bases"]["mrc"])
        kubectl("scale", "mrc", "events", "--replicas=5")
        self.assertEqual(kubectl("get", "mrc", "events", "-o", "jsonpath={.spec.brokers}"), "5")
        kubectl("delete", "mrc", "events", "--wait=false")

    def test_status_is_written_apart(self):
        apply(yaml.safe_load((HERE / "bad_manifests.yaml").read_text(encoding="utf-8"))["bases"]["mrc"])
        kubectl("patch", "mrc", "events", "--type=merge", "-p", '{"status": {"observedGeneration": 7}}')
        self.assertEqual(kubectl("get", "mrc", "events", "-o", "jsonpath={.status.observedGeneration}"), "")
        kubectl("patch", "mrc", "events", "--subresource=status", "--type=merge", "-p", '{"status": {"observedGeneration": 7}}')
        self.assertEqual(kubectl("get", "mrc", "events", "-o", "jsonpath={.status.observedGeneration}"), "7")
        kubectl("delete", "mrc", "events", "--wait=false")


class Manifests(unittest.TestCase):
    """bad_manifests.yaml, a test for each case."""


def refused_test(bases, case):
    def test(self):
        before = bases[case["kind"]]
        if "from" in case:
            before = merged(before, case["from"])
            apply(before)
        try:
            accepted, says = tried(merged(before, case["change"]))
            self.assertFalse(accepted, f"the API server accepts it: {case['change']}")
            self.assertIn(case["says"], re.sub(r"\s+", " ", says))
        finally:
            if "from" in case:
                kubectl("delete", case["kind"], before["metadata"]["name"], "--wait=false")
    return test


def accepted_test(bases, case):
    def test(self):
        before = bases[case["kind"]]
        if "from" in case:
            before = merged(before, case["from"])
            apply(before)
        try:
            accepted, says = tried(merged(before, case["change"]))
            self.assertTrue(accepted, says)
        finally:
            if "from" in case:
                kubectl("delete", case["kind"], before["metadata"]["name"], "--wait=false")
    return test


def add_cases():
    given = yaml.safe_load((HERE / "bad_manifests.yaml").read_text(encoding="utf-8"))
    assert len(given["refused"]) >= BAD_AT_LEAST, "too few bad manifests"
    for number, case in enumerate(given["refused"]):
        setattr(Manifests, f"test_{number:02}_refused_{re.sub(r'[^a-z0-9]+', '_', case['name'].lower())}",
                refused_test(given["bases"], case))
    for case in given["accepted"]:
        setattr(Manifests, f"test_accepted_{re.sub(r'[^a-z0-9]+', '_', case['name'].lower())}", accepted_test(given["bases"], case))


class Chart(unittest.TestCase):
    """What the chart renders, for a real API server."""

    def setUp(self):
        apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("millrace", "shop", "bank")])

    def test_everything_it_renders_is_accepted(self):
        cases = [path for path in sorted((ROOT / "tests/chart/cases").glob("*.yaml")) if not path.name.endswith(".golden.yaml")]
        for values in cases:
            text = helm("template", "millrace", ROOT / "charts/millrace", "-n", "millrace", "-f", values, "--kube-version", "1.34.0")
            # Not the kinds of the Prometheus operator, which is not here.
            apply([one for one in yaml.safe_load_all(text) if one and not one["apiVersion"].startswith("monitoring.coreos.com")], None,
                  "--dry-run=server")

    def test_the_plain_manifests_are_accepted(self):
        for name in ("crds.yaml", "operator.yaml", "operator-one-namespace.yaml"):
            kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", f"deploy/{name}")

    def test_the_operator_may_do_its_work_and_no_more(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
            yaml.safe_dump({"watch": {"namespaces": ["shop"]}}, values)
            values.flush()
            text = helm("template", "millrace", ROOT / "charts/millrace", "-n", "millrace", "-f", values.name, "--kube-version", "1.34.0")
        rules = [one for one in yaml.safe_load_all(text) if one and ("Role" in one["kind"] or one["kind"] == "ServiceAccount")]
        apply(rules)

        def may(verb, what, *where):
            done = kubectl("auth", "can-i", verb, what, *where, "--as=system:serviceaccount:millrace:millrace-operator", check=False)
            return done.stdout.strip() == "yes"

        for verb, what in (("watch", "millraceclusters.millrace.dev"), ("patch", "millracetopics.millrace.dev/status"), ("delete", "pods"),
                           ("patch", "persistentvolumeclaims"), ("create", "statefulsets.apps"), ("get", "namespaces/shop")):
            self.assertTrue(may(verb, what, "-n", "shop"), f"{verb} {what}")
            if what != "namespaces/shop":
                self.assertFalse(may(verb, what, "-n", "bank"), f"{verb} {what} elsewhere")
        self.assertTrue(may("list", "nodes"))
        self.assertTrue(may("patch", "leases.coordination.k8s.io/millrace-operator", "-n", "millrace"))
        for verb, what, where in (("get", "secrets", "shop"), ("list", "secrets", "millrace"), ("create", "pods", "shop"),
                                  ("create", "pods/exec", "shop"), ("delete", "millraceclusters.millrace.dev", "shop"),
                                  ("patch", "leases.coordination.k8s.io/other", "millrace"), ("create", "roles", "shop"),
                                  ("patch", "nodes", "default"), ("deletecollection", "persistentvolumeclaims", "shop")):
            self.assertFalse(may(verb, what, "-n", where), f"{verb} {what}")


def prepare():
    for path in CRDS:
        kubectl("apply", "--server-side", "-f", path)
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    until("the new kinds are served", lambda: kubectl("get", "mrc,mrt", check=False).returncode == 0, seconds=30)


if __name__ == "__main__":
    if not CRDS:
        raise Failed("charts/millrace/crds is empty")
    prepare()
    add_cases()
    outcome = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    failed = len({case.id().split(" ")[0] for case, _ in outcome.failures + outcome.errors})
    print(f"{outcome.testsRun - failed - len(outcome.skipped)} passed, {failed} failed, {len(outcome.skipped)} skipped")
    sys.exit(1 if failed else 0)
