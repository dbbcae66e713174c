package millrace.schema;

import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.types.ArrayOf;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.CompactArrayOf;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

/** Random values for any schema that the Kafka client publishes. */
final class RandomMessages {
  private static final String[] PIECES = {"a", "Z", "7", ".", "-", "\u00e9", "\u20ac", "\ud83d\udc0e"};
  private final Random random;

  RandomMessages(Random random) {
    this.random = random;
  }

  /** A random message as the schema encodes it; tagged fields that hold their default may be among it. */
  ByteBuffer bytes(Schema schema) {
    Struct struct = struct(schema);
    ByteBuffer out = ByteBuffer.allocate(struct.sizeOf());
    struct.writeTo(out);
    out.flip();
    return out;
  }

  private Struct struct(Schema schema) {
    Struct struct = new Struct(schema);
    for (BoundField field : schema.fields()) {
      struct.set(field, value(field.def.type));
    }
    return struct;
  }

  private Object value(Type type) {
    if (type.isNullable() && random.nextInt(4) == 0) {
      return null;
    }
    if (type instanceof Schema schema) {
      return struct(schema);
    }
    if (type instanceof TaggedFields tags) {
      Map<Integer, Object> values = new TreeMap<>();
      for (Map.Entry<Integer, Field> tag : tags.fields().entrySet()) {
        if (random.nextBoolean()) {
          // The schemas write a null struct as a byte; the classes read a varint there, and cannot read that byte.
          Type tagged = tag.getValue().type;
          values.put(tag.getKey(), tagged instanceof Schema schema ? struct(schema) : value(tagged));
        }
      }
      return values;
    }
    if (type instanceof ArrayOf || type instanceof CompactArrayOf) {
      Object[] values = new Object[random.nextInt(4)];
      for (int i = 0; i < values.length; ++i) {
        values[i] = value(type.arrayElementType().orElseThrow());
      }
      return values;
    }
    return scalar(type.toString());
  }

  /** By the type's published name, in which the compact and nullable forms differ only by a prefix. */
  private Object scalar(String name) {
    String plain = name.replace("COMPACT_", "").replace("NULLABLE_", "");
    return switch (plain) {
      case "BOOLEAN" -> random.nextBoolean();
      case "INT8" -> (byte) number(Byte.MAX_VALUE);
      case "INT16" -> (short) number(Short.MAX_VALUE);
      case "UINT16" -> (int) (number(65535) & 65535);
      case "INT32" -> (int) number(Integer.MAX_VALUE);
      case "UINT32" -> number(0xffffffffL) & 0xffffffffL;
      case "INT64" -> number(Long.MAX_VALUE);
      case "FLOAT64" -> random.nextGaussian();
      case "UUID" -> random.nextInt(8) == 0 ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), random.nextLong());
      case "STRING" -> string();
      case "BYTES" -> ByteBuffer.wrap(block());
      case "RECORDS" -> MemoryRecords.readableRecords(ByteBuffer.wrap(block()));
      default -> throw new IllegalArgumentException("no random value for type " + name);
    };
  }

  private long number(long max) {
    return switch (random.nextInt(5)) {
      case 0 -> random.nextInt(5);
      case 1 -> -1;
      case 2 -> max;
      case 3 -> -max - 1;
      default -> random.nextLong();
    };
  }

  private String string() {
    int pieces = random.nextInt(20) == 0 ? random.nextInt(500) : random.nextInt(12);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < pieces; ++i) {
      text.append(PIECES[random.nextInt(PIECES.length)]);
    }
    return text.toString();
  }

  private byte[] block() {
    byte[] block = new byte[random.nextInt(random.nextInt(4) == 0 ? 5000 : 40)];
    random.nextBytes(block);
    return block;
  }
}
