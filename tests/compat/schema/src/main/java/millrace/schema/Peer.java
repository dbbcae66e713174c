package millrace.schema;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Random;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.coordinator.group.generated.CoordinatorRecordType;

/**
 * The message classes of the Kafka client and of its group coordinator as a filter; tests/compat/schema/wire_peer.cc is its counterpart.
 *
 * <p>KIND is request, response, key or value (of the record of type KEY), request_header or response_header.
 *
 * <p>generate COUNT SEED: reads lines "KEY KIND LOW HIGH" and writes COUNT random messages for each version of each, one
 * per line, as "KEY KIND VERSION HEX". echo: reads such lines and writes each message as these classes encode it again,
 * or "KEY KIND VERSION error TEXT".
 */
public final class Peer {
  private record Kind(int key, String name) {
    Message message() {
      return switch (name) {
        case "request" -> ApiMessageType.fromApiKey((short) key).newRequest();
        case "response" -> ApiMessageType.fromApiKey((short) key).newResponse();
        case "request_header" -> new RequestHeaderData();
        case "response_header" -> new ResponseHeaderData();
        case "key" -> CoordinatorRecordType.fromId((short) key).newRecordKey();
        case "value" -> CoordinatorRecordType.fromId((short) key).newRecordValue();
        default -> throw new IllegalArgumentException("unknown kind " + name);
      };
    }

    Schema schema(int version) {
      return switch (name) {
        case "request" -> ApiMessageType.fromApiKey((short) key).requestSchemas()[version];
        case "response" -> ApiMessageType.fromApiKey((short) key).responseSchemas()[version];
        case "request_header" -> RequestHeaderData.SCHEMAS[version];
        case "response_header" -> ResponseHeaderData.SCHEMAS[version];
        case "key", "value" -> recordSchemas(message())[version];
        default -> throw new IllegalArgumentException("unknown kind " + name);
      };
    }
  }

  /** The classes of records publish their schemas, but have no common way to them. */
  private static Schema[] recordSchemas(Message message) {
    try {
      return (Schema[]) message.getClass().getField("SCHEMAS").get(null);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(message.getClass() + " has no schemas", e);
    }
  }

  /** The bytes that Kafka's class for this message writes after reading the given ones to their end. */
  private static byte[] recode(Kind kind, short version, ByteBuffer bytes) {
    Message message = kind.message();
    message.read(new ByteBufferAccessor(bytes), version);
    if (bytes.hasRemaining()) {
      throw new IllegalStateException(bytes.remaining() + " bytes are left over");
    }
    if (!message.unknownTaggedFields().isEmpty()) {
      throw new IllegalStateException("unknown tagged fields " + message.unknownTaggedFields());
    }
    ObjectSerializationCache cache = new ObjectSerializationCache();
    ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
    message.write(new ByteBufferAccessor(out), cache, version);
    return out.array();
  }

  private static void generate(BufferedReader in, PrintStream out, int count, long seed) throws IOException {
    RandomMessages random = new RandomMessages(new Random(seed));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      Kind kind = new Kind(Integer.parseInt(words[0]), words[1]);
      for (int version = Integer.parseInt(words[2]); version <= Integer.parseInt(words[3]); ++version) {
        for (int i = 0; i < count; ++i) {
          ByteBuffer raw = random.bytes(kind.schema(version));
          byte[] canonical = recode(kind, (short) version, raw);
          out.println(kind.key() + " " + kind.name() + " " + version + " " + HexFormat.of().formatHex(canonical));
        }
      }
    }
  }

  private static void echo(BufferedReader in, PrintStream out) throws IOException {
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ", -1);
      String answer;
      try {
        byte[] bytes = HexFormat.of().parseHex(words[3]);
        Kind kind = new Kind(Integer.parseInt(words[0]), words[1]);
        answer = HexFormat.of().formatHex(recode(kind, Short.parseShort(words[2]), ByteBuffer.wrap(bytes)));
      } catch (RuntimeException e) {
        answer = "error " + e;
      }
      out.println(words[0] + " " + words[1] + " " + words[2] + " " + answer);
    }
  }

  public static void main(String[] arguments) throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    if (arguments.length == 3 && arguments[0].equals("generate")) {
      generate(in, out, Integer.parseInt(arguments[1]), Long.parseLong(arguments[2]));
    } else if (arguments.length == 1 && arguments[0].equals("echo")) {
      echo(in, out);
    } else {
      System.err.println("usage: Peer generate COUNT SEED | echo");
      System.exit(2);
    }
    out.flush();
  }

  private Peer() {}
}
