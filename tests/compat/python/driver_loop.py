"""What all Python drivers share: one JSON command per line in, one JSON answer per line out.

A driver is a class whose public methods are the operations; README.md in the parent folder lists them. Keys, values and
header values travel as base64, null stays null. Errors are answered as {"error": {"code", "type", "message"}}, where code
is the Kafka error number if the client tells one.
"""
import base64
import json
import os
import sys
import time


def unpack(text):
    return None if text is None else base64.b64decode(text)


def pack(data):
    return None if data is None else base64.b64encode(bytes(data)).decode()


class Unsupported(Exception):
    """The client has no such thing: the case is skipped by name."""


class Deadline:
    """A point in time that loops ask for what is left."""

    def __init__(self, timeout_ms):
        self.end = time.monotonic() + timeout_ms / 1000

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def passed(self):
        return self.left() == 0.0


def error_of(failure):
    code = getattr(failure, "errno", None)
    first = failure.args[0] if failure.args else None
    if code is None and hasattr(first, "code") and callable(first.code):
        code = first.code()  # confluent_kafka wraps a KafkaError
    return {"code": code, "type": type(failure).__name__, "message": str(failure)}


def serve(driver):
    """Answers commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    for line in sys.stdin:
        command = json.loads(line)
        operation = command.pop("op")
        method = getattr(driver, operation, None)
        try:
            if method is None:
                answer = {"unsupported": operation}
            else:
                answer = method(**command) or {}
        except Unsupported as absent:
            answer = {"unsupported": "%s: %s" % (operation, absent)}
        except Exception as failure:  # the test decides what a failure means
            answer = {"error": error_of(failure)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
