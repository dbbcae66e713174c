import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** What admin tools and user interfaces ask about a cluster beside its topics: one operation "admin" with the "call" to make. */
final class ClusterOperations {
  private ClusterOperations() {}

  interface Call {
    void run(Admin admin, JsonNode command, ObjectNode answer) throws Exception;
  }

  private static final Map<String, Call> CALLS = Map.ofEntries(
      Map.entry("config_resources", ClusterOperations::configResources),
      Map.entry("client_metrics", (admin, c, a) -> AdminOperations.wait(admin.listClientMetricsResources().all())
          .forEach(found -> a.withArray("names").add(found.name()))),
      Map.entry("features", ClusterOperations::features),
      Map.entry("update_feature", ClusterOperations::updateFeature),
      Map.entry("describe_many", ClusterOperations::describeMany),
      Map.entry("elect", ClusterOperations::elect),
      Map.entry("reassign", ClusterOperations::reassign),
      Map.entry("reassignments", (admin, c, a) -> a.put("count",
          AdminOperations.wait(admin.listPartitionReassignments().reassignments()).size())),
      Map.entry("move_dir", (admin, c, a) -> AdminOperations.wait(admin.alterReplicaLogDirs(
          Map.of(new TopicPartitionReplica(c.get("topic").asText(), 0, c.get("broker").asInt()), c.get("path").asText())).all())),
      Map.entry("unregister", (admin, c, a) -> AdminOperations.wait(admin.unregisterBroker(c.get("broker").asInt()).all())),
      Map.entry("quorum", ClusterOperations::quorum),
      Map.entry("list_transactions", (admin, c, a) -> a.put("count", AdminOperations.wait(admin.listTransactions().all()).size())),
      Map.entry("describe_acls", (admin, c, a) -> AdminOperations.wait(admin.describeAcls(AclBindingFilter.ANY).values())),
      Map.entry("create_acl", (admin, c, a) -> AdminOperations.wait(admin.createAcls(List.of(acl())).all())),
      Map.entry("delete_acls", (admin, c, a) -> AdminOperations.wait(admin.deleteAcls(List.of(AclBindingFilter.ANY)).all())),
      Map.entry("quotas", (admin, c, a) -> a.put("count",
          AdminOperations.wait(admin.describeClientQuotas(ClientQuotaFilter.all()).entities()).size())),
      Map.entry("set_quota", (admin, c, a) -> AdminOperations.wait(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(
          new ClientQuotaEntity(Map.of("user", "alice")),
          List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1000.0))))).all())),
      Map.entry("scram", (admin, c, a) -> a.put("count",
          AdminOperations.wait(admin.describeUserScramCredentials().all()).size())),
      Map.entry("scram_of", (admin, c, a) -> AdminOperations.wait(admin.describeUserScramCredentials(List.of("alice"))
          .description("alice"))),
      Map.entry("set_scram", (admin, c, a) -> AdminOperations.wait(admin.alterUserScramCredentials(List.of(
          new UserScramCredentialUpsertion("alice", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all())),
      Map.entry("operations", (admin, c, a) -> a.put("count",
          AdminOperations.wait(admin.describeCluster().authorizedOperations()) == null ? -1 : 0)));

  static void register(Map<String, Driver.Operation> operations) {
    operations.put("admin", (command, answer) -> AdminOperations.with(command,
        admin -> CALLS.get(command.get("call").asText()).run(admin, command, answer)));
  }

  private static AclBinding acl() {
    return new AclBinding(new ResourcePattern(ResourceType.TOPIC, "t", PatternType.LITERAL),
        new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW));
  }

  private static void configResources(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    for (ConfigResource found : AdminOperations.wait(admin.listConfigResources().all())) {
      answer.withArray(found.type().name()).add(found.name());
    }
    ConfigResource.Type one = ConfigResource.Type.CLIENT_METRICS;
    AdminOperations.wait(admin.listConfigResources(Set.of(one), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all())
        .forEach(found -> answer.withArray("filtered").add(found.name()));
  }

  private static void features(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    FeatureMetadata found = AdminOperations.wait(admin.describeFeatures().featureMetadata());
    answer.put("epoch", found.finalizedFeaturesEpoch().orElse(-1L));
    ObjectNode finalized = answer.putObject("finalized");
    found.finalizedFeatures().forEach((name, range) -> finalized.put(name, range.maxVersionLevel()));
    ObjectNode supported = answer.putObject("supported");
    found.supportedFeatures().forEach((name, range) -> supported.put(name, range.maxVersion()));
  }

  private static void updateFeature(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    FeatureUpdate.UpgradeType kind = FeatureUpdate.UpgradeType.valueOf(command.path("kind").asText("UPGRADE"));
    AdminOperations.wait(admin.updateFeatures(
        Map.of(command.get("feature").asText(), new FeatureUpdate((short) command.get("level").asInt(), kind)),
        new UpdateFeaturesOptions()).all());
  }

  /** Asks for so many partitions in one answer that the client has to come back with cursors. */
  private static void describeMany(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    List<String> topics = new ArrayList<>();
    command.get("topics").forEach(topic -> topics.add(topic.asText()));
    DescribeTopicsOptions options = new DescribeTopicsOptions().partitionSizeLimitPerResponse(command.get("limit").asInt());
    Map<String, TopicDescription> found = AdminOperations.wait(
        admin.describeTopics(TopicCollection.ofTopicNames(topics), options).allTopicNames());
    for (Map.Entry<String, TopicDescription> entry : found.entrySet()) {
      ArrayNode partitions = answer.putArray(entry.getKey());
      for (TopicPartitionInfo info : entry.getValue().partitions()) {
        partitions.add(info.partition());
      }
    }
  }

  private static void elect(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    Set<TopicPartition> partitions = command.hasNonNull("topic")
        ? Set.of(new TopicPartition(command.get("topic").asText(), command.path("partition").asInt(0))) : null;
    Map<TopicPartition, Optional<Throwable>> found =
        AdminOperations.wait(admin.electLeaders(ElectionType.PREFERRED, partitions).partitions());
    answer.put("count", found.size());
    for (Optional<Throwable> outcome : found.values()) {
      answer.put("outcome", outcome.map(failure -> failure.getClass().getSimpleName()).orElse("none"));
    }
  }

  private static void reassign(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    Optional<NewPartitionReassignment> wanted = Optional.empty();
    if (command.hasNonNull("replicas")) {
      List<Integer> replicas = new ArrayList<>();
      command.get("replicas").forEach(id -> replicas.add(id.asInt()));
      wanted = Optional.of(new NewPartitionReassignment(replicas));
    }
    AdminOperations.wait(admin.alterPartitionReassignments(Map.of(new TopicPartition(command.get("topic").asText(), 0), wanted)).all());
  }

  private static void quorum(Admin admin, JsonNode command, ObjectNode answer) throws Exception {
    QuorumInfo found = AdminOperations.wait(admin.describeMetadataQuorum().quorumInfo());
    answer.put("leader", found.leaderId()).put("high_watermark", found.highWatermark()).put("epoch", found.leaderEpoch());
    answer.put("voters", found.voters().size()).put("observers", found.observers().size()).put("nodes", found.nodes().size());
    answer.put("log_end", found.voters().get(0).logEndOffset());
  }
}
