"""Every header compiles alone. Needs a configured build whose generated headers exist."""

import concurrent.futures
import os
import subprocess

import sources

_FLAGS = ["-std=c++20", "-fcoroutines", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers",
          "-DASIO_NO_DEPRECATED", "-DASIO_STANDALONE", "-march=x86-64-v2", "-x", "c++"]


def _compile(name, build):
    command = [os.environ.get("CXX", "g++"), *_FLAGS, f"-I{sources.ROOT}", f"-I{build}/generated", "-"]
    done = subprocess.run(command, input=f'#include "{name}"\n', text=True, capture_output=True, check=False,
                          cwd=sources.ROOT)
    first = "\n".join(done.stderr.splitlines()[:8])
    return f"{name}: does not compile alone\n{first}" if done.returncode else None


def check(build, jobs):
    headers = [name for name in sources.code() if name.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return [problem for problem in pool.map(lambda n: _compile(n, build), headers) if problem]
