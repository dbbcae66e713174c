import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.quarkus.kafka.client.runtime.KafkaAdminClient;
import io.quarkus.kafka.client.runtime.devui.KafkaJsonRPCService;
import io.quarkus.kafka.client.runtime.devui.KafkaTopicClient;
import io.quarkus.kafka.client.runtime.devui.KafkaUiUtils;
import io.quarkus.kafka.client.runtime.devui.model.converter.KafkaModelConverter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;

/**
 * Asks for the pages of the user interface as its front end does, through its remote procedures: one JSON command per line in,
 * one JSON answer per line out. The parts are put together here by hand, which in an application the injection does.
 */
public final class Pages {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Pages() {}

  public static void main(String[] arguments) throws Exception {
    KafkaJsonRPCService service = null;
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      JsonNode command = JSON.readTree(line);
      ObjectNode answer = JSON.createObjectNode();
      try {
        if (command.get("op").asText().equals("hello")) {
          answer.put("client", "Quarkus Dev UI for Kafka " + KafkaUiUtils.class.getPackage().getImplementationVersion());
        } else {
          if (service == null) service = service(command.get("bootstrap").asText());
          answer.set("page", JSON.valueToTree(page(service, command)));
        }
      } catch (Throwable failure) {
        Throwable cause = failure.getCause() == null ? failure : failure.getCause();
        answer.putObject("error").putNull("code").put("type", cause.getClass().getSimpleName())
            .put("message", String.valueOf(cause.getMessage()));
      }
      System.out.println(JSON.writeValueAsString(answer));
    }
    System.exit(0);
  }

  private static Object page(KafkaJsonRPCService service, JsonNode command) throws Exception {
    switch (command.get("op").asText()) {
      case "info":
        return service.getInfo();
      case "topics":
        return service.getTopics();
      case "messages":
        return service.topicMessages(command.get("topic").asText());
      case "partitions":
        return service.getPartitions(command.get("topic").asText());
      case "create_topic":
        return service.createTopic(command.get("topic").asText(), command.get("partitions").asInt(), 1);
      case "create_message":
        return service.createMessage(command.get("topic").asText(), command.get("partition").asInt(), command.get("key").asText(),
            command.get("value").asText(), Map.of());
      case "delete_topic":
        return service.deleteTopic(command.get("topic").asText());
      default:
        throw new IllegalArgumentException("no page " + command.get("op"));
    }
  }

  private static KafkaJsonRPCService service(String bootstrap) throws Exception {
    Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
    KafkaAdminClient admin = new KafkaAdminClient();
    set(admin, "config", config);
    Method init = KafkaAdminClient.class.getDeclaredMethod("init");
    init.setAccessible(true);
    init.invoke(admin);
    KafkaTopicClient topics = new KafkaTopicClient();
    set(topics, "adminClient", admin);
    set(topics, "modelConverter", new KafkaModelConverter());
    set(topics, "config", config);
    KafkaJsonRPCService service = new KafkaJsonRPCService();
    set(service, "kafkaUiUtils", new KafkaUiUtils(admin, topics, config));
    set(service, "kafkaAdminClient", admin);
    return service;
  }

  private static void set(Object owner, String name, Object value) throws Exception {
    Field field = owner.getClass().getDeclaredField(name);
    field.setAccessible(true);
    field.set(owner, value);
  }
}
