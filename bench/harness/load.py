"""Runs millrace-load and millrace-limits and reads what they print."""

import json
import subprocess

from harness import machine


class LoadFailed(RuntimeError):
    """The load ended with errors: there is nothing to measure."""


class Load:
    """The load generator, pointed at one broker. Keeps the commands that it ran, for the report."""

    def __init__(self, folder):
        self.program = folder / "millrace-load"
        self.limits_program = folder / "millrace-limits"

    def command(self, broker, mode, topic, **options):
        """Keyword options become flags: in_flight=5 is `--in-flight 5`, in_turn=True is `--in-turn`."""
        command = [str(self.program), mode, "--bootstrap", broker.bootstrap, "--topic", topic]
        if mode in ("create", "first-produce"):
            command += ["--replication", str(broker.replication)]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                command.append(flag)
            elif value is not None and value is not False:
                command += [flag, str(value)]
        return command

    def run(self, broker, mode, topic, patience=660, **options):
        result = subprocess.run(self.command(broker, mode, topic, **options), capture_output=True, text=True,
                                timeout=patience, check=False)
        if result.returncode != 0:
            raise LoadFailed(f"{mode} on {broker.name}: {result.stderr.strip()} {result.stdout.strip()}")
        return json.loads(result.stdout) if result.stdout.strip() else {}

    def start(self, broker, mode, topic, **options):
        """Runs beside the caller, who ends it; what it prints is dropped."""
        return subprocess.Popen(self.command(broker, mode, topic, **options), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def begin(self, broker, mode, topic, **options):
        """Runs beside the caller, who asks finish() for what it printed."""
        return subprocess.Popen(self.command(broker, mode, topic, **options), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def finish(self, process, patience=660):
        printed, problem = process.communicate(timeout=patience)
        if process.returncode != 0:
            raise LoadFailed(f"{' '.join(process.args[1:])}: {problem.strip()} {printed.strip()}")
        return json.loads(printed)

    def describe(self, cluster, topic, partitions):
        """Who leads, and how many partitions are without a leader or a replica that is in sync."""
        return self.run(cluster, "describe", topic, partitions=partitions, timeout=5)

    def await_whole(self, cluster, topic, partitions, seconds=120):
        """Every partition is led and all its replicas are in sync; how that is."""
        state = {}

        def whole():
            state.update(self.describe(cluster, topic, partitions))
            return state["leaderless"] == 0 and state["not_whole"] == 0

        machine.wait_until(whole, seconds, f"{cluster.name}: all replicas of {topic} are in sync")
        return state

    def limits(self, folder, gb):
        result = subprocess.run([str(self.limits_program), "--folder", str(folder), "--gb", str(gb)],
                                capture_output=True, text=True, timeout=600, check=True)
        return {line["limit"]: line for line in map(json.loads, result.stdout.splitlines())}
