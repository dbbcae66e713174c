"""A member of a consumer group on a Subscribe stream: what a newcomer writes with grpcio alone."""
import queue
import threading
import time

import grpc

from harness.drivers import pack


class GrpcMember:
    """Joins at once. Gives back credit for each record, so that the broker may commit it, and releases what is revoked."""

    def __init__(self, client, group, topic, auto_commit_ms=0, credit=1000, **join):
        self.client, self.api = client, client.api.subscriber
        self.assigned, self.records, self.committed, self.failure = {}, [], [], None
        self.changed = threading.Condition()
        self.requests = queue.Queue()
        topics = {} if "topic_regex" in join else {"topics": [topic]}
        join = {"without_offset": self.api.WITHOUT_OFFSET_EARLIEST, "client_id": "grpc-member", **topics, **join}
        self.send(join=self.api.Join(group=group, auto_commit_interval_ms=auto_commit_ms, credit_records=credit, **join))
        self.call = client.subscriber.Subscribe(iter(self.requests.get, None))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def send(self, **message):
        self.requests.put(self.api.SubscribeRequest(**message))

    def _read(self):
        try:
            for response in self.call:
                with self.changed:
                    self._take(response)
                    self.changed.notify_all()
        except grpc.RpcError as failure:
            self.failure = failure
        finally:
            with self.changed:
                self.changed.notify_all()

    def _take(self, response):
        kind = response.WhichOneof("message")
        if kind == "assigned":
            for one in response.assigned.partitions:
                self.assigned[(one.topic, one.partition)] = one.offset
        elif kind == "records":
            self.records += [(r.topic, r.partition, r.offset, pack(r.value)) for r in response.records.records]
            self.send(credit=self.api.Credit(records=len(response.records.records)))
        elif kind in ("revoking", "lost"):
            for some in getattr(response, kind).partitions:
                for partition in some.partitions:
                    self.assigned.pop((some.topic, partition), None)
            if kind == "revoking":
                self.send(release=self.api.Release(revocation=response.revoking.revocation))
        elif kind == "committed":
            self.committed.append(response.committed)

    def until(self, condition, what, seconds=60):
        """Waits for a condition on this member; the condition is asked after everything that comes."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition(self):
                assert self.failure is None, "the call ended: %s" % self.failure
                assert self.changed.wait(end - time.monotonic()), "not within %d s: %s" % (seconds, what)

    def commit(self, offsets, tag=1):
        self.send(commit=self.api.Commit(tag=tag, offsets=[
            self.api.PartitionCommit(topic=topic, partition=partition, offset=offset) for topic, partition, offset in offsets]))
        self.until(lambda m: any(c.tag == tag for c in m.committed), "commit %d is answered" % tag)

    def leave(self):
        self.send(leave=self.api.Leave())
        self.requests.put(None)
        self.reader.join(60)
        assert not self.reader.is_alive(), "the call did not end"
        assert self.failure is None, self.failure

    def die(self):
        """As a process that is killed: the connection's stream breaks."""
        self.call.cancel()
        self.requests.put(None)
        self.reader.join(60)
