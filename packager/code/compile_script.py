"""Compiles Python files; run as a script by the interpreter that the bytecode is for.

Reads ``{"workers": n, "jobs": [[source, name, output], ...]}`` from stdin and writes one JSON line
``[source, line, message]`` for each file that cannot be compiled. Standard library only.

Every file is compiled in a fresh fork: what marshal writes depends on which strings the process
has interned before (https://bugs.python.org/issue34093), so compiling one file after the other
would make a file's bytecode depend on its neighbours.
"""

from __future__ import annotations

import json
import os
import py_compile
import sys


def compile_one(source: str, name: str, output: str) -> None:
    """Write the unchecked hash-based bytecode of one file.

    Args:
        source: The file.
        name: The path that its code objects carry.
        output: The bytecode file to write.
    """
    try:
        py_compile.compile(
            source,
            output,
            dfile=name,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except py_compile.PyCompileError as error:
        value = error.exc_value
        line = getattr(value, "lineno", None) or 1
        complain(source, line, str(getattr(value, "msg", None) or value))
    except (OSError, ValueError, RecursionError) as error:
        complain(source, 1, str(error))


def complain(source: str, line: int, message: str) -> None:
    """Report one failure; a line this short is written to a pipe whole."""
    text = json.dumps([source, line, message[:500]]) + "\n"
    os.write(1, text.encode())


def work(jobs: list[list[str]]) -> None:
    """Compile files, each in a process of its own."""
    for job in jobs:
        child = os.fork()
        if child == 0:
            try:
                compile_one(*job)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            complain(job[0], 1, f"the compiler ended with status {status}")


def main() -> None:
    """Share the jobs among workers."""
    request = json.load(sys.stdin)
    jobs, workers = request["jobs"], request["workers"]
    children = []
    for index in range(workers):
        child = os.fork()
        if child == 0:
            try:
                work(jobs[index::workers])
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
