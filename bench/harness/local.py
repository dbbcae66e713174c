"""Brokers on loopback that `millctl local up` starts, for measurements of one cluster by itself."""
import json
import os
import signal
import subprocess


class LocalCluster:
    """`folder` is where they keep their data; it belongs to the caller."""

    def __init__(self, binaries, folder, brokers, settings=()):
        self.binaries, self.folder = binaries, folder
        self.settings = [word for setting in settings for word in ("--set", setting)]
        self.up(brokers)

    def run(self, *command):
        subprocess.run([self.binaries / "millctl", "local", *command, "--dir", self.folder], check=True,
                       stdout=subprocess.DEVNULL)

    def up(self, brokers):
        """So many run, with those that do."""
        self.run("up", "--brokers", str(brokers), "--free-ports", *self.settings)
        self.bootstrap = ",".join(f"127.0.0.1:{broker['kafka']}" for broker in self.brokers())

    def down(self):
        self.run("down")

    def brokers(self):
        return json.loads((self.folder / "local.json").read_text())["brokers"]

    def kill(self, number):
        os.kill(self.brokers()[number]["pid"], signal.SIGKILL)

    def load(self, mode, topic, partitions, *options):
        """What `millrace-load` prints, as text."""
        return subprocess.check_output([self.binaries / "millrace-load", mode, "--bootstrap", self.bootstrap, "--topic", topic,
                                        "--partitions", str(partitions), *options], text=True)

    def leaders(self, topic, partitions):
        return json.loads(self.load("describe", topic, partitions))["leaders"]
