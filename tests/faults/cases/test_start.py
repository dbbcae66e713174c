"""Starts that cannot work say what is wrong and how to mend it; admin commands that were refused harm no later start (C33)."""
import os
import subprocess

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic

from harness.broker import ENVIRONMENT, binary

SECONDS = 20


def failed_start(*arguments):
    """What a start that must fail prints; it must not hang, and not end by a signal."""
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT)
    assert 0 < done.returncode < 128, "ended with %d:\n%s%s" % (done.returncode, done.stdout, done.stderr)
    assert "ready " not in done.stdout
    return (done.stdout + done.stderr).lower()


PORTS = ["--kafka.listen=127.0.0.1:0", "--internal.listen=127.0.0.1:0", "--grpc.listen=127.0.0.1:0", "--http.listen=127.0.0.1:0"]


def test_directory_in_use(make_broker):
    broker = make_broker().start()
    printed = failed_start("--data", broker.data, *PORTS)
    assert broker.data.lower() in printed and ("in use" in printed or "another" in printed)
    assert broker.running()


@pytest.mark.parametrize("port", ["kafka", "grpc", "http"])
def test_port_in_use(make_broker, tmp_path, port):
    broker = make_broker().start()
    address = getattr(broker, port)
    others = [option for option in PORTS if not option.startswith("--" + port)]
    printed = failed_start("--data", str(tmp_path / "data"), *others, "--%s.listen=%s" % (port, address))
    assert address.rsplit(":", 1)[1] in printed and "use" in printed


def test_foreign_data(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").write_text("not a broker's")
    printed = failed_start("--data", str(tmp_path), *PORTS)
    assert str(tmp_path).lower() in printed
    assert set(os.listdir(tmp_path)) == {"notes.txt", "photos"}


def test_damaged_identity(make_broker):
    broker = make_broker().start()
    assert broker.stop() == 0
    with open(os.path.join(broker.data, "millrace.json"), "w") as file:
        file.write("{ not json")
    assert "millrace.json" in failed_start("--data", broker.data, *PORTS)


def test_unknown_setting_names_the_nearest(tmp_path):
    printed = failed_start("--data", str(tmp_path / "data"), *PORTS, "--num.partition=3")
    assert "num.partitions" in printed


def unknown_to(topic):
    return ConfigResource("topic", topic, incremental_configs=[ConfigEntry("no.such", "1", incremental_operation=AlterConfigOpType.SET)])


def test_no_refused_command_harms_a_later_start(make_broker):
    """Everything odd that an admin can ask for, then kill -9 and start: it is up and has what was accepted."""
    broker = make_broker().start()
    broker.keep_ports()
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    odd = [
        lambda: admin.create_topics([NewTopic("", 1, 1)]),
        lambda: admin.create_topics([NewTopic("..", 1, 1)]),
        lambda: admin.create_topics([NewTopic("x" * 300, 1, 1)]),
        lambda: admin.create_topics([NewTopic("no-partitions", 0, 1)]),
        lambda: admin.create_topics([NewTopic("copies", 1, 300)]),
        lambda: admin.create_topics([NewTopic("config", 1, 1, config={"segment.bytes": "-1"})]),
        lambda: admin.create_topics([NewTopic("config", 1, 1, config={"\x00": "\x00"})]),
        lambda: admin.create_topics([NewTopic("huge", 100000000, 1)]),
        lambda: admin.create_topics([NewTopic("assigned", 1, replica_assignment=[[99]])]),
        lambda: admin.delete_topics(["never-was"]),
        lambda: admin.create_partitions([NewPartitions("good", 1)]),
        lambda: admin.create_partitions([NewPartitions("good", 2000000000)]),
        lambda: admin.alter_configs([ConfigResource("topic", "good", set_config={"retention.ms": "x" * 20000})]),
        lambda: admin.incremental_alter_configs([unknown_to("good")]),
    ]
    admin.create_topics([NewTopic("good", 3, 1)])["good"].result(20)
    for act in odd:
        with pytest.raises((KafkaException, ValueError)):
            for future in act().values():
                future.result(20)
        assert broker.running(), broker.log_end()
    broker.kill()
    broker.start()
    found = AdminClient({"bootstrap.servers": broker.kafka}).list_topics(timeout=10).topics
    assert len(found["good"].partitions) == 3
