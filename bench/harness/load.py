"""Runs millrace-load and millrace-limits and reads what they print."""

import json
import subprocess


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

    def limits(self, folder, gb):
        result = subprocess.run([str(self.limits_program), "--folder", str(folder), "--gb", str(gb)],
                                capture_output=True, text=True, timeout=600, check=True)
        return {line["limit"]: line for line in map(json.loads, result.stdout.splitlines())}
