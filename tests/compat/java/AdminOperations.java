import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;

/** The Admin client: topics, settings, the cluster, log directories, producers. */
final class AdminOperations {
  private AdminOperations() {}

  interface Action {
    void run(Admin admin) throws Exception;
  }

  static void register(Map<String, Driver.Operation> operations) {
    operations.put("create_topic", AdminOperations::createTopic);
    operations.put("delete_topic", (c, a) -> with(c, admin -> wait(admin.deleteTopics(List.of(topic(c))).all())));
    operations.put("list_topics", (c, a) -> with(c, admin ->
        new TreeSet<>(wait(admin.listTopics().names())).forEach(a.putArray("topics")::add)));
    operations.put("describe_topic", AdminOperations::describeTopic);
    operations.put("create_partitions", (c, a) -> with(c, admin -> wait(admin.createPartitions(
        Map.of(topic(c), NewPartitions.increaseTo(c.get("total").asInt())),
        new CreatePartitionsOptions().validateOnly(c.path("validate_only").asBoolean(false))).all())));
    operations.put("get_config", AdminOperations::getConfig);
    operations.put("set_config", AdminOperations::setConfig);
    operations.put("delete_records", AdminOperations::deleteRecords);
    operations.put("list_offsets", AdminOperations::listOffsets);
    operations.put("cluster", AdminOperations::cluster);
    operations.put("log_dirs", AdminOperations::logDirs);
    operations.put("producers", AdminOperations::producers);
  }

  private static String topic(JsonNode command) {
    return command.get("topic").asText();
  }

  static <T> T wait(KafkaFuture<T> future) throws Exception {
    return future.get(20, TimeUnit.SECONDS);
  }

  static void with(JsonNode command, Action action) throws Exception {
    Map<String, Object> options = new HashMap<>();
    options.put("bootstrap.servers", command.get("bootstrap").asText());
    options.put("default.api.timeout.ms", 15000);
    options.put("request.timeout.ms", 10000);
    try (Admin admin = Admin.create(options)) {
      action.run(admin);
    }
  }

  private static void createTopic(JsonNode command, ObjectNode answer) throws Exception {
    int partitions = command.path("partitions").asInt(-1);
    int replication = command.path("replication").asInt(-1);
    NewTopic topic = new NewTopic(topic(command),
        partitions == -1 ? Optional.empty() : Optional.of(partitions),
        replication == -1 ? Optional.empty() : Optional.of((short) replication));
    Map<String, String> config = new HashMap<>();
    command.path("config").properties().forEach(entry -> config.put(entry.getKey(), entry.getValue().asText()));
    topic.configs(config);
    CreateTopicsOptions options = new CreateTopicsOptions().validateOnly(command.path("validate_only").asBoolean(false));
    with(command, admin -> wait(admin.createTopics(List.of(topic), options).all()));
  }

  private static void describeTopic(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      TopicDescription found = wait(admin.describeTopics(List.of(topic(command))).allTopicNames()).get(topic(command));
      answer.put("topic_id", found.topicId().toString());
      ArrayNode partitions = answer.putArray("partitions");
      for (TopicPartitionInfo info : found.partitions()) {
        partitions.addObject().put("partition", info.partition()).put("leader", info.leader() == null ? -1 : info.leader().id())
            .put("replicas", info.replicas().size()).put("in_sync", info.isr().size());
      }
    });
  }

  private static ConfigResource resource(JsonNode command) {
    if (command.hasNonNull("resource_type")) {
      return new ConfigResource(ConfigResource.Type.valueOf(command.get("resource_type").asText()), command.get("name").asText());
    }
    return command.hasNonNull("broker")
        ? new ConfigResource(ConfigResource.Type.BROKER, command.get("broker").asText())
        : new ConfigResource(ConfigResource.Type.TOPIC, topic(command));
  }

  private static void getConfig(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      ObjectNode config = answer.putObject("config");
      ObjectNode sources = answer.putObject("sources");
      for (ConfigEntry entry : wait(admin.describeConfigs(List.of(resource(command))).all()).get(resource(command)).entries()) {
        config.put(entry.name(), entry.value());
        sources.put(entry.name(), entry.source().name());
      }
    });
  }

  /** "config" sets, "reset" (a list of names) goes back to the default. */
  private static void setConfig(JsonNode command, ObjectNode answer) throws Exception {
    List<AlterConfigOp> changes = new ArrayList<>();
    command.path("config").properties().forEach(entry -> changes.add(
        new AlterConfigOp(new ConfigEntry(entry.getKey(), entry.getValue().asText()), AlterConfigOp.OpType.SET)));
    command.path("reset").forEach(name -> changes.add(
        new AlterConfigOp(new ConfigEntry(name.asText(), ""), AlterConfigOp.OpType.DELETE)));
    AlterConfigsOptions options = new AlterConfigsOptions().validateOnly(command.path("validate_only").asBoolean(false));
    with(command, admin -> wait(admin.incrementalAlterConfigs(Map.of(resource(command), changes), options).all()));
  }

  private static TopicPartition partition(JsonNode command) {
    return new TopicPartition(topic(command), command.path("partition").asInt(0));
  }

  private static void deleteRecords(JsonNode command, ObjectNode answer) throws Exception {
    RecordsToDelete before = RecordsToDelete.beforeOffset(command.get("offset").asLong());
    with(command, admin -> answer.put("low_watermark", wait(
        admin.deleteRecords(Map.of(partition(command), before)).lowWatermarks().get(partition(command))).lowWatermark()));
  }

  private static void listOffsets(JsonNode command, ObjectNode answer) throws Exception {
    Map<String, OffsetSpec> wanted = new HashMap<>();
    wanted.put("earliest", OffsetSpec.earliest());
    wanted.put("latest", OffsetSpec.latest());
    wanted.put("max_timestamp", OffsetSpec.maxTimestamp());
    if (command.hasNonNull("timestamp")) {
      wanted.put("by_time", OffsetSpec.forTimestamp(command.get("timestamp").asLong()));
    }
    with(command, admin -> {
      for (Map.Entry<String, OffsetSpec> one : wanted.entrySet()) {
        answer.put(one.getKey(), wait(
            admin.listOffsets(Map.of(partition(command), one.getValue())).partitionResult(partition(command))).offset());
      }
    });
  }

  private static void cluster(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      DescribeClusterResult found = admin.describeCluster();
      answer.put("cluster_id", wait(found.clusterId())).put("controller", wait(found.controller()).id());
      ArrayNode brokers = answer.putArray("brokers");
      wait(found.nodes()).forEach(node -> brokers.addObject().put("id", node.id()).put("host", node.host()).put("port", node.port()));
    });
  }

  private static void logDirs(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      List<Integer> brokers = new ArrayList<>();
      wait(admin.describeCluster().nodes()).forEach(node -> brokers.add(node.id()));
      ObjectNode sizes = answer.putObject("sizes");
      wait(admin.describeLogDirs(brokers).allDescriptions()).values().forEach(directories -> directories.forEach((path, directory) -> {
        answer.put("path", path);
        answer.put("total_bytes", directory.totalBytes().orElse(-1));
        directory.replicaInfos().forEach((partition, info) -> sizes.put(partition.toString(), info.size()));
      }));
    });
  }

  private static void producers(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      ArrayNode active = answer.putArray("producers");
      for (ProducerState state : wait(
          admin.describeProducers(List.of(partition(command))).partitionResult(partition(command))).activeProducers()) {
        active.addObject().put("id", state.producerId()).put("epoch", state.producerEpoch()).put("sequence", state.lastSequence());
      }
    });
  }
}
