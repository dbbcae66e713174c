"""The clients: one process each, told what to do by JSON lines. ../README.md lists the operations."""
import base64
import glob
import json
import os
import selectors
import subprocess
import time

import pytest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ANSWER_SECONDS = 90


def tools(*path):
    return os.path.join(os.environ["MILLRACE_TOOLS"], *path)


def missing(tool):
    """Why TOOL is not there, or None."""
    try:
        with open(tools(tool + ".missing")) as reason:
            return reason.read().strip()
    except FileNotFoundError:
        return None


def java_command(main, *arguments, options=(), tool="java"):
    classpath = ":".join([tools(tool, "classes")] + sorted(glob.glob(tools(tool, "libs", "*.jar"))))
    return ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *options,
            "-Dlog4j2.configurationFile=" + os.path.join(HERE, tool, "log4j2.xml"), "-cp", classpath, main, *arguments]


def _python(venv, script):
    return lambda: ([tools(venv, "bin", "python"), os.path.join(HERE, "python", script)], {})


# name -> (tool it needs, how it is started)
PROGRAMS = {
    "kafka_python_2": ("kafka-python-2.0", _python("kafka-python-2.0", "kafka_python_driver.py")),
    "kafka_python_3": ("kafka-python-3", _python("kafka-python-3", "kafka_python_driver.py")),
    "confluent": ("main", _python("main", "confluent_driver.py")),
    "aiokafka": ("main", _python("main", "aiokafka_driver.py")),
    "kafkajs": ("node", lambda: (["node", os.path.join(HERE, "node", "driver.js")],
                                 {"NODE_PATH": tools("node", "node_modules")})),
    "kafka_go": ("go", lambda: ([tools("go", "driver")], {})),
    "java": ("java", lambda: (java_command("Driver"), {})),
}
# The back end of a user interface: its operations are pages (see ../ui).
UI = ("ui", lambda: (java_command("Pages", tool="ui", options=["-Dorg.jboss.logging.provider=slf4j"]), {}))


def unpack(text):
    return None if text is None else base64.b64decode(text)


def pack(data):
    if isinstance(data, str):
        data = data.encode()
    return None if data is None else base64.b64encode(data).decode()


def record(value, key=None, partition=None, timestamp=None, headers=()):
    """What produce() takes; value, key and header values are bytes, text or None."""
    return {"value": pack(value), "key": pack(key), "partition": partition, "timestamp": timestamp,
            "headers": [[name, pack(content)] for name, content in headers]}


class ClientError(Exception):
    def __init__(self, name, error):
        super().__init__("%s: %s (%s): %s" % (name, error["type"], error["code"], error["message"]))
        self.code = error["code"]
        self.message = error["message"]


class Driver:
    """One client process. Any operation is a method: driver.produce(topic=..., records=[...])."""

    def __init__(self, name, bootstrap, log=subprocess.DEVNULL):
        tool, command = UI if name == "ui" else PROGRAMS[name]
        reason = missing(tool)
        if reason:
            pytest.skip("%s: %s" % (name, reason))
        arguments, environment = command()
        self.name = name
        self.bootstrap = bootstrap
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **environment})
        self.buffer = b""
        self.version = self.call("hello")["client"]

    def __getattr__(self, operation):
        if operation.startswith("_"):
            raise AttributeError(operation)
        return lambda **arguments: self.call(operation, bootstrap=self.bootstrap, **arguments)

    def call(self, operation, **arguments):
        arguments = {name: value for name, value in arguments.items() if value is not None}
        self.process.stdin.write(json.dumps({"op": operation, **arguments}).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self._line(time.monotonic() + ANSWER_SECONDS))
        if "unsupported" in answer:
            pytest.skip("%s cannot do this (%s)" % (self.name, answer["unsupported"]))
        if "error" in answer:
            raise ClientError(self.name, answer["error"])
        return answer

    def _line(self, end):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if time.monotonic() > end or not selector.select(timeout=end - time.monotonic()):
                    self.close()
                    raise AssertionError("%s gave no answer within %d s" % (self.name, ANSWER_SECONDS))
                chunk = os.read(self.process.stdout.fileno(), 1 << 20)
                assert chunk, "%s ended: exit code %s" % (self.name, self.process.wait(5))
                self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def alive(self):
        return self.process.poll() is None

    def close(self):
        if self.alive():
            self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()
