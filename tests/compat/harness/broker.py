"""A broker process of our own: started on free ports, found by its ready line, ended by its pid."""
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

# The broker reads MILLRACE_* as settings; those of the tests are not meant for it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
READY = re.compile(r"^ready kafka=(\S+) grpc=(\S+) http=(\S+)")
START_SECONDS = 60


def binary(name="millrace"):
    return os.path.join(os.environ["MILLRACE_BUILD"], "bin", name)


class Broker:
    """One broker. start() may be called again after stop() or kill(): the data stays until close().

    `prefix`: what its command line begins with, as a program that moves it to another network.
    """

    def __init__(self, data=None, kafka="127.0.0.1:0", prefix=(), **settings):
        self.prefix = list(prefix)
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="millrace-test-")
        self.settings = {"kafka.listen": kafka, "internal.listen": "127.0.0.1:0", "grpc.listen": "127.0.0.1:0",
                         "http.listen": "127.0.0.1:0"}
        self.settings.update({name.replace("__", "."): str(value) for name, value in settings.items()})
        self.process = None
        self.kafka = self.grpc = self.http = None
        self.launched = self.start_seconds = None
        self.log_path = self.data.rstrip("/") + ".log"

    def start(self):
        self.launch()
        self.await_ready()
        return self

    def metrics(self):
        """What /metrics says now, line by line."""
        with urllib.request.urlopen("http://%s/metrics" % self.http, timeout=10) as page:
            return page.read().decode().splitlines()

    def command(self):
        return [binary(), "--data", self.data] + ["--%s=%s" % item for item in self.settings.items()]

    def launch(self):
        """Starts the process; await_ready() has to follow."""
        self.launched = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.prefix + self.command(), stdout=subprocess.PIPE, stderr=log,
                                            stdin=subprocess.DEVNULL, env=ENVIRONMENT)

    def await_ready(self, seconds=START_SECONDS):
        self._await_ready(self.launched + seconds)
        self.start_seconds = time.monotonic() - self.launched

    def _await_ready(self, end):
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while time.monotonic() < end:
                if not selector.select(timeout=end - time.monotonic()):
                    break
                chunk = os.read(self.process.stdout.fileno(), 4096)
                text += chunk
                for line in text.decode(errors="replace").splitlines(keepends=True):
                    found = READY.match(line) if line.endswith("\n") else None
                    if found:
                        self.kafka, self.grpc, self.http = found.groups()
                        return
                if not chunk:
                    break
        self.kill()
        raise AssertionError("the broker did not become ready; its log ends:\n" + self.log_end())

    def keep_ports(self):
        """The next start listens on the ports of this one, as a restarted broker does."""
        self.settings.update({"kafka.listen": self.kafka, "grpc.listen": self.grpc, "http.listen": self.http})

    def log_end(self, characters=3000):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-characters:]

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def memory_bytes(self, field="VmRSS"):
        with open("/proc/%d/status" % self.pid) as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))

    def signal(self, number):
        os.kill(self.pid, number)

    def pause(self):
        """SIGSTOP: it keeps its connections and does nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def wipe(self):
        """Everything that it kept is gone, as after a new disk. It must not run."""
        assert not self.running()
        shutil.rmtree(self.data, ignore_errors=True)

    def kill(self):
        """kill -9, and wait until it is gone."""
        if self.running():
            self.process.send_signal(signal.SIGKILL)
        self._reap(10)

    def stop(self, seconds=20):
        """SIGTERM; answers the exit code. A broker that does not end in time is a failure."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self._reap(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the broker did not stop within %d s of SIGTERM; its log ends:\n%s" % (seconds, self.log_end()))

    def _reap(self, seconds):
        if self.process is None:
            return None
        code = self.process.wait(timeout=seconds)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def close(self):
        if self.running():
            self.kill()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)
            if os.path.exists(self.log_path):
                os.unlink(self.log_path)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


class Running:
    """A broker that somebody else started: only its addresses are known."""

    def __init__(self, kafka, grpc):
        self.kafka = kafka
        self.grpc = grpc
        self.pid = None

    def running(self):
        return True

    def close(self):
        pass
