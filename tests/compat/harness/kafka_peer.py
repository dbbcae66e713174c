"""A broker of Apache Kafka, with the settings of ours as far as they have a meaning there."""
import glob
import os
import socket
import subprocess
import time

from harness.broker import Broker

# Where bench/run.py puts Kafka's jars.
JARS = os.path.join(os.environ.get("MILLRACE_BENCH_CACHE", os.path.expanduser("~/.cache/millrace-bench")), "kafka-*", "*.jar")
LOGGING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "bench", "peer", "log4j2.xml")
START_SECONDS = 120
# What a test says in our words, and Kafka's word for it; None: it has no meaning there.
OURS = {"cluster.id": None, "metadata.voters": None, "shards": None, "disk.reserve.bytes": None, "journal.bytes.max": None}


class KafkaBroker(Broker):
    """Broker and controller in one process, formatted at its first start."""

    def command(self):
        return self._java("kafka.Kafka", os.path.join(self.data, "server.properties"), heap="512m")

    def _java(self, *arguments, heap):
        jars = glob.glob(JARS)
        assert jars, "Kafka's jars are not there: bench/run.py fetches them"
        return ["java", "-Xmx" + heap, "-XX:+UseG1GC", "-XX:TieredStopAtLevel=1", "-Dkafka.logs.dir=" + self.data + ".logs",
                "-Dlog4j2.configurationFile=" + LOGGING, "-cp", ":".join(jars), *arguments]

    def launch(self):
        if not os.path.exists(os.path.join(self.data, "server.properties")):
            self._format()
        self.starts = self._starts()
        super().launch()

    def _starts(self):
        """How often its log says that it has started."""
        log = os.path.join(self.data + ".logs", "server.log")
        if not os.path.exists(log):
            return 0
        with open(log, errors="replace") as text:
            return text.read().count("Kafka Server started")

    def _format(self):
        os.makedirs(self.data, exist_ok=True)
        voters = self.settings.get("metadata.voters") or "%(node.id)s@%(internal.listen)s" % self.settings
        kafka, controller = "PLAINTEXT://" + self.settings["kafka.listen"], "CONTROLLER://" + self.settings["internal.listen"]
        copies = min(3, voters.count(",") + 1)
        properties = {
            "process.roles": "broker,controller", "controller.quorum.voters": voters, "listeners": kafka + "," + controller,
            "advertised.listeners": kafka, "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": os.path.join(self.data, "logs"), "default.replication.factor": copies,
            "offsets.topic.replication.factor": copies, "min.insync.replicas": (copies + 1) // 2,
            "transaction.state.log.replication.factor": copies, "transaction.state.log.min.isr": (copies + 1) // 2,
            "log.segment.bytes": 64 << 20,
        }
        for name, value in self.settings.items():
            if not name.endswith(".listen") and OURS.get(name, name):
                properties[name] = value
        path = os.path.join(self.data, "server.properties")
        with open(path, "w") as file:
            file.writelines("%s=%s\n" % item for item in properties.items())
        cluster = str(self.settings.get("cluster.id", "tests")).ljust(22, "0")[:22].encode().hex()[:22]
        subprocess.run(self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", path, heap="128m"), check=True,
                       capture_output=True, timeout=START_SECONDS)

    def await_ready(self, seconds=START_SECONDS):
        """It answers on its port and says in its log that it has started."""
        end = self.launched + seconds
        host, port = self.kafka.rsplit(":", 1)
        while time.monotonic() < end:
            assert self.running(), "Kafka ended: %s" % self.log_end()
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex((host, int(port))) == 0 and self._starts() > self.starts:
                    self.start_seconds = time.monotonic() - self.launched
                    return
            time.sleep(0.1)
        self.kill()
        raise AssertionError("Kafka did not start; its log ends:\n" + self.log_end())
