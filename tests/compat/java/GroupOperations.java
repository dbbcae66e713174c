import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group that consumes in a thread of its own. */
final class GroupOperations {
  private static final int NOTES_MAX = 20;
  private static final Map<String, String> ASSIGNORS = Map.of(
      "range", "org.apache.kafka.clients.consumer.RangeAssignor",
      "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
      "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
  private static Member member;

  private GroupOperations() {}

  static void register(Map<String, Driver.Operation> operations) {
    operations.put("group_start", (command, answer) -> {
      member = new Member(command);
      member.start();
    });
    operations.put("group_take", (command, answer) -> member.take(answer));
    operations.put("group_stop", (command, answer) -> {
      member.leaving = true;
      member.join(30_000);
      member.take(answer);
    });
  }

  private static Map<String, Object> optionsOf(JsonNode command) {
    JsonNode wanted = command.path("member");
    Map<String, Object> options = new HashMap<>();
    options.put("bootstrap.servers", command.get("bootstrap").asText());
    options.put("group.id", command.get("group").asText());
    options.put("enable.auto.commit", false);
    options.put("auto.offset.reset", "earliest");
    options.put("fetch.max.wait.ms", 100);
    options.put("metadata.max.age.ms", 1000);
    options.put("reconnect.backoff.max.ms", 500);
    String protocol = wanted.path("protocol").asText("classic");
    options.put("group.protocol", protocol);
    if (protocol.equals("classic")) {
      int session = wanted.path("session_ms").asInt(6000);
      options.put("session.timeout.ms", session);
      options.put("heartbeat.interval.ms", session / 6);
      options.put("partition.assignment.strategy", ASSIGNORS.get(wanted.path("assignor").asText("range")));
    } else if (wanted.hasNonNull("assignor")) {
      options.put("group.remote.assignor", wanted.get("assignor").asText());
    }
    if (wanted.hasNonNull("instance")) options.put("group.instance.id", wanted.get("instance").asText());
    return options;
  }

  /** Commits after each batch and waits for the answer; only what the broker acknowledged counts as committed. */
  private static final class Member extends Thread implements ConsumerRebalanceListener {
    volatile boolean leaving;
    private final JsonNode command;
    private final boolean commits;
    private ArrayNode records = Driver.JSON.createArrayNode();
    private final Map<Integer, Long> committed = new TreeMap<>();
    private final List<String> notes = new ArrayList<>();
    private final TreeSet<Integer> owned = new TreeSet<>();
    private final List<Integer> revoked = new ArrayList<>();
    private int assignments;
    private String failure;

    Member(JsonNode command) {
      this.command = command;
      commits = command.path("member").path("commits").asBoolean(true);
      setDaemon(true);
    }

    @Override
    public void run() {
      try (KafkaConsumer<byte[], byte[]> consumer =
          new KafkaConsumer<>(optionsOf(command), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
        if (command.path("member").hasNonNull("pattern")) {
          consumer.subscribe(new SubscriptionPattern(command.get("member").get("pattern").asText()), this);
        } else {
          consumer.subscribe(List.of(command.get("topic").asText()), this);
        }
        while (!leaving) takeIn(consumer, consumer.poll(Duration.ofMillis(100)));
      } catch (Throwable ended) {
        synchronized (this) {
          failure = String.valueOf(ended);
        }
      }
    }

    private void takeIn(KafkaConsumer<byte[], byte[]> consumer, ConsumerRecords<byte[], byte[]> batch) {
      if (batch.isEmpty()) return;
      Map<Integer, Long> next = new TreeMap<>();
      synchronized (this) {
        for (ConsumerRecord<byte[], byte[]> record : batch) {
          records.addArray().add(record.partition()).add(record.offset());
          next.put(record.partition(), record.offset() + 1);
        }
      }
      if (!commits) return;
      try {
        consumer.commitSync(Duration.ofSeconds(20));
      } catch (KafkaException refused) { // a rebalance, or a broker that is away: the records come again
        synchronized (this) {
          notes.add(refused.toString());
          if (notes.size() > NOTES_MAX) notes.remove(0);
        }
        return;
      }
      synchronized (this) {
        committed.putAll(next);
      }
    }

    @Override
    public synchronized void onPartitionsAssigned(Collection<TopicPartition> added) {
      assignments++;
      added.forEach(partition -> owned.add(partition.partition()));
    }

    @Override
    public synchronized void onPartitionsRevoked(Collection<TopicPartition> removed) {
      removed.forEach(partition -> {
        owned.remove(partition.partition());
        revoked.add(partition.partition());
      });
    }

    /** What happened; the records only once. */
    synchronized void take(ObjectNode answer) {
      answer.set("records", records);
      records = Driver.JSON.createArrayNode();
      answer.set("assigned", assignments == 0 ? Driver.JSON.nullNode() : Driver.JSON.valueToTree(owned));
      answer.put("assignments", assignments);
      answer.set("revoked", Driver.JSON.valueToTree(revoked));
      answer.set("committed", Driver.JSON.valueToTree(committed));
      answer.set("notes", Driver.JSON.valueToTree(notes));
      answer.put("failure", failure);
    }
  }
}
