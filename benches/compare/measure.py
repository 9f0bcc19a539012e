"""Measures a command with everything that it starts: wall time, CPU time, peak memory."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

LAUNCHER = pathlib.Path(__file__).with_name("launch.py")


class Run:
    """One measured run."""

    def __init__(self, wall, cpu, family_bytes, largest_bytes, server_cpu):
        self.wall, self.cpu, self.server_cpu = wall, cpu, server_cpu
        # The kernel's exact peak of the largest single process, and of the family as far as it was seen.
        self.largest_bytes = largest_bytes
        self.peak_bytes = max(family_bytes, largest_bytes)


def descendants(pid):
    """The processes that a process has started, and theirs."""
    members = [pid]
    for member in members:
        try:
            for task in os.listdir(f"/proc/{member}/task"):
                members += map(int, pathlib.Path(f"/proc/{member}/task/{task}/children").read_text().split())
        except OSError:
            pass
    return members[1:]


def resident_bytes(pids):
    total = 0
    for pid in pids:
        try:
            total += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            pass
    return total * os.sysconf("SC_PAGE_SIZE")


def measure(argv, environment, folder, server=None):
    """Runs a command to its end, measures it, and returns the measurement and what it printed.

    CPU is the kernel's account of the command and all that it has waited for. Memory is the greater of the kernel's peak of
    any single process and the greatest sum over the family that was seen at 20 looks a second.
    """
    # What earlier runs have left to write must not be written in this one's time.
    os.sync()
    server_before = server.cpu_seconds() if server else 0
    readable, writable = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCHER), str(writable), *argv],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[writable],
        start_new_session=True,
    )
    os.close(writable)
    said, peak, over = [], 0, threading.Event()

    def listen():
        said.append(child.stdout.read())

    def watch():
        nonlocal peak
        while not over.wait(0.05):
            peak = max(peak, resident_bytes(descendants(child.pid)))

    threads = [threading.Thread(target=listen), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        with open(readable) as report:
            words = report.read().split()
        child.wait()
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        raise
    finally:
        over.set()
    for thread in threads:
        thread.join()
    if len(words) != 4 or words[0] != "0":
        sys.stderr.write(said[0].decode(errors="replace"))
        raise SystemExit(f"`{' '.join(argv)[:300]}` ended with {words[0] if words else 'a crash'}")
    wall, cpu, largest = float(words[1]), float(words[2]), int(words[3])
    server_cpu = server.cpu_seconds() - server_before if server else 0
    return Run(wall, cpu, peak, largest, server_cpu), said[0]
