"""What /proc tells of the machine and of a process."""

import os
import pathlib
import platform
import re
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DIRTY_KIB_MAX = 16 * 1024


def cpu_s(pid):
    """User and system time of a process, its ended threads included, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def status_mib(pid, field):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M)[1]) / 1024


def rss_mib(pid):
    return status_mib(pid, "VmRSS")


def wait_until(condition, seconds, what):
    """Asks every 5 ms; raises when it is not true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


def settle_disk(seconds=60):
    """Ends write-back of what an earlier run left in the page cache, which would be charged to the next one."""
    os.sync()

    def quiet():
        text = pathlib.Path("/proc/meminfo").read_text()
        return sum(int(re.search(rf"^{f}:\s+(\d+)", text, re.M)[1]) for f in ("Dirty", "Writeback")) < DIRTY_KIB_MAX

    try:
        wait_until(quiet, seconds, "the disk came to rest")
    except TimeoutError:
        os.sync()


def drop_page_cache():
    """True when the machine let us: cold reads of a broker that reads through the page cache need it."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        return False
    return True


def _first_line(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (result.stdout or result.stderr).splitlines()
    return lines[0].strip() if lines else "unknown"


def describe(folder):
    """The machine, as RESULTS.md names it."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.M)
    meminfo = pathlib.Path("/proc/meminfo").read_text()
    return {
        "cpu": f"{os.cpu_count()} x {model[1] if model else platform.machine()}",
        "memory": f"{int(re.search(r'MemTotal: +([0-9]+)', meminfo)[1]) / 1048576:.0f} GiB",
        "kernel": platform.release(),
        "file system": _first_line("findmnt", "-no", "FSTYPE", "-T", str(folder)),
        "java": _first_line("java", "-version"),
        "compiler": _first_line("c++", "--version"),
    }
