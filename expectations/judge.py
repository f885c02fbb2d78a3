"""Great Expectations in a process of its own.

Its import costs seconds of CPU: it happens beside the load instead of before the checks. The process ends when its
input ends, so a killed run leaves none behind.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from expectations.rules import Suite, SuiteResult
from expectations.runner import load_great_expectations, run_suites


class JudgeError(Exception):
    """The process failed or died: nothing was checked."""


class Judge:
    """Validates suites on a build file; `with Judge(log) as judge` starts the process and ends it. What the library
    prints goes into `log`."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> Judge:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "expectations.judge"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[1],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # its idle threads cost CPU
            )
        return self

    def run(self, build_file: Path, suites: Sequence[Suite]) -> list[SuiteResult]:
        """`run_suites`, over there.

        Raises:
            JudgeError: it raised, or the process is gone.
        """
        try:
            pickle.dump((build_file.resolve(), list(suites)), self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError) as error:
            raise JudgeError(f"the process of Great Expectations ended early; see {self._log}") from error
        if isinstance(answer, str):
            raise JudgeError(answer)
        return answer

    def __exit__(self, *_raised: object) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Answer requests (build file, suites) from standard input until it ends: the results, or a trace as text."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints must not garble the answers
    gc.disable()  # nothing that an import makes is garbage: to look for it takes a fifth of the time
    load_great_expectations()
    gc.freeze()
    gc.enable()
    while True:
        try:
            build_file, suites = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: list[SuiteResult] | str = run_suites(build_file, suites)
        except Exception:
            answer = traceback.format_exc()
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
