"""What processes cost, and calls in a process of their own. No import of ours: what it begins starts small."""

from __future__ import annotations

import multiprocessing
import re
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def cpu_seconds() -> float:
    """CPU of this process and of its ended children, user and system."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_memory() -> int:
    """Bytes of the greatest resident set of this process so far."""
    # not ru_maxrss, which a new process takes over from the one that started it
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a process of its own, whose memory is that of this call alone."""
    # not a Pool, whose processes can start no others
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        return other.submit(function, *arguments).result()
