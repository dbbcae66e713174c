import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeConsumerGroupsOptions;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** What a user interface asks the Admin client about groups. */
final class GroupAdminOperations {
  private GroupAdminOperations() {}

  interface Action {
    void run(Admin admin) throws Exception;
  }

  static void register(Map<String, Driver.Operation> operations) {
    operations.put("list_groups", GroupAdminOperations::listGroups);
    operations.put("list_groups_by", GroupAdminOperations::listGroupsBy);
    operations.put("describe_group", GroupAdminOperations::describeGroup);
    operations.put("group_offsets", GroupAdminOperations::groupOffsets);
    operations.put("offsets_of_groups", GroupAdminOperations::offsetsOfGroups);
    operations.put("alter_offsets", GroupAdminOperations::alterOffsets);
    operations.put("delete_offsets", GroupAdminOperations::deleteOffsets);
    operations.put("delete_group", (c, a) -> with(c, admin -> wait(admin.deleteConsumerGroups(List.of(group(c))).all())));
    operations.put("remove_member", GroupAdminOperations::removeMember);
  }

  private static String group(JsonNode command) {
    return command.get("group").asText();
  }

  private static <T> T wait(KafkaFuture<T> future) throws Exception {
    return future.get(20, TimeUnit.SECONDS);
  }

  private static void with(JsonNode command, Action action) throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", command.get("bootstrap").asText()))) {
      action.run(admin);
    }
  }

  private static void listGroups(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      TreeSet<String> names = new TreeSet<>();
      for (GroupListing one : wait(admin.listGroups().all())) names.add(one.groupId());
      names.forEach(answer.putArray("groups")::add);
    });
  }

  /** {"types": [...], "states": [...]} as the filters of ListGroups; answers name -> [type, state]. */
  private static void listGroupsBy(JsonNode command, ObjectNode answer) throws Exception {
    Set<GroupType> types = new HashSet<>();
    command.path("types").forEach(type -> types.add(GroupType.parse(type.asText())));
    Set<GroupState> states = new HashSet<>();
    command.path("states").forEach(state -> states.add(GroupState.parse(state.asText())));
    with(command, admin -> {
      ObjectNode found = answer.putObject("groups");
      for (GroupListing one : wait(admin.listGroups(new ListGroupsOptions().withTypes(types).inGroupStates(states)).all())) {
        found.putArray(one.groupId()).add(one.type().map(Object::toString).orElse(null))
            .add(one.groupState().map(Object::toString).orElse(null));
      }
    });
  }

  private static void describeGroup(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> {
      ConsumerGroupDescription found = wait(admin.describeConsumerGroups(List.of(group(command)),
          new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true)).all()).get(group(command));
      answer.put("state", found.groupState().name()).put("members", found.members().size())
          .put("type", found.type().toString()).put("assignor", found.partitionAssignor())
          .put("coordinator", found.coordinator().idString());
      ArrayNode members = answer.putArray("each");
      found.members().forEach(member -> {
        ObjectNode one = members.addObject().put("id", member.consumerId()).put("client", member.clientId())
            .put("host", member.host()).put("instance", member.groupInstanceId().orElse(null))
            .put("upgraded", member.upgraded().orElse(null));
        ArrayNode assigned = one.putArray("assigned");
        member.assignment().topicPartitions().stream().map(TopicPartition::partition).sorted().forEach(assigned::add);
      });
    });
  }

  private static void putOffsets(ObjectNode into, Map<TopicPartition, OffsetAndMetadata> found, String topic) {
    found.forEach((partition, at) -> {
      if (at != null && partition.topic().equals(topic)) into.put(String.valueOf(partition.partition()), at.offset());
    });
  }

  private static void groupOffsets(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> putOffsets(answer.putObject("offsets"),
        wait(admin.listConsumerGroupOffsets(group(command)).partitionsToOffsetAndMetadata()), command.get("topic").asText()));
  }

  /** Many groups in one call, as the offsets page of a user interface asks. */
  private static void offsetsOfGroups(JsonNode command, ObjectNode answer) throws Exception {
    Map<String, ListConsumerGroupOffsetsSpec> wanted = new HashMap<>();
    command.get("groups").forEach(name -> wanted.put(name.asText(), new ListConsumerGroupOffsetsSpec()));
    with(command, admin -> {
      ObjectNode groups = answer.putObject("groups");
      wait(admin.listConsumerGroupOffsets(wanted).all()).forEach((name, found) ->
          putOffsets(groups.putObject(name), found, command.get("topic").asText()));
    });
  }

  private static void alterOffsets(JsonNode command, ObjectNode answer) throws Exception {
    Map<TopicPartition, OffsetAndMetadata> wanted = new HashMap<>();
    command.get("offsets").properties().forEach(entry -> wanted.put(
        new TopicPartition(command.get("topic").asText(), Integer.parseInt(entry.getKey())),
        new OffsetAndMetadata(entry.getValue().asLong())));
    with(command, admin -> wait(admin.alterConsumerGroupOffsets(group(command), wanted).all()));
  }

  private static void deleteOffsets(JsonNode command, ObjectNode answer) throws Exception {
    Set<TopicPartition> gone = new HashSet<>();
    command.get("partitions").forEach(node -> gone.add(new TopicPartition(command.get("topic").asText(), node.asInt())));
    with(command, admin -> wait(admin.deleteConsumerGroupOffsets(group(command), gone).all()));
  }

  private static void removeMember(JsonNode command, ObjectNode answer) throws Exception {
    with(command, admin -> wait(admin.removeMembersFromConsumerGroup(group(command),
        new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove(command.get("instance").asText())))).all()));
  }
}
