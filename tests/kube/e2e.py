"""A cluster's whole life on a real node: e2e.py [step ...]

From an empty Kubernetes to an empty Kubernetes: install, a cluster, a topic, clients inside and outside, scaling, rolls, kills, a broken
image, volumes that are used again, upgrade, removal; a producer with acks=all, readers and a checker run all the way. Steps build on
each other, in order; with names only those run (the node is as the last run left it). The last line is "N passed, N failed, N skipped";
build/test/node.json has times, pauses and sizes.

BUILD is the build directory, TOOLS the folder of the Python clients (tests/compat/setup.sh); KUBECTL, HELM, KUBECONFIG as in kubectl.py.
"""

import copy
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback

import monitoring
import yaml
from kubectl import ROOT, Failed, apply, condition, get, helm, items, kubectl, run, until
from node import Load, in_node, kill_process, make_image, memory_of, port_forward, runtime

BUILD = pathlib.Path(os.environ["BUILD"])
TOOLS = pathlib.Path(os.environ["TOOLS"])
SPACE = "millrace"
CLUSTER, TOPIC, PARTITIONS = "events", "orders", 6
OPERATOR_IMAGE, BROKER_IMAGE = "localhost/millrace-operator", "localhost/millrace"
VERSION = yaml.safe_load((ROOT / "charts/millrace/Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
KCAT_IMAGE = "localhost/kcat:1"
BROKER, OPERATOR = "/usr/bin/millrace", "/usr/bin/millrace-operator"
# What fits on a machine of two processors beside everything else.
SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
FIRST_NODE_PORT = 31090
NODE_NETWORK = "10.10.0."
ROLL_SECONDS = 420
TIDY_SECONDS = 70  # the operator gives memory back every minute

facts = {"sizes": {}, "seconds": {}}
state = {}
STEPS = []


def step(function):
    STEPS.append(function)
    return function


def sample(name):
    return [one for one in yaml.safe_load_all((ROOT / "deploy/samples" / name).read_text(encoding="utf-8")) if one]


def cluster_resource(**spec):
    """deploy/samples/cluster.yaml, with less of everything, and with changes."""
    resource = sample("cluster.yaml")[0]
    resource["spec"]["storage"] = {"size": "2Gi"}
    resource["spec"]["pod"] = {"resources": SMALL}
    resource["spec"]["config"] |= {"shards": "1", "disk.reserve.bytes": "16777216"}
    resource["spec"] |= spec
    return resource


def patch(kind, name, change):
    kubectl("-n", SPACE, "patch", kind, name, "--type=merge", "-p", json.dumps(change))


def cluster():
    return get("mrc", CLUSTER, SPACE)


def is_ready(kind, name):
    """The condition is of the resource as it is now."""
    thing = get(kind, name, SPACE)
    ready = condition(thing, "Ready")
    return ready.get("status") == "True" and thing["status"].get("observedGeneration") == thing["metadata"]["generation"]


def settled():
    """Ready, and nothing under way any more."""
    return is_ready("mrc", CLUSTER) and condition(cluster(), "Progressing").get("status") == "False"


def pods():
    found = {one["metadata"]["name"]: one for one in items("pods", SPACE, f"millrace.dev/cluster={CLUSTER}")}
    return {name: found[name] for name in sorted(found)}


def images():
    return {name: one["spec"]["containers"][0]["image"] for name, one in pods().items()}


def uids():
    return {name: one["metadata"]["uid"] for name, one in pods().items()}


def operator_pod():
    running = [one for one in items("pods", SPACE, "app.kubernetes.io/name=millrace-operator")
               if one["status"].get("phase") == "Running" and not one["metadata"].get("deletionTimestamp")]
    return running[0]["metadata"]["name"]


def millctl(*arguments, pod="events-0", given=None, check=True):
    flags = ["-i"] if given is not None else []
    return kubectl("-n", SPACE, "exec", *flags, pod, "--", "/usr/bin/millctl", "--broker", f"{CLUSTER}-bootstrap:9094", *arguments,
                   given=given, check=check)


def timed(name, what, check, seconds):
    started = time.monotonic()
    until(what, check, seconds)
    facts["seconds"][name] = round(time.monotonic() - started, 1)


def load_goes_on(name):
    """Every partition takes records of every producer again; how long the longest pause of the step was."""
    state["load"].ask("moves")
    seen = state["load"].mark(name)
    print(f"       {name}: longest pause {seen['pause_ms']} ms, {seen['acks']} records acknowledged", flush=True)


# --- from nothing to a cluster


@step
def zones():
    """Each node stands in a zone of its own (A91)."""
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    assert len({one["metadata"]["labels"]["topology.kubernetes.io/zone"] for one in nodes}) == len(nodes)
    assert len(nodes) >= 3, "run_node.sh makes three"


@step
def load_images():
    """The images, out of this build, as the Dockerfile makes them."""
    broker = runtime(BUILD / "bin/millrace", BUILD / "bin/millctl")

    def with_data(root):
        broker(root)
        (root / "data").mkdir()

    facts["sizes"]["broker_image_bytes"] = make_image(f"{BROKER_IMAGE}:{VERSION}", with_data, [BROKER])
    # The next release: the same programs under another name.
    make_image(f"{BROKER_IMAGE}:next", with_data, [BROKER])
    operator = runtime(BUILD / "bin/millrace-operator")
    facts["sizes"]["operator_image_bytes"] = make_image(f"{OPERATOR_IMAGE}:{VERSION}", operator, [OPERATOR])
    make_image(f"{OPERATOR_IMAGE}:next", operator, [OPERATOR])
    make_image(KCAT_IMAGE, runtime("/usr/bin/kcat"), ["/usr/bin/kcat"])

    def broken(root):
        runtime("/bin/false")(root)
        (root / "usr/bin/false").rename(root / "usr/bin/millrace")

    make_image(f"{BROKER_IMAGE}:broken", broken, [BROKER])


@step
def install():
    started = time.monotonic()
    helm("install", "millrace", ROOT / "charts/millrace", "-n", SPACE, "--create-namespace", "--wait", "--timeout", "3m")
    facts["seconds"]["helm install"] = round(time.monotonic() - started, 1)
    assert items("deployments", SPACE)[0]["status"]["readyReplicas"] == 1


@step
def cluster_from_a_sample():
    """kubectl apply of the sample until Ready, with three brokers (A11, A82, A90)."""
    apply(cluster_resource(), SPACE)
    timed("apply to Ready", "the cluster is Ready", lambda: is_ready("mrc", CLUSTER), 300)
    until("nothing is under way any more", settled, 120)
    assert len(pods()) == 3
    assert all(condition(one, "Ready").get("status") == "True" for one in pods().values())
    for one in pods().values():
        container = one["spec"]["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["spec"]["securityContext"]["runAsNonRoot"] is True


@step
def spread_over_zones():
    """Brokers stand on different nodes, and know in which zone (A91)."""
    nodes = {one["spec"]["nodeName"] for one in pods().values()}
    assert len(nodes) == 3, nodes
    racks = {one["id"]: one["rack"] for one in json.loads(millctl("-o", "json", "broker", "list"))}
    expected = {int(name.rsplit("-", 1)[1]): "zone-" + one["spec"]["nodeName"][-1] for name, one in pods().items()}
    assert racks == expected, (racks, expected)


@step
def topic_from_a_sample():
    apply(sample("topic.yaml"), SPACE)
    timed("topic Ready", "the topic is Ready", lambda: is_ready("mrt", TOPIC), 60)
    assert f'"{TOPIC}"' in millctl("-o", "json", "topic", "list")


@step
def clients_inside():
    """gRPC by millctl in a pod, the Kafka protocol by kcat in a pod of its own (A90)."""
    millctl("topic", "create", "inside", "--partitions", "3")
    millctl("produce", "inside", given="by grpc\n")
    kafka = f"{CLUSTER}-bootstrap.{SPACE}.svc:9092"

    def kcat(name, *arguments, given=None):
        return kubectl("-n", SPACE, "run", name, f"--image={KCAT_IMAGE}", "--image-pull-policy=Never", "--restart=Never", "--rm", "-i",
                       "--quiet", "--", "-b", kafka, *arguments, given=given)

    kcat("kcat-in", "-P", "-t", "inside", given="by kafka\n")
    seen = kcat("kcat-out", "-C", "-t", "inside", "-o", "beginning", "-e", "-q", given="")
    assert sorted(line for line in seen.splitlines() if line.startswith("by ")) == ["by grpc", "by kafka"], seen
    assert "by kafka" in millctl("consume", "inside", "--from", "earliest", "--until-end")


@step
def grpc_from_outside():
    with port_forward(SPACE, f"service/{CLUSTER}-bootstrap", 9094) as port:
        broker = ["--broker", f"127.0.0.1:{port}"]
        run(BUILD / "bin/millctl", *broker, "produce", "inside", given="from outside\n")
        assert "from outside" in run(BUILD / "bin/millctl", *broker, "consume", "inside", "--from", "earliest", "--until-end")


@step
def load_begins():
    state["load"] = Load(TOOLS / "main/bin/python", f"{CLUSTER}-bootstrap.{SPACE}.svc:9092", TOPIC, PARTITIONS)
    time.sleep(5)
    load_goes_on("at rest")


@step
def monitored():
    """A real Prometheus in the node, with our plain configuration and alerts (A86)."""
    state["prometheus"] = monitoring.Prometheus()
    until("Prometheus scrapes brokers and the operator", lambda: monitoring.targets_up(state["prometheus"]) == 4, 120)


# --- while it runs


def scale_to_four():
    kubectl("-n", SPACE, "scale", "mrc", CLUSTER, "--replicas=4")
    until("four brokers are Ready", lambda: len(pods()) == 4 and is_ready("mrc", CLUSTER), 300)
    until("the new broker leads something", lambda: '"leader":3' in millctl("-o", "json", "partition", "list").replace(" ", ""), 300)
    until("nothing moves any more", settled, 300)


def scale_to_three(in_the_middle):
    kubectl("-n", SPACE, "scale", "mrc", CLUSTER, "--replicas=3")
    until("the broker is being emptied", lambda: condition(cluster(), "Progressing").get("status") == "True", 60)
    in_the_middle()
    until("three brokers are left", lambda: len(pods()) == 3 and settled(), 420)
    volume = get("pvc", f"data-{CLUSTER}-3", SPACE)
    assert volume, "the volume of the broker that left is gone"
    assert volume["metadata"]["annotations"].get("millrace.dev/receipt"), volume["metadata"]["annotations"]


def roll(level, in_the_middle):
    """A setting that brokers read only when they start. in_the_middle() takes the names of the pods that are still to be restarted."""
    before = uids()
    patch("mrc", CLUSTER, {"spec": {"config": {"log.level": level}}})
    until("the first broker is restarted", lambda: uids() != before, 120)
    in_the_middle([name for name, uid in before.items() if uids().get(name) == uid])
    until("all are restarted", lambda: len(uids()) == 3 and not set(uids().values()) & set(before.values()) and settled(), ROLL_SECONDS)


def kill_operator(*_):
    kill_process(SPACE, operator_pod(), OPERATOR)


@step
def scale_up():
    started = time.monotonic()
    scale_to_four()
    facts["seconds"]["scale up"] = round(time.monotonic() - started, 1)
    load_goes_on("scale 3 to 4")


@step
def scale_down_with_operator_killed():
    started = time.monotonic()
    scale_to_three(kill_operator)
    facts["seconds"]["scale down"] = round(time.monotonic() - started, 1)
    load_goes_on("scale 4 to 3, operator killed")


@step
def scale_down_with_brokers_killed():
    """One that stays is killed, the pod of the one that leaves is deleted."""
    scale_to_four()
    load_goes_on("scale 3 to 4 again")

    def kill_and_delete():
        kill_process(SPACE, f"{CLUSTER}-1", BROKER)
        kubectl("-n", SPACE, "delete", "pod", f"{CLUSTER}-3", "--wait=false")

    scale_to_three(kill_and_delete)
    load_goes_on("scale 4 to 3, a broker killed -9 and a pod deleted")


@step
def config_roll():
    """The operator is killed in the middle."""
    started = time.monotonic()
    roll("debug", kill_operator)
    facts["seconds"]["config roll"] = round(time.monotonic() - started, 1)
    load_goes_on("config roll, operator killed")


@step
def config_roll_with_pod_deleted():
    """The pod of a broker that is still to be restarted is deleted in the middle."""
    roll("info", lambda stale: kubectl("-n", SPACE, "delete", "pod", stale[0], "--wait=false"))
    load_goes_on("config roll, a pod deleted")


@step
def config_while_running():
    """A setting that brokers take while they run restarts nobody."""
    before = uids()
    patch("mrc", CLUSTER, {"spec": {"config": {"message.max.bytes": "2097152"}}})
    until("the setting is in force", lambda: is_ready("mrc", CLUSTER) and settled(), 60)
    assert uids() == before
    load_goes_on("dynamic setting")


@step
def image_roll():
    before = uids()
    started = time.monotonic()
    patch("mrc", CLUSTER, {"spec": {"image": f"{BROKER_IMAGE}:next"}})
    until("the first broker is restarted", lambda: uids() != before, 120)
    victim = next(name for name, image in images().items() if not image.endswith(":next"))
    kill_process(SPACE, victim, BROKER)
    until("all run the new image", lambda: len(images()) == 3 and all(image.endswith(":next") for image in images().values()) and settled(),
          ROLL_SECONDS)
    facts["seconds"]["image roll"] = round(time.monotonic() - started, 1)
    load_goes_on("image roll, broker killed -9")


@step
def broken_image():
    """A new image that does not run stops the roll at the first broker; a corrected resource goes on."""
    before = uids()
    patch("mrc", CLUSTER, {"spec": {"image": f"{BROKER_IMAGE}:broken"}})
    until("the roll is stopped", lambda: condition(cluster(), "Degraded").get("status") == "True", 240)
    facts["broken image"] = condition(cluster(), "Degraded")
    time.sleep(15)
    kept = [name for name, uid in uids().items() if before.get(name) == uid]
    assert len(kept) == 2, f"only {kept} were left alone"
    load_goes_on("image that crashes")
    patch("mrc", CLUSTER, {"spec": {"image": f"{BROKER_IMAGE}:{VERSION}"}})
    until("all run the corrected image", lambda: set(images().values()) == {f"{BROKER_IMAGE}:{VERSION}"} and settled(), ROLL_SECONDS)
    assert condition(cluster(), "Degraded").get("status") == "False"
    load_goes_on("image corrected")


@step
def pod_deleted():
    before = uids()[f"{CLUSTER}-1"]
    started = time.monotonic()
    kubectl("-n", SPACE, "delete", "pod", f"{CLUSTER}-1")
    until("the pod is there again", lambda: uids().get(f"{CLUSTER}-1") not in (None, before) and settled(), 180)
    facts["seconds"]["pod deleted"] = round(time.monotonic() - started, 1)
    load_goes_on("kubectl delete pod")


@step
def broker_killed():
    kill_process(SPACE, f"{CLUSTER}-2", BROKER)
    load_goes_on("kill -9 of a broker")
    until("it is well again", settled, 180)


@step
def node_drained():
    """kubectl drain takes the broker's pod, whose volume stays on the node; it comes back with the node."""
    node = pods()[f"{CLUSTER}-1"]["spec"]["nodeName"]
    kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=150s", seconds=170)
    load_goes_on("node drained")
    kubectl("uncordon", node)
    until("it is well again", settled, 240)
    assert pods()[f"{CLUSTER}-1"]["spec"]["nodeName"] == node
    load_goes_on("node back")


@step
def held_broker():
    """A broker that is held is not restarted; the roll goes on when it is let go."""
    before = uids()
    kubectl("-n", SPACE, "annotate", "pod", f"{CLUSTER}-1", "millrace.dev/hold=true")
    patch("mrc", CLUSTER, {"spec": {"config": {"log.level": "warn"}}})
    until("the others are restarted", lambda: all(uids().get(f"{CLUSTER}-{n}") not in (None, before[f"{CLUSTER}-{n}"]) for n in (0, 2)),
          ROLL_SECONDS)
    time.sleep(10)
    assert uids()[f"{CLUSTER}-1"] == before[f"{CLUSTER}-1"]
    kubectl("-n", SPACE, "annotate", "pod", f"{CLUSTER}-1", "millrace.dev/hold-")
    until("the last one is restarted", lambda: uids().get(f"{CLUSTER}-1") not in (None, before[f"{CLUSTER}-1"]) and settled(), ROLL_SECONDS)
    load_goes_on("roll with a hold")


@step
def nodeport():
    """A listener outside: a Kafka client at the nodes' addresses (A90)."""
    listeners = [{"name": "plain", "port": 9092, "type": "internal"},
                 {"name": "outside", "port": 9095, "type": "nodeport", "firstNodePort": FIRST_NODE_PORT}]
    patch("mrc", CLUSTER, {"spec": {"listeners": listeners}})
    until("the listener is there", lambda: settled() and get("service", f"{CLUSTER}-0-outside", SPACE), ROLL_SECONDS)
    address = f"{NODE_NETWORK}1:{FIRST_NODE_PORT - 1}"
    addresses = [f"{NODE_NETWORK}{one['spec']['nodeName'][-1]}:{FIRST_NODE_PORT + int(name[-1])}" for name, one in pods().items()]

    def all_told():
        listed = in_node("kcat", "-b", address, "-L", "-t", "inside", "-m", "10")
        return all(one in listed for one in addresses)
    # The kubelet takes up to a minute to bring what the operator wrote to pods that run.
    until("every broker's address is told", all_told, 180)
    in_node("kcat", "-b", address, "-P", "-t", "inside", given="by node port\n")
    assert "by node port" in in_node("kcat", "-b", address, "-C", "-t", "inside", "-o", "beginning", "-e", "-q")
    load_goes_on("listener added")


@step
def topic_life():
    """Created, grown, configured, set right after drift, shrink refused, deleted with its resource."""
    topic = {"apiVersion": "millrace.dev/v1alpha1", "kind": "MillraceTopic", "metadata": {"name": "clicks"},
             "spec": {"cluster": CLUSTER, "partitions": 3, "config": {"retention.ms": "3600000"}, "deletionPolicy": "Delete"}}
    apply(topic, SPACE)
    until("it is Ready", lambda: is_ready("mrt", "clicks"), 60)
    patch("mrt", "clicks", {"spec": {"partitions": 5, "config": {"retention.ms": "7200000"}}})
    until("it has grown", lambda: is_ready("mrt", "clicks"), 60)
    described = json.loads(millctl("-o", "json", "topic", "describe", "clicks"))
    assert "7200000" in json.dumps(described)
    shrunk = kubectl("-n", SPACE, "patch", "mrt", "clicks", "--type=merge", "-p", '{"spec": {"partitions": 2}}', check=False)
    assert shrunk.returncode, "partitions may fall"
    millctl("topic", "alter", "clicks", "--set", "retention.ms=1000")
    until("it is set right", lambda: "7200000" in millctl("-o", "json", "topic", "describe", "clicks"), 120)
    twin = copy.deepcopy(topic)
    twin["metadata"]["name"] = "clicks-again"
    twin["spec"]["topicName"] = "clicks"
    apply(twin, SPACE)
    until("the second one says why not", lambda: condition(get("mrt", "clicks-again", SPACE), "Ready").get("reason") == "DuplicateTopic", 60)
    kubectl("-n", SPACE, "delete", "mrt", "clicks-again", "--timeout=60s")
    assert '"clicks"' in millctl("-o", "json", "topic", "list")
    kubectl("-n", SPACE, "delete", "mrt", "clicks", "--timeout=60s")
    until("it is gone", lambda: '"clicks"' not in millctl("-o", "json", "topic", "list"), 60)
    load_goes_on("topics")


@step
def dashboards():
    """Every query of every dashboard and alert against what Prometheus has gathered (A87, A89)."""
    facts["dashboards"] = monitoring.verdict(state["prometheus"], SPACE, CLUSTER)
    assert not facts["dashboards"]["failed"], facts["dashboards"]["failed"]


@step
def at_rest_nothing_is_written():
    """A cluster that is well costs the API server nothing: resource versions stay."""
    until("nothing is under way", settled, 120)
    time.sleep(20)

    def versions():
        return {f"{kind}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
                for kind in ("mrc", "mrt", "statefulset", "service", "configmap", "poddisruptionbudget", "pvc") for one in items(kind, SPACE)}

    before = versions()
    time.sleep(45)
    changed = [name for name, version in versions().items() if before.get(name) != version]
    assert not changed, changed


@step
def memory():
    topics = [{"apiVersion": "millrace.dev/v1alpha1", "kind": "MillraceTopic", "metadata": {"name": f"many-{n}"},
               "spec": {"cluster": CLUSTER, "partitions": 1, "deletionPolicy": "Delete"}} for n in range(100)]
    started = time.monotonic()
    apply(topics, SPACE)
    until("100 topics are Ready", lambda: sum(condition(one, "Ready").get("status") == "True" for one in items("mrt", SPACE)
                                              if one["metadata"]["name"].startswith("many-")) == 100, 240)
    facts["seconds"]["100 topics Ready"] = round(time.monotonic() - started, 1)
    facts["sizes"]["operator_resident_bytes_100_topics_at_once"] = memory_of(SPACE, operator_pod(), OPERATOR)
    time.sleep(TIDY_SECONDS)
    facts["sizes"]["operator_resident_bytes_100_topics"] = memory_of(SPACE, operator_pod(), OPERATOR)
    facts["sizes"]["broker_resident_bytes"] = memory_of(SPACE, f"{CLUSTER}-0", BROKER)
    kubectl("-n", SPACE, "delete", "mrt", *[f"many-{n}" for n in range(100)], "--timeout=180s", seconds=200)
    load_goes_on("100 topics made and deleted")


@step
def load_ends():
    """The verdict: every acknowledged record once, in order, and nothing that nobody sent."""
    load = state.pop("load")
    facts["verdict"] = load.stop()
    facts["steps"] = load.steps
    state["records"] = facts["verdict"]["records"]


@step
def made_again_on_kept_data():
    before = {one["metadata"]["name"]: one["metadata"]["uid"] for one in items("pvc", SPACE)}
    kubectl("-n", SPACE, "delete", "mrc", CLUSTER, "--timeout=120s", seconds=150)
    until("the pods are gone", lambda: not pods(), 120)
    after = {one["metadata"]["name"]: one["metadata"]["uid"] for one in items("pvc", SPACE)}
    assert {name: uid for name, uid in before.items() if name in after} == after and len(after) >= 3, (before, after)
    apply(cluster_resource(), SPACE)
    timed("made again to Ready", "the cluster is Ready again", lambda: is_ready("mrc", CLUSTER), 300)
    count = in_node("bash", "-c", f"kcat -b {CLUSTER}-bootstrap.{SPACE}.svc:9092 -C -t {TOPIC} -o beginning -e -q | wc -l", seconds=300)
    assert int(count) == state["records"], f"{count} records of {state['records']}"


def names_of_operators():
    return [one["metadata"]["name"] for one in items("pods", SPACE, "app.kubernetes.io/name=millrace-operator")
            if "deletionTimestamp" not in one["metadata"]]


def holder():
    return get("lease", "millrace-operator", SPACE)["spec"].get("holderIdentity") or ""


@step
def upgrade():
    started = time.monotonic()
    helm("upgrade", "millrace", ROOT / "charts/millrace", "-n", SPACE, "--set", "image.tag=next,replicas=2", "--wait", "--timeout", "3m")
    facts["seconds"]["helm upgrade"] = round(time.monotonic() - started, 1)
    until("the cluster is looked after", settled, 300)
    # A Lease: one of the two works; the other takes over when it is killed.
    # The one before may hold it for a moment still, or have let it go a moment ago.
    leader = until("one of the two works", lambda: next((name for name in names_of_operators() if name in holder()), None), 60)
    kubectl("-n", SPACE, "delete", "pod", leader, "--grace-period=0", "--force")
    timed("other operator works", "the other one works", lambda: leader not in holder(), 60)


@step
def helm_test():
    helm("test", "millrace", "-n", SPACE, "--timeout", "2m")


@step
def uninstall():
    kubectl("-n", SPACE, "delete", "mrt,mrc", "--all", "--timeout=120s", seconds=150)
    helm("uninstall", "millrace", "-n", SPACE, "--wait", "--timeout", "2m")
    left = [f"{kind}/{one['metadata']['name']}" for kind in ("deployments", "statefulsets", "services", "roles", "rolebindings", "configmaps")
            for one in items(kind, SPACE) if one["metadata"]["name"] != "kube-root-ca.crt"]
    assert not left, left
    assert len(items("pvc", SPACE)) >= 3, "the volumes are gone"
    kubectl("delete", "namespace", SPACE, "--timeout=120s", seconds=150)


def keep_logs(step_name):
    """Of every pod, under build/test/pods: the nodes may not be there any more when somebody asks."""
    folder = ROOT / "build/test/pods" / step_name
    folder.mkdir(parents=True, exist_ok=True)
    for pod in items("pods", SPACE):
        name = pod["metadata"]["name"]
        log = kubectl("-n", SPACE, "logs", name, "--all-containers", "--prefix", check=False).stdout
        (folder / f"{name}.log").write_text(log, encoding="utf-8")
    print(f"  what the pods logged is in {folder.relative_to(ROOT)}", flush=True)


def run_steps(wanted):
    passed, failed = [], []
    for function in STEPS:
        name = function.__name__
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        try:
            function()
            passed.append(name)
            print(f"ok     {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except (Failed, AssertionError, KeyError, IndexError, StopIteration, TypeError, ValueError, subprocess.SubprocessError) as problem:
            failed.append(name)
            print(f"FAILED {name} ({time.monotonic() - started:.1f} s): {problem}", flush=True)
            traceback.print_exc()
            print(kubectl("-n", SPACE, "get", "mrc,mrt,pods,pvc", "-o", "wide", check=False).stdout, flush=True)
            for one in ((cluster() or {}).get("status") or {}).get("conditions") or []:
                print(f"  {one['type']}={one['status']} {one['reason']}: {one['message']}", flush=True)
            keep_logs(name)
    return passed, failed


def report():
    print("\nseconds:", json.dumps(facts["seconds"]), "\nsizes:", json.dumps(facts["sizes"]), "\nverdict:", json.dumps(facts.get("verdict")))
    out = ROOT / "build/test/node.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        done, broken = run_steps(sys.argv[1:])
    finally:
        if "load" in state:
            facts["steps"] = state["load"].steps
            state["load"].end()
        if "prometheus" in state:
            state["prometheus"].stop()
        report()
    print(f"{len(done)} passed, {len(broken)} failed, {0 if sys.argv[1:] else len(STEPS) - len(done) - len(broken)} skipped")
    sys.exit(1 if broken else 0)
