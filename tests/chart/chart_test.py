"""The chart and what is made from it, without a cluster: chart_test.py

HELM and PROMTOOL name the programs. REWRITE=1 writes what cases/*.yaml become to cases/*.golden.yaml. The last line is
"N passed, N failed, N skipped".
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import metrics
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
CHART = ROOT / "charts/millrace"
HELM = os.environ.get("HELM", "helm")
PROMTOOL = os.environ.get("PROMTOOL", "promtool")
# Rendered for it, whatever the Helm at hand takes for granted.
KUBE_VERSION = "1.34.0"
CASES = sorted(path for path in (HERE / "cases").glob("*.yaml") if not path.name.endswith(".golden.yaml"))
DASHBOARDS = sorted((CHART / "files/dashboards").glob("*.json"))
RULES = CHART / "files/rules/millrace.yaml"


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT)


def documents(text):
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(values):
    """What a file of values becomes; its first line may give further options: "# helm: --is-upgrade"."""
    first = values.read_text(encoding="utf-8").splitlines()[0]
    options = first.removeprefix("# helm:").split() if first.startswith("# helm:") else []
    done = run(HELM, "template", "millrace", CHART, "--namespace", "millrace", "--kube-version", KUBE_VERSION, "-f", values, *options)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


class Chart(unittest.TestCase):
    def test_lints(self):
        for values in [None, *CASES]:
            done = run(HELM, "lint", "--strict", "--kube-version", KUBE_VERSION, CHART, *(["-f", values] if values else []))
            self.assertEqual(done.returncode, 0, f"{values}: {done.stdout}{done.stderr}")

    def test_version_is_that_of_the_project(self):
        project = re.search(r"project\(millrace VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[1]
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
        self.assertEqual((chart["version"], chart["appVersion"]), (project, project))

    def test_every_value_has_a_schema_and_the_other_way_round(self):
        values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        self.assertEqual(sorted(values), sorted(set(schema["properties"]) - {"global"}))
        for name, value in values.items():
            inner = schema["properties"][name].get("properties")
            if inner:
                self.assertEqual(sorted(value), sorted(inner), name)

    def test_refuses_bad_values_and_says_why(self):
        for case in yaml.safe_load((HERE / "bad_values.yaml").read_text(encoding="utf-8")):
            with self.subTest(case["says"]), tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
                yaml.safe_dump(case["values"], values)
                values.flush()
                done = run(HELM, "template", "millrace", CHART, "--kube-version", KUBE_VERSION, "-f", values.name)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(case["says"], done.stderr)

    def test_rights_are_the_least(self):
        for values in CASES:
            for one in documents(rendered(values)):
                for rule in one.get("rules") or []:
                    self.assertNotIn("*", rule["verbs"] + rule["resources"] + rule["apiGroups"], values.name)
                    self.assertNotIn("secrets", rule["resources"], values.name)
                    self.assertFalse({"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"]), values.name)

    def test_one_namespace_needs_no_cluster_role(self):
        kinds = {one["kind"] for one in documents((ROOT / "deploy/operator-one-namespace.yaml").read_text(encoding="utf-8"))}
        self.assertFalse({"ClusterRole", "ClusterRoleBinding"} & kinds)
        self.assertIn("Role", kinds)

    def test_no_pod_of_the_chart_is_found_as_an_operator_but_the_operators(self):
        for values in CASES:
            objects = documents(rendered(values))
            selector = next(one for one in objects if one["kind"] == "Service")["spec"]["selector"]
            for one in objects:
                template = one if one["kind"] == "Pod" else one.get("spec", {}).get("template") if one["kind"] in ("Job", "Deployment") else None
                if template:
                    found = selector.items() <= template["metadata"]["labels"].items()
                    self.assertEqual(found, one["kind"] == "Deployment", f"{values.name}: {one['kind']}")

    def test_dashboards_are_config_maps_for_the_sidecar(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
            yaml.safe_dump({"dashboards": {"enabled": True, "namespace": "grafana", "annotations": {"grafana_folder": "Millrace"}}}, values)
            values.flush()
            maps = [one for one in documents(rendered(pathlib.Path(values.name))) if "dashboard" in str(one["metadata"].get("labels"))]
        self.assertEqual(len(maps), len(DASHBOARDS))
        for path in DASHBOARDS:
            one = next(one for one in maps if f"millrace-{path.name}" in one["data"])
            self.assertEqual(one["metadata"]["namespace"], "grafana")
            self.assertEqual(one["metadata"]["labels"]["grafana_dashboard"], "1")
            self.assertEqual(json.loads(one["data"][f"millrace-{path.name}"]), json.loads(path.read_text(encoding="utf-8")))

    def test_an_upgrade_applies_the_definitions(self):
        objects = documents(rendered(HERE / "cases/everything.yaml"))
        given = next(one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"].endswith("-crds"))["data"]
        files = {path.with_suffix(".json").name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (CHART / "crds").glob("*.yaml")}
        self.assertEqual({name: json.loads(text) for name, text in given.items()}, files)
        job = next(one for one in objects if one["kind"] == "Job")
        args = job["spec"]["template"]["spec"]["containers"][0]["args"]
        self.assertEqual(args, ["apply", *sorted(f"/crds/{name}" for name in files)])
        role = next(one for one in objects if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith("-crds"))
        names = [name for rule in role["rules"] for name in rule.get("resourceNames", [])]
        self.assertEqual(sorted(names), sorted(one["metadata"]["name"] for one in files.values()))

    def test_deploy_is_what_the_chart_says(self):
        done = run("scripts/deploy", "--check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_samples_are_resources_of_ours(self):
        kinds = {"MillraceCluster", "MillraceTopic"}
        for path in sorted((ROOT / "deploy/samples").glob("*.yaml")):
            for one in documents(path.read_text(encoding="utf-8")):
                self.assertEqual(one["apiVersion"], "millrace.dev/v1alpha1", path.name)
                self.assertIn(one["kind"], kinds, path.name)


def golden_test(values):
    def test(self):
        golden = values.with_suffix("").with_suffix(".golden.yaml")
        # The definitions are long and have tests of their own.
        text = re.sub(r'(\.json: )".*"$', r'\1"..."', rendered(values), flags=re.MULTILINE)
        if os.environ.get("REWRITE"):
            golden.write_text(text, encoding="utf-8")
        self.maxDiff = None
        self.assertTrue(golden.exists(), f"{golden.name} is missing: REWRITE=1")
        self.assertEqual(golden.read_text(encoding="utf-8"), text)
    return test


for _values in CASES:
    setattr(Chart, f"test_renders_{_values.stem}", golden_test(_values))


class Rules(unittest.TestCase):
    def setUp(self):
        self.alerts = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]

    def test_are_good(self):
        done = run(PROMTOOL, "check", "rules", RULES, ROOT / "deploy/prometheus/alerts.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_plain_configuration_is_good(self):
        config = yaml.safe_load((ROOT / "deploy/prometheus/scrape.yaml").read_text(encoding="utf-8"))
        self.assertEqual(config["rule_files"], ["alerts.yaml"])
        config["rule_files"] = [str(ROOT / "deploy/prometheus/alerts.yaml")]
        for job in config["scrape_configs"]:
            # Debian's Prometheus is built without the discovery of pods.
            self.assertEqual(job.pop("kubernetes_sd_configs"), [{"role": "pod"}])
            job["file_sd_configs"] = [{"files": ["/targets.json"]}]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as out:
            yaml.safe_dump(config, out)
            out.flush()
            done = run(PROMTOOL, "check", "config", out.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_sound_when_they_should(self):
        done = run(PROMTOOL, "test", "rules", HERE / "alerts.test.yaml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_has_a_case_where_it_sounds_and_one_where_it_does_not(self):
        cases = yaml.safe_load((HERE / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
        checks = [check for case in cases for check in case["alert_rule_test"]]
        names = {alert["alert"] for alert in self.alerts}
        self.assertEqual({check["alertname"] for check in checks if check.get("exp_alerts")}, names)
        self.assertEqual({check["alertname"] for check in checks if not check.get("exp_alerts")}, names)

    def test_use_metrics_that_there_are(self):
        known = metrics.documented()
        for alert in self.alerts:
            self.assertEqual(metrics.problems(alert["expr"], known), [], alert["alert"])

    def test_say_what_to_do(self):
        for alert in self.alerts:
            self.assertIn(alert["labels"]["severity"], ("critical", "warning", "info"), alert["alert"])
            self.assertEqual(sorted(alert["annotations"]), ["description", "summary"], alert["alert"])


class Dashboards(unittest.TestCase):
    def setUp(self):
        self.boards = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}

    def panels(self):
        for name, board in self.boards.items():
            for panel in board["panels"]:
                if panel["type"] != "row":
                    yield f"{name}: {panel['title']}", panel

    def queries(self):
        for where, panel in self.panels():
            for target in panel["targets"]:
                yield where, target["expr"]

    def test_are_five_and_each_is_its_own(self):
        self.assertEqual(len(self.boards), 5)
        for key in ("uid", "title"):
            self.assertEqual(len({board[key] for board in self.boards.values()}), 5)
        for name, board in self.boards.items():
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)), name)

    def test_panels_say_what_they_show(self):
        for where, panel in self.panels():
            self.assertGreater(len(panel["description"]), 15, where)
            self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], where)
            self.assertTrue(panel["targets"], where)
            self.assertEqual(panel["datasource"]["uid"], "${datasource}", where)

    def test_panels_of_a_board_do_not_lie_on_each_other(self):
        for name, board in self.boards.items():
            taken = set()
            for panel in board["panels"]:
                at = panel["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertLessEqual(at["x"] + at["w"], 24, f"{name}: {panel['title']}")
                self.assertFalse(cells & taken, f"{name}: {panel['title']}")
                taken |= cells

    def test_queries_use_metrics_that_there_are(self):
        known = metrics.documented()
        for where, query in self.queries():
            self.assertEqual(metrics.problems(query, known), [], where)

    def test_queries_use_variables_that_there_are(self):
        for name, board in self.boards.items():
            have = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval"}
            used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
            self.assertLessEqual(used, have, name)

    def test_queries_are_promql(self):
        rules = [{"record": f"query:{number}", "expr": re.sub(r"\$__rate_interval", "5m", query)}
                 for number, (_, query) in enumerate(self.queries())]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as out:
            yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, out)
            out.flush()
            done = run(PROMTOOL, "check", "rules", out.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Metrics(unittest.TestCase):
    """The checker of queries itself."""

    KNOWN = {"millrace_topics": {"pod", "topic"}, "millrace_groups": {"pod", "state"}}

    def test_finds_a_metric_that_there_is_not(self):
        self.assertEqual(metrics.problems('sum(rate(millrace_topcs{pod="x"}[5m]))', self.KNOWN), ["no metric is called millrace_topcs"])

    def test_finds_a_label_that_there_is_not(self):
        self.assertEqual(metrics.problems('millrace_topics{tpic="a,b",pod=~"x"}', self.KNOWN), ["millrace_topics has no label tpic"])
        self.assertEqual(metrics.problems("sum by (state) (millrace_topics)", self.KNOWN), ["nothing in it has the label state"])

    def test_accepts_what_is_right(self):
        self.assertEqual(metrics.problems('max by (topic) (millrace_topics{topic!=""}) / on (pod) millrace_groups', self.KNOWN), [])


if __name__ == "__main__":
    outcome = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    failed = len({case.id().split(" ")[0] for case, _ in outcome.failures + outcome.errors})
    skipped = len(outcome.skipped)
    print(f"{outcome.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)
