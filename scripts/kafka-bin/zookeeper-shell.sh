#!/bin/bash
# zookeeper-shell.sh of old articles: there is nothing to talk to, and this says what to use instead.
host=${1:-localhost}
host=${host%%[:/,]*}
echo "There is no ZooKeeper here: the brokers keep the metadata. Use: kafka-topics.sh --bootstrap-server $host:9092 --list" >&2
exit 1
