"""The gRPC door with what a newcomer has: the .proto files and grpcio. The same methods as drivers.Driver where it makes sense."""
import importlib
import os
import sys
import tempfile
import time

import grpc
from grpc_tools import protoc

from harness.drivers import HERE, pack, unpack

PROTO = os.path.join(os.path.dirname(os.path.dirname(HERE)), "proto")
FILES = ["record", "publisher", "subscriber", "cluster", "admin"]
CALL_SECONDS = 20


class Api:
    """The modules that protoc makes out of proto/millrace/v1, made once in a temporary folder."""

    _made = None

    def __init__(self):
        if Api._made is None:
            Api._made = tempfile.TemporaryDirectory(prefix="millrace-proto-")
            folder = Api._made.name
            code = protoc.main(["protoc", "-I" + PROTO, "--python_out=" + folder, "--grpc_python_out=" + folder]
                               + [os.path.join(PROTO, "millrace/v1/%s.proto" % name) for name in FILES])
            assert code == 0, "the protos do not compile"
            sys.path.insert(0, folder)
        for name in FILES:
            setattr(self, name, importlib.import_module("millrace.v1.%s_pb2" % name))
            setattr(self, name + "_grpc", importlib.import_module("millrace.v1.%s_pb2_grpc" % name))


class GrpcError(Exception):
    """A failed call: its canonical status and the name of the error in the error table."""

    def __init__(self, failure):
        super().__init__("%s: %s" % (failure.code(), failure.details()))
        self.status = failure.code().name
        self.message = failure.details()
        self.name = dict(failure.trailing_metadata() or ()).get("millrace-error")


class GrpcClient:
    name = "grpc"

    def __init__(self, address):
        self.api = Api()
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)])
        self.publisher = self.api.publisher_grpc.PublisherStub(self.channel)
        self.subscriber = self.api.subscriber_grpc.SubscriberStub(self.channel)
        self.admin = self.api.admin_grpc.AdminStub(self.channel)

    def close(self):
        self.channel.close()

    def call(self, method, request, **options):
        try:
            return method(request, timeout=options.pop("timeout", CALL_SECONDS), **options)
        except grpc.RpcError as failure:
            raise GrpcError(failure) from None

    def new_record(self, one):
        new = self.api.record.NewRecord(key=unpack(one["key"]), value=unpack(one["value"]), partition=one["partition"],
                                        timestamp_ms=one["timestamp"])
        for name, value in one["headers"]:
            new.headers.add(key=name, value=unpack(value))
        return new

    def request(self, topic, records, codec="", **more):
        return self.api.publisher.PublishRequest(
            topic=topic, records=[self.new_record(one) for one in records], compression=codec, **more)

    def produce(self, topic, records, codec="", **more):
        answer = self.call(self.publisher.Publish, self.request(topic, records, codec, **more))
        return {"results": [{"partition": p.partition, "offset": p.offset, "error": p.error} for p in answer.positions]}

    def read(self, topic, **request):
        """The stream of records, one by one; the caller ends it by request or by closing the generator."""
        call = self.subscriber.Read(self.api.subscriber.ReadRequest(topic=topic, **request), timeout=CALL_SECONDS)
        try:
            for response in call:
                yield from (self.record(one) for one in response.records)
        except grpc.RpcError as failure:
            raise GrpcError(failure) from None
        finally:
            call.cancel()

    def consume(self, topic, count, start="earliest", partitions=None, timeout_ms=20000, config=None):
        at = {start: True} if isinstance(start, str) else {
            "timestamp_ms" if name == "timestamp" else name: value for name, value in start.items()}
        end, records = time.monotonic() + timeout_ms / 1000, []
        for one in self.read(topic, partitions=partitions or [], start=self.api.subscriber.Start(**at), records_max=count):
            records.append(one)
            if time.monotonic() > end:
                break
        return {"records": records}

    @staticmethod
    def record(one):
        def held(message, field):
            return pack(getattr(message, field)) if message.HasField(field) else None

        return {"partition": one.partition, "offset": one.offset, "timestamp": one.timestamp_ms, "key": held(one, "key"),
                "value": held(one, "value"), "headers": [[header.key, held(header, "value")] for header in one.headers]}

    def create_topic(self, topic, partitions=0, replication=0, config=None, validate_only=False):
        return self.call(self.admin.CreateTopic, self.api.admin.CreateTopicRequest(
            name=topic, partitions=partitions, replication_factor=replication, configs=config or {}, validate_only=validate_only))
