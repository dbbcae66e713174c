// Drives kafkajs: one JSON command per line in, one JSON answer per line out. The operations are listed in ../README.md.
const readline = require('readline');
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, ConfigResourceTypes, logLevel } = require('kafkajs');
const version = require('kafkajs/package.json').version;
const { ZstdCodec } = require('zstd-codec');

// kafkajs brings gzip; other codecs are plug-ins, here of pure JavaScript and WebAssembly.
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy');
const zstd = new Promise((done) => ZstdCodec.run((binding) => done(new binding.Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
});
const codecs = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 };

const unpack = (text) => (text === null || text === undefined ? null : Buffer.from(text, 'base64'));
const pack = (data) => (data === null || data === undefined ? null : Buffer.from(data).toString('base64'));
const client = (bootstrap) =>
  new Kafka({ clientId: 'compat', brokers: bootstrap.split(','), logLevel: logLevel.NOTHING, retry: { retries: 3 } });

async function withAdmin(bootstrap, act) {
  const admin = client(bootstrap).admin();
  await admin.connect();
  try {
    return (await act(admin)) || {};
  } finally {
    await admin.disconnect();
  }
}

function headersOf(record) {
  return Object.fromEntries((record.headers || []).map(([name, value]) => [name, unpack(value)]));
}

// Rejects when a step of the client does not end in time.
function within(ms, promise) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const operations = {
  async hello() {
    return { client: `kafkajs ${version}` };
  },

  // Answers one line per partition and batch: kafkajs tells base offsets, not the offset of each record.
  async produce({ bootstrap, topic, records, codec = 'none', acks = -1, idempotent = false }) {
    const producer = client(bootstrap).producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent });
    await producer.connect();
    try {
      const messages = records.map((record) => ({
        key: unpack(record.key),
        value: unpack(record.value),
        headers: headersOf(record),
        ...(record.partition === undefined || record.partition === null ? {} : { partition: record.partition }),
        ...(record.timestamp ? { timestamp: String(record.timestamp) } : {}),
      }));
      const answers = await producer.send({ topic, messages, acks: acks === 'all' ? -1 : acks, compression: codecs[codec] });
      return { batches: answers.map((a) => ({ partition: a.partition, offset: Number(a.baseOffset) })) };
    } finally {
      await producer.disconnect();
    }
  },

  // Only as a member of a group: kafkajs has no other consumer.
  async consume({ bootstrap, topic, count, start = 'earliest', timeout_ms = 20000 }) {
    const consumer = client(bootstrap).consumer({ groupId: `compat-${process.pid}-${Date.now()}` });
    await consumer.connect();
    try {
      await consumer.subscribe({ topics: [topic], fromBeginning: start === 'earliest' });
      const records = [];
      const all = new Promise((done) => {
        consumer.run({
          autoCommit: false,
          eachMessage: async ({ partition, message }) => {
            records.push({
              partition, offset: Number(message.offset), timestamp: Number(message.timestamp),
              key: pack(message.key), value: pack(message.value),
              headers: Object.entries(message.headers || {}).map(([name, value]) => [name, pack(value)]),
            });
            if (records.length >= count) done();
          },
        });
      });
      await within(timeout_ms, all).catch(() => {});
      return { records };
    } finally {
      await consumer.disconnect();
    }
  },

  async offsets({ bootstrap, topic, partition = 0, timestamp }) {
    return withAdmin(bootstrap, async (admin) => {
      const found = (await admin.fetchTopicOffsets(topic)).find((p) => p.partition === partition);
      const answer = { earliest: Number(found.low), latest: Number(found.high) };
      if (timestamp !== undefined) {
        const byTime = (await admin.fetchTopicOffsetsByTimestamp(topic, timestamp)).find((p) => p.partition === partition);
        answer.by_time = Number(byTime.offset);
      }
      return answer;
    });
  },

  async create_topic({ bootstrap, topic, partitions = -1, replication = -1, config = {}, validate_only = false }) {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await withAdmin(bootstrap, async (admin) => {
      const created = await admin.createTopics({
        validateOnly: validate_only,
        waitForLeaders: !validate_only,
        topics: [{ topic, numPartitions: partitions, replicationFactor: replication, configEntries }],
      });
      // kafkajs answers false instead of the error for this one case.
      if (!created) throw Object.assign(new Error('the topic exists'), { code: 36 });
    });
  },

  async delete_topic({ bootstrap, topic }) {
    await withAdmin(bootstrap, (admin) => admin.deleteTopics({ topics: [topic] }));
  },

  async list_topics({ bootstrap }) {
    return withAdmin(bootstrap, async (admin) => ({ topics: (await admin.listTopics()).sort() }));
  },

  async create_partitions({ bootstrap, topic, total }) {
    await withAdmin(bootstrap, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: total }] }));
  },

  async get_config({ bootstrap, topic }) {
    return withAdmin(bootstrap, async (admin) => {
      const found = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] });
      return { config: Object.fromEntries(found.resources[0].configEntries.map((e) => [e.configName, e.configValue])) };
    });
  },

  async set_config({ bootstrap, topic, config }) {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await withAdmin(bootstrap, (admin) =>
      admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] }));
  },

  async delete_records({ bootstrap, topic, partition = 0, offset }) {
    await withAdmin(bootstrap, async (admin) => {
      await admin.fetchTopicOffsets(topic); // makes kafkajs learn the leader
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
    });
  },

  async cluster({ bootstrap }) {
    return withAdmin(bootstrap, async (admin) => {
      const found = await admin.describeCluster();
      return { cluster_id: found.clusterId, controller: found.controller, brokers: found.brokers.length };
    });
  },
};

Object.assign(operations, require('./groups')(client, withAdmin));

// The innermost Kafka error of the chain that kafkajs wraps its failures in.
function errorOf(failure) {
  let inner = failure;
  while (inner.code === undefined && (inner.cause || (inner.errors && inner.errors.length))) {
    inner = inner.cause || inner.errors[0];
  }
  return { code: inner.code === undefined ? null : inner.code, type: failure.name, message: inner.message };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { op, ...command } = JSON.parse(line);
    let answer;
    try {
      answer = operations[op] ? (await operations[op](command)) || {} : { unsupported: op };
    } catch (failure) {
      answer = { error: errorOf(failure) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
