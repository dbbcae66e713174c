"""A member of a consumer group that consumes in a thread of its own, for the Python drivers: see driver_loop.py.

Records are noted as [partition, offset] in the order in which the client gave them. After each batch the member commits and
waits for the answer; only what the broker acknowledged counts as committed.
"""
import threading

NOTES_MAX = 20


class GroupMember(threading.Thread):
    """A subclass gives open(), poll() -> [(partition, offset)], commit(), leave() and, where the client tells, assigned()."""

    def __init__(self, commits=True):
        super().__init__(daemon=True)
        self.commits = commits
        self.leaving = threading.Event()
        self.lock = threading.Lock()
        self.records, self.notes = [], []
        self.committed = {}  # partition -> first offset not consumed, as acknowledged
        self.assignments, self.revoked = 0, []
        self.owned = None  # None: nothing is known yet
        self.failure = None

    def run(self):
        try:
            self.open()
            while not self.leaving.is_set():
                self._take_in(self.poll())
            self.leave()
        except Exception as failure:  # the test decides what a failure means
            self.failure = "%s: %s" % (type(failure).__name__, failure)

    def _take_in(self, batch):
        if not batch:
            return
        with self.lock:
            self.records.extend(batch)
        if not self.commits:
            return
        try:
            self.commit()
        except Exception as refused:  # a rebalance or a broker that is away: the records come again
            self.note(refused)
            return
        with self.lock:
            for partition, offset in batch:
                self.committed[partition] = max(offset + 1, self.committed.get(partition, 0))

    def note(self, text):
        with self.lock:
            self.notes = (self.notes + [str(text)])[-NOTES_MAX:]

    def on_assigned(self, added, incremental=False):
        with self.lock:
            self.assignments += 1
            self.owned = sorted(set(added) | (set(self.owned or []) if incremental else set()))

    def on_revoked(self, removed):
        with self.lock:
            self.revoked.extend(removed)
            self.owned = sorted(set(self.owned or []) - set(removed))

    def take(self):
        """What happened; the records only once."""
        with self.lock:
            records, self.records = self.records, []
            return {"records": records, "assigned": self.owned, "assignments": self.assignments, "revoked": self.revoked,
                    "committed": self.committed, "notes": self.notes, "failure": self.failure}


class Membership:
    """The operations of a driver that can be a member; `member_class` makes one of (bootstrap, group, topic, **options)."""

    member_class = None
    member = None

    def group_start(self, bootstrap, group, topic, member=None):
        self.member = self.member_class(bootstrap, group, topic, **(member or {}))
        self.member.start()
        return {}

    def group_take(self, bootstrap):
        return self.member.take()

    def group_stop(self, bootstrap):
        self.member.leaving.set()
        self.member.join(30)
        return self.member.take()
