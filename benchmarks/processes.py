"""What processes cost."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path


def cpu_seconds() -> float:
    """CPU of this process and of its ended children, user and system."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_memory() -> int:
    """Bytes of the greatest resident set of this process so far."""
    # not ru_maxrss, which a new process takes over from the one that started it
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
