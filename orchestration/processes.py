"""Calls in a process of their own. No import of ours: what it begins starts small."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a process of its own, which gives back its memory when the call ends.

    Raises:
        BrokenProcessPool: the process was killed; what the call itself raises is raised here.
    """
    # not a Pool, whose processes can start no others
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        return other.submit(function, *arguments).result()
