import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Producing and consuming without a group. */
final class DataOperations {
  private static KafkaProducer<byte[], byte[]> watched;

  private DataOperations() {}

  static void register(Map<String, Driver.Operation> operations) {
    operations.put("produce", DataOperations::produce);
    operations.put("consume", DataOperations::consume);
    operations.put("pause_seek", DataOperations::pauseSeek);
    operations.put("offsets", DataOperations::offsets);
    operations.put("watch_start", DataOperations::watchStart);
    operations.put("watch_wait", DataOperations::watchWait);
  }

  private static byte[] bytes(JsonNode node) throws Exception {
    return node == null || node.isNull() ? null : node.binaryValue();
  }

  private static boolean given(JsonNode command, String name) {
    return command.hasNonNull(name);
  }

  private static KafkaProducer<byte[], byte[]> producer(JsonNode command) {
    Map<String, Object> options = new HashMap<>();
    options.put("bootstrap.servers", command.get("bootstrap").asText());
    options.put("linger.ms", 5);
    options.put("max.request.size", 8 << 20);
    options.put("delivery.timeout.ms", 20000);
    options.put("request.timeout.ms", 10000);
    if (given(command, "codec")) options.put("compression.type", command.get("codec").asText());
    if (given(command, "acks")) options.put("acks", command.get("acks").asText());
    if (given(command, "idempotent")) options.put("enable.idempotence", command.get("idempotent").asBoolean());
    if (given(command, "config")) {
      command.get("config").properties().forEach(entry -> options.put(entry.getKey(), entry.getValue().asText()));
    }
    return new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer());
  }

  private static void produce(JsonNode command, ObjectNode answer) throws Exception {
    try (KafkaProducer<byte[], byte[]> producer = producer(command)) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (JsonNode record : command.get("records")) {
        sent.add(producer.send(recordOf(command.get("topic").asText(), record)));
      }
      producer.flush();
      ArrayNode results = answer.putArray("results");
      for (Future<RecordMetadata> future : sent) {
        RecordMetadata metadata = future.get(20, TimeUnit.SECONDS);
        results.addObject().put("partition", metadata.partition()).put("offset", metadata.offset())
            .put("timestamp", metadata.timestamp());
      }
    }
  }

  private static ProducerRecord<byte[], byte[]> recordOf(String topic, JsonNode record) throws Exception {
    Integer partition = given(record, "partition") ? record.get("partition").asInt() : null;
    Long timestamp = given(record, "timestamp") ? record.get("timestamp").asLong() : null;
    List<Header> headers = new ArrayList<>();
    for (JsonNode header : record.path("headers")) {
      headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
    }
    return new ProducerRecord<>(topic, partition, timestamp, bytes(record.get("key")), bytes(record.get("value")), headers);
  }

  private static KafkaConsumer<byte[], byte[]> consumer(JsonNode command, int maxPollRecords) {
    Map<String, Object> options = new HashMap<>();
    options.put("bootstrap.servers", command.get("bootstrap").asText());
    options.put("enable.auto.commit", false);
    options.put("max.poll.records", maxPollRecords);
    return new KafkaConsumer<>(options, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static void consume(JsonNode command, ObjectNode answer) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(command, 500)) {
      List<TopicPartition> assigned = new ArrayList<>();
      String topic = command.get("topic").asText();
      if (given(command, "partitions")) {
        command.get("partitions").forEach(node -> assigned.add(new TopicPartition(topic, node.asInt())));
      } else {
        for (PartitionInfo info : consumer.partitionsFor(topic)) {
          assigned.add(new TopicPartition(topic, info.partition()));
        }
      }
      consumer.assign(assigned);
      position(consumer, assigned, command.path("start"));
      poll(consumer, command.get("count").asInt(), command.path("timeout_ms").asInt(20000), answer.putArray("records"));
    }
  }

  private static void position(
      KafkaConsumer<byte[], byte[]> consumer, Collection<TopicPartition> assigned, JsonNode start) {
    if (start.has("offset")) {
      assigned.forEach(partition -> consumer.seek(partition, start.get("offset").asLong()));
    } else if (start.has("timestamp")) {
      Map<TopicPartition, Long> times = new HashMap<>();
      assigned.forEach(partition -> times.put(partition, start.get("timestamp").asLong()));
      for (Map.Entry<TopicPartition, OffsetAndTimestamp> found : consumer.offsetsForTimes(times).entrySet()) {
        if (found.getValue() == null) {
          consumer.seekToEnd(List.of(found.getKey()));
        } else {
          consumer.seek(found.getKey(), found.getValue().offset());
        }
      }
    } else if (start.asText().equals("latest")) {
      consumer.seekToEnd(assigned);
    } else {
      consumer.seekToBeginning(assigned);
    }
  }

  private static void poll(KafkaConsumer<byte[], byte[]> consumer, int count, int timeoutMs, ArrayNode records) {
    long end = System.nanoTime() + timeoutMs * 1_000_000L;
    while (records.size() < count && System.nanoTime() < end) {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
        ObjectNode one = records.addObject().put("partition", record.partition()).put("offset", record.offset())
            .put("timestamp", record.timestamp()).put("timestamp_type", record.timestampType().id)
            .put("key", record.key()).put("value", record.value());
        ArrayNode headers = one.putArray("headers");
        for (Header header : record.headers()) {
          headers.addArray().add(header.key()).add(header.value());
        }
      }
    }
  }

  private static void offsetsInto(ObjectNode answer, String name, ArrayNode records) {
    ArrayNode offsets = answer.putArray(name);
    records.forEach(record -> offsets.add(record.get("offset")));
  }

  private static void pauseSeek(JsonNode command, ObjectNode answer) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(command, 1)) {
      List<TopicPartition> partition = List.of(new TopicPartition(command.get("topic").asText(), 0));
      consumer.assign(partition);
      consumer.seekToBeginning(partition);
      ArrayNode records = Driver.JSON.createArrayNode();
      poll(consumer, command.get("read_first").asInt(), 20000, records);
      offsetsInto(answer, "first", records);
      consumer.pause(partition);
      poll(consumer, 1, command.path("quiet_ms").asInt(1500), records.removeAll());
      offsetsInto(answer, "paused", records);
      consumer.resume(partition);
      poll(consumer, 1, 20000, records.removeAll());
      offsetsInto(answer, "resumed", records);
      consumer.seek(partition.get(0), command.get("seek_to").asLong());
      poll(consumer, 1, 20000, records.removeAll());
      offsetsInto(answer, "after_seek", records);
    }
  }

  private static void offsets(JsonNode command, ObjectNode answer) {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(command, 1)) {
      TopicPartition at = new TopicPartition(command.get("topic").asText(), command.path("partition").asInt(0));
      answer.put("earliest", consumer.beginningOffsets(List.of(at)).get(at));
      answer.put("latest", consumer.endOffsets(List.of(at)).get(at));
      if (given(command, "timestamp")) {
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(at, command.get("timestamp").asLong())).get(at);
        answer.put("by_time", found == null ? null : found.offset());
      }
    }
  }

  private static void watchStart(JsonNode command, ObjectNode answer) {
    ObjectNode options = command.deepCopy();
    options.putObject("config").put("metadata.max.age.ms", "500");
    watched = producer(options);
    answer.put("partitions", watched.partitionsFor(command.get("topic").asText()).size());
  }

  /** The producer of watch_start, never restarted, sees the new partitions and writes to the last one. */
  private static void watchWait(JsonNode command, ObjectNode answer) throws Exception {
    String topic = command.get("topic").asText();
    int wanted = command.get("partitions").asInt();
    long end = System.nanoTime() + command.path("timeout_ms").asInt(20000) * 1_000_000L;
    try (KafkaProducer<byte[], byte[]> producer = watched) {
      while (producer.partitionsFor(topic).size() < wanted && System.nanoTime() < end) {
        producer.send(new ProducerRecord<>(topic, 0, null, "looking".getBytes())).get(10, TimeUnit.SECONDS);
      }
      RecordMetadata sent =
          producer.send(new ProducerRecord<>(topic, wanted - 1, null, "grown".getBytes())).get(10, TimeUnit.SECONDS);
      answer.put("partition", sent.partition()).put("offset", sent.offset());
    }
  }
}
