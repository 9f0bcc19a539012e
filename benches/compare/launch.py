"""Starts a command and reports what it used, from a process that is small itself.

The kernel counts the memory of whoever starts a process as that process's own until it has become the new program, so a
bench that holds a list of files would be measured along with the command. Usage: launch.py REPORT-FD COMMAND...
"""

import os
import sys
import time

report = int(sys.argv[1])
os.set_inheritable(report, False)
began = time.monotonic()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - began
line = f"{os.waitstatus_to_exitcode(status)} {wall} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss * 1024}"
os.write(report, line.encode())
