// Groups with kafkajs: a member, and what an admin asks. The operations are listed in ../README.md.
const { PartitionAssigners } = require('kafkajs');

const NOTES_MAX = 20;
let member = null;

function unsupported(what) {
  return { unsupported: what };
}

// Consumes until it is told to leave; commits after each batch and waits for the answer.
class Member {
  constructor(client, group, topic, { session_ms: sessionTimeout = 6000, commits = true }) {
    Object.assign(this, {
      topic, commits, records: [], committed: {}, notes: [], owned: null, assignments: 0, revoked: [], failure: null,
    });
    this.consumer = client.consumer({
      groupId: group, sessionTimeout, heartbeatInterval: sessionTimeout / 6, rebalanceTimeout: 10000, maxWaitTimeInMs: 100,
      partitionAssigners: [PartitionAssigners.roundRobin], retry: { retries: 100, maxRetryTime: 1000 },
    });
    const { GROUP_JOIN, CRASH } = this.consumer.events;
    this.consumer.on(GROUP_JOIN, ({ payload }) => {
      this.assignments += 1;
      this.owned = (payload.memberAssignment[topic] || []).map(Number).sort((a, b) => a - b);
    });
    this.consumer.on(CRASH, ({ payload }) => this.note(payload.error));
  }

  note(failure) {
    this.notes = [...this.notes, String(failure)].slice(-NOTES_MAX);
  }

  async run() {
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [this.topic], fromBeginning: true });
    await this.consumer.run({
      autoCommit: false, eachBatchAutoResolve: true, partitionsConsumedConcurrently: 4, eachBatch: (payload) => this.take_in(payload),
    });
  }

  async take_in({ batch, heartbeat }) {
    const { partition, messages } = batch;
    messages.forEach(({ offset }) => this.records.push([partition, Number(offset)]));
    await heartbeat();
    if (!this.commits) return;
    const next = Number(batch.lastOffset()) + 1;
    try {
      await this.consumer.commitOffsets([{ topic: this.topic, partition, offset: String(next) }]);
      this.committed[partition] = next;
    } catch (refused) {
      this.note(refused); // a rebalance, or a broker that is away: the records come again
      throw refused;
    }
  }

  take() {
    const { records, owned: assigned, assignments, revoked, committed, notes, failure } = this;
    this.records = [];
    return { records, assigned, assignments, revoked, committed, notes, failure };
  }
}

module.exports = (client, withAdmin) => ({
  async group_start({ bootstrap, group, topic, member: options = {} }) {
    if ((options.protocol || 'classic') !== 'classic') return unsupported(`group protocol ${options.protocol}`);
    if (options.instance) return unsupported('static membership');
    if (options.assignor && options.assignor !== 'roundrobin') return unsupported(`assignor ${options.assignor}`);
    member = new Member(client(bootstrap), group, topic, options);
    member.run().catch((failure) => { member.failure = String(failure); });
    return {};
  },

  async group_take() {
    return member.take();
  },

  async group_stop() {
    await member.consumer.disconnect();
    return member.take();
  },

  async list_groups({ bootstrap }) {
    return withAdmin(bootstrap, async (admin) => ({ groups: (await admin.listGroups()).groups.map((g) => g.groupId).sort() }));
  },

  async describe_group({ bootstrap, group }) {
    return withAdmin(bootstrap, async (admin) => {
      const [found] = (await admin.describeGroups([group])).groups;
      return { state: found.state, members: found.members.length };
    });
  },

  async group_offsets({ bootstrap, group, topic }) {
    return withAdmin(bootstrap, async (admin) => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      const known = found.partitions.filter((p) => Number(p.offset) >= 0);
      return { offsets: Object.fromEntries(known.map((p) => [p.partition, Number(p.offset)])) };
    });
  },

  async alter_offsets({ bootstrap, group, topic, offsets }) {
    const partitions = Object.entries(offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: String(offset) }));
    await withAdmin(bootstrap, (admin) => admin.setOffsets({ groupId: group, topic, partitions }));
  },

  async delete_group({ bootstrap, group }) {
    await withAdmin(bootstrap, (admin) => admin.deleteGroups([group]));
  },
});
