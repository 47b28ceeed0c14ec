# SPDX-License-Identifier: Apache-2.0
"""What one container costs, in numbers that do not depend on how busy the machine is."""
import json
import os
import re
import subprocess

VM = False  # nothing here depends on the kind of control groups, and an emulated processor is slow

# 327 were counted on a hybrid machine: ten cgroup hierarchies (five calls each) and 38 capabilities to drop (one each) are in it.
SYSTEM_CALLS_MAX = 340


def test_system_calls_of_run(t):
    """A plain run of true makes no more system calls than it did, all processes together."""
    t.need("strace")
    bundle = t.bundle(args=["/bin/true"])
    config = json.loads((bundle / "config.json").read_text())
    config["linux"].pop("seccomp", None)
    config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    (bundle / "config.json").write_text(json.dumps(config))
    log = t.tmp / "calls"
    t.run(["strace", "-f", "-qq", "-o", str(log), *t.runtime_args("run", "-b", bundle, t.id())])
    calls = [line for line in log.read_text(errors="replace").splitlines()
             if "resumed>" not in line and re.match(r"\d+ +\w+\(", line)]
    assert 100 < len(calls) <= SYSTEM_CALLS_MAX, len(calls)


test_system_calls_of_run.asan = False


# 148 were counted, 38 of them those of the static busybox that it runs; 250 before the program's pages were mapped at once.
PAGE_FAULTS_MAX = 185


def test_page_faults_of_run(t):
    """A run with a seccomp profile has few page faults: they are the dearest part of a start."""
    bundle = t.bundle(args=["/bin/true"])
    for attempt in range(3):
        process = subprocess.Popen(t.runtime_args("run", "-b", bundle, t.id()), stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        if usage.ru_minflt <= PAGE_FAULTS_MAX:
            return
    assert usage.ru_minflt <= PAGE_FAULTS_MAX, usage.ru_minflt


test_page_faults_of_run.asan = False
