"""kcat as a driver: a process for each operation, the same methods as drivers.Driver where kcat can do them."""
import json
import subprocess

import pytest

from harness.drivers import ClientError, missing, pack, unpack

SECONDS = 40
# Lengths before contents, so that any byte may stand in a key or value; -1 is null.
FORMAT = "%p %o %T %K %S %h\\n%k%s\\n"


class Kcat:
    name = "kcat"

    def __init__(self, bootstrap):
        reason = missing("kcat")
        if reason:
            pytest.skip("kcat: " + reason)
        self.bootstrap = bootstrap

    def __getattr__(self, operation):
        if operation.startswith("_"):
            raise AttributeError(operation)

        def unsupported(**_):
            pytest.skip("kcat cannot do this (%s)" % operation)

        return unsupported

    def _run(self, *arguments, stdin=b""):
        done = subprocess.run(["kcat", "-b", self.bootstrap, *arguments], input=stdin, capture_output=True, timeout=SECONDS)
        if done.returncode != 0:
            raise ClientError("kcat", {"code": None, "type": "exit %d" % done.returncode, "message": done.stderr.decode()})
        return done.stdout

    def produce(self, topic, records, codec="none", acks=None, idempotent=None, config=None):
        """One process for the records that share partition, headers and null-ness; -Z makes an empty value null."""
        options = ["-X", "topic.partitioner=murmur2_random", "-z", codec]
        if acks is not None:
            options += ["-X", "topic.acks=%s" % acks]
        if idempotent:
            options += ["-X", "enable.idempotence=true"]
        for shape, lines in self._grouped(records):
            partition, headers = shape
            flags = ["-p", str(partition)] if partition is not None else []
            for name, value in headers:
                flags += ["-H", "%s=%s" % (name, unpack(value).decode())]
            self._run("-P", "-t", topic, *options, *flags, "-Z", "-K", "\x1f", stdin=b"".join(lines))
        return {}

    @staticmethod
    def _grouped(records):
        """Neighbours of one shape go into one process, so the order stays."""
        groups = []
        for record in records:
            shape = (record.get("partition"), tuple(tuple(h) for h in record.get("headers", [])))
            line = (unpack(record["key"]) or b"") + b"\x1f" + (unpack(record["value"]) or b"") + b"\n"
            if not groups or groups[-1][0] != shape:
                groups.append((shape, []))
            groups[-1][1].append(line)
        return groups

    def consume(self, topic, count, start="earliest", partitions=None, timeout_ms=20000, config=None):
        if isinstance(start, dict):
            start = start["offset"] if "offset" in start else "s@%d" % start["timestamp"]
        elif start == "earliest":
            start = "beginning"
        records = []
        for partition in partitions if partitions is not None else self._partitions(topic):
            flags = ["-p", str(partition), "-o", str(start), "-e", "-q", "-f", FORMAT]
            records += self._parse(self._run("-C", "-t", topic, *flags))
        return {"records": records[:count] if partitions is not None and len(partitions) == 1 else records}

    def _partitions(self, topic):
        found = json.loads(self._run("-L", "-J", "-t", topic))
        return [partition["partition"] for partition in found["topics"][0]["partitions"]]

    @staticmethod
    def _parse(text):
        records = []
        while text:
            line, text = text.split(b"\n", 1)
            partition, offset, timestamp, key_size, value_size, headers = line.split(b" ", 5)
            key, text = Kcat._cut(text, int(key_size))
            value, text = Kcat._cut(text, int(value_size))
            pairs = [pair.split(b"=", 1) for pair in headers.split(b",") if pair]
            records.append({"partition": int(partition), "offset": int(offset), "timestamp": int(timestamp), "key": key,
                            "value": value, "headers": [[name.decode(), pack(content)] for name, content in pairs]})
            text = text[1:]
        return records

    @staticmethod
    def _cut(text, size):
        if size < 0:
            return None, text
        return pack(text[:size]), text[size:]

    def list_topics(self):
        return {"topics": sorted(topic["topic"] for topic in json.loads(self._run("-L", "-J"))["topics"])}
