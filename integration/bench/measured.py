"""What a command costs: time, processor, memory, bytes written."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Linux counts blocks of output in sectors, whatever the disk's are (getrusage(2)).
SECTOR = 512
# No command may take longer: seconds.
PATIENCE = 240
# GNU's: the one of a shell is none of its commands.
TIME = Path("/usr/bin/time")


@dataclass
class Cost:
    """Of one run. A tool that works through a daemon has the daemon's share added."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    written_bytes: int = 0
    sent_bytes: int = 0

    def then(self, other):
        return Cost(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
            self.written_bytes + other.written_bytes,
            self.sent_bytes + other.sent_bytes,
        )


class Failure(Exception):
    """A command failed."""


def run(command, environment=None):
    """Runs a command to its end; it does not outlive us, and neither do its children."""
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile() as peak:
        # The kernel counts what a process was before `execve`, which here is this interpreter: tens of megabytes.
        if TIME.exists():
            around = [TIME, "--quiet", "--format=%M", f"--output={peak.name}"]
        else:
            around = []
        began = time.perf_counter()
        process = subprocess.Popen([*around, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True, env={**os.environ, **(environment or {})})
        signal.signal(signal.SIGALRM, lambda *_: kill(process.pid))
        signal.alarm(PATIENCE)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            kill(process.pid)
            raise
        finally:
            signal.alarm(0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
            how = f"took longer than {PATIENCE} s" if seconds >= PATIENCE else f"exit code {process.returncode}"
            raise Failure(f"{' '.join(map(str, command))}: {how}\n{text[-2000:]}")
        peak_kilobytes = int(peak.read() or usage.ru_maxrss)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak_kilobytes * 1024, usage.ru_oublock * SECTOR)


def kill(group):
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class Daemon:
    """A process that outlives the commands that it works for, but not us."""

    def __init__(self, command, log):
        self.log = log.open("wb")
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "TERM", "--", *command]
        # In a session of its own, it does not hear the Ctrl-C that is meant for us, and is stopped in its turn.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)

    def wait_for(self, ready):
        for _ in range(600):
            if ready():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        sys.exit(f"bench: {' '.join(map(str, self.process.args))} did not start: {Path(self.log.name).read_text()}")

    def around(self, work):
        """Does `work`, which gives a cost, and adds what the daemon did meanwhile."""
        processes = self.family()
        for pid in processes:
            forget_peak(pid)
        before = sum(map(cpu_seconds, processes))
        written = sum(map(written_bytes, processes))
        cost = work()
        processes = self.family()
        cost.cpu_seconds += sum(map(cpu_seconds, processes)) - before
        cost.written_bytes += max(0, sum(map(written_bytes, processes)) - written)
        cost.peak_bytes = max(cost.peak_bytes, *map(peak_bytes, processes))
        return cost

    def family(self):
        """The daemon and its children, which in dockerd's case is containerd."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            kill(self.process.pid)
            self.process.wait()
        self.log.close()


def cpu_seconds(pid):
    """Of a process and all that it has waited for: fields 14 to 17 of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def written_bytes(pid):
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
