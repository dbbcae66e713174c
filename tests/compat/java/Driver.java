import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.common.protocol.Errors;

/** Drives the Java client: one JSON command per line in, one JSON answer per line out; ../README.md lists the operations. */
public final class Driver {
  static final ObjectMapper JSON = new ObjectMapper();

  interface Operation {
    void run(JsonNode command, ObjectNode answer) throws Exception;
  }

  private static final Map<String, Operation> OPERATIONS = new HashMap<>();

  public static void main(String[] arguments) throws Exception {
    OPERATIONS.put("hello", (command, answer) ->
        answer.put("client", "java " + org.apache.kafka.common.utils.AppInfoParser.getVersion()));
    DataOperations.register(OPERATIONS);
    AdminOperations.register(OPERATIONS);
    GroupOperations.register(OPERATIONS);
    GroupAdminOperations.register(OPERATIONS);
    ClusterOperations.register(OPERATIONS);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
    }
    System.exit(0);
  }

  private static ObjectNode answer(JsonNode command) {
    ObjectNode answer = JSON.createObjectNode();
    String name = command.get("op").asText();
    Operation operation = OPERATIONS.get(name);
    if (operation == null) {
      return answer.put("unsupported", name);
    }
    try {
      operation.run(command, answer);
      return answer;
    } catch (Throwable failure) {
      ObjectNode error = JSON.createObjectNode();
      Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
      Errors kafka = Errors.forException(cause);
      if (kafka != Errors.UNKNOWN_SERVER_ERROR) {
        error.put("code", (int) kafka.code());
      } else {
        error.putNull("code");
      }
      error.put("type", cause.getClass().getSimpleName());
      error.put("message", String.valueOf(cause.getMessage()));
      return JSON.createObjectNode().set("error", error);
    }
  }
}
