"""The two brokers under test: how each is started, stopped, parked and measured."""

import base64
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import machine

BENCH = pathlib.Path(__file__).resolve().parent.parent
KAFKA_VERSION = re.search(r"<kafka.version>(.+?)<", (BENCH / "peer" / "pom.xml").read_text())[1]
CACHE = pathlib.Path(os.environ.get("MILLRACE_BENCH_CACHE", pathlib.Path.home() / ".cache" / "millrace-bench"))
# The options that kafka-run-class.sh and kafka-server-start.sh give a broker.
JVM = ["-Xmx1g", "-Xms1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
       "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kafka_jars():
    """Folder with the jars of the server, fetched by Maven the first time."""
    jars = CACHE / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    part = jars.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mvn", "-q", "-B", "-ntp", "-f", str(BENCH / "peer" / "pom.xml"), "dependency:copy-dependencies",
                    f"-DoutputDirectory={part}"], check=True, timeout=900)
    part.rename(jars)
    return jars


class Broker:
    """One process with a data folder of its own. A subclass says how it is launched."""

    name = "broker"
    host = "127.0.0.1"
    replication = 1

    def __init__(self, parent, settings=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=parent))
        self.settings = list(settings)
        self.port = free_port()
        self.process = None
        self.launched_ns = 0
        self.started = False  # whether it has served before on this folder

    @property
    def bootstrap(self):
        return f"{self.host}:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def command(self):
        raise NotImplementedError

    def prepare(self):
        """What has to be there before the first start; not part of any measured time."""

    def launch(self):
        """Starts the process and returns at once."""
        self.prepare()
        with open(self.folder / "output", "ab") as output:
            self.launched_ns = time.monotonic_ns()
            self.process = subprocess.Popen(self.command(), stdout=output, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        self.started = True

    def start(self, seconds=120):
        self.launch()
        machine.wait_until(self.listening, seconds, f"{self.name} listens on {self.bootstrap}\n{self.tail()}")
        return self

    def listening(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
        try:
            socket.create_connection((self.host, self.port), 1).close()
        except OSError:
            return False
        return True

    def running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self):
        output = self.folder / "output"
        return "\n".join(output.read_text(errors="replace").splitlines()[-20:]) if output.exists() else ""

    def kill(self):
        """kill -9: the data folder stays as it is."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=120):
        """Clean stop. Seconds that it took."""
        begin = time.monotonic()
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return time.monotonic() - begin

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def park(self):
        """Halts the process, so that it takes nothing from the other broker's run."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def cpu_s(self):
        return machine.cpu_s(self.pid)

    def rss_mib(self):
        return machine.rss_mib(self.pid)


class Millrace(Broker):
    """Durable before it answers: it has no other way."""

    name = "millrace"

    def __init__(self, binary, parent, settings=()):
        super().__init__(parent, settings)
        self.binary = binary

    def command(self):
        return [str(self.binary), "--data", str(self.folder / "data"),
                *(f"--{door}.listen={address}" for door, address in self.doors().items()),
                *(f"--{setting}" for setting in self.settings)]

    def doors(self):
        return {"kafka": self.bootstrap, "internal": "127.0.0.1:0", "grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}


class Kafka(Broker):
    """A combined broker and controller. Without fsync, as it ships, unless the settings ask for it."""

    name = "kafka"
    node = 1
    copies = 1

    def __init__(self, jars, parent, settings=()):
        super().__init__(parent, settings)
        self.jars = jars
        self.controller_port = free_port()
        self.voters = f"1@{self.host}:{self.controller_port}"
        # The tool takes an id that begins with a hyphen for a flag.
        self.cluster_id = "m" + base64.urlsafe_b64encode(os.urandom(16)).decode()[1:].rstrip("=")

    def java(self, main, *arguments, jvm=()):
        return ["java", *jvm, f"-Dkafka.logs.dir={self.folder}",
                f"-Dlog4j2.configurationFile={BENCH / 'peer' / 'log4j2.xml'}", "-cp", f"{self.jars}/*", main, *arguments]

    def prepare(self):
        if self.started:
            return
        listeners = f"PLAINTEXT://{self.bootstrap}"
        in_sync = (self.copies + 1) // 2
        properties = [
            "process.roles=broker,controller", f"node.id={self.node}",
            f"controller.quorum.voters={self.voters}",
            f"listeners={listeners},CONTROLLER://{self.host}:{self.controller_port}",
            f"advertised.listeners={listeners}", "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            f"log.dirs={self.folder / 'data'}", f"default.replication.factor={self.copies}",
            f"min.insync.replicas={in_sync}",
            *(f"{topic}.replication.factor={self.copies}" for topic in
              ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")),
            *(f"{topic}.min.isr={in_sync}" for topic in ("transaction.state.log", "share.coordinator.state.topic")),
            *self.settings]
        file = self.folder / "server.properties"
        file.write_text("\n".join(properties) + "\n")
        subprocess.run(self.java("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(file),
                                 jvm=["-XX:TieredStopAtLevel=1"]), check=True, capture_output=True, timeout=120)

    def command(self):
        return self.java("kafka.Kafka", str(self.folder / "server.properties"), jvm=JVM)
