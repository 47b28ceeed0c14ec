# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the runtime in each of its system calls: `delete --force` then leaves nothing, whatever was cut short."""
import os
import re

from lib import system

KILLED = 99
ASAN = False  # the sanitized programs have many more system calls to be killed in, and nothing else to show
# Each program is killed at every STEP-th call, with another phase in each run of the suite's commands: all calls of start and delete,
# a third of create's.
CALLS_MAX = 2000


def killpoint(t, n, *args, follow=False):
    command = [t.build / "tests" / "tools" / "killpoint", *(["-f"] if follow else []), n, *t.runtime_args(*args)]
    # Files, not pipes: a first process that outlives its maker keeps them open until delete.
    with open(os.devnull, "wb") as null, open(t.tmp / "killpoint.err", "w+b") as err:
        result = t.run(command, check=False, stdout=null, stderr=err, timeout=60)
        err.seek(0)
        result.err = err.read().decode(errors="replace")
    return result


def left_of(t, container):
    """What the container still has: state, cgroups, processes, mounts."""
    left = [str(p) for p in t.runtime_root.iterdir() if p.name == container]
    left += [d for d in system.cgroup_directories() if os.path.basename(d) == container]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup") as f:
                if f"/{container}\n" in f.read():
                    left.append(f"process {pid}")
        except OSError:
            pass
    return left + [m for m in system.mounts_below(t.tmp)]


def check_clean(t, container, when):
    t.runtime("delete", "--force", container, check=False)
    # The kernel ends killed processes and their cgroups asynchronously.
    t.wait_for(lambda: not left_of(t, container), what=f"nothing left of a container {when}: {left_of(t, container)}")


def cut(t, step, phase, prepare, command, follow=False):
    """Kills `command` in one system call after another until it gets through; answers how often it was killed."""
    killed = 0
    for n in range(1 + phase, CALLS_MAX, step):
        container = t.id()
        prepare(container)
        result = killpoint(t, n, *command(container), follow=follow)
        last = re.findall(r"killpoint: .*", result.err)
        check_clean(t, container, f"killed in call {n} of {command(container)[0]} ({last})")
        if result.rc != KILLED:
            assert result.rc == 0, f"at call {n}: {result}"
            return killed
        killed += 1
    raise AssertionError(f"still running after {CALLS_MAX} calls")


def test_kill_create(t):
    """Killed anywhere in create, nothing is left behind after delete --force."""
    bundle = t.bundle(args=["sleep", "100"])
    killed = cut(t, 3, os.getpid() % 3, lambda c: None, lambda c: ["create", "--bundle", bundle, c])
    assert killed > 10, killed


test_kill_create.timeout = 300


def test_kill_child_of_create(t):
    """The same when the container's first process is killed while it sets itself up, and create says that it died."""
    bundle = t.bundle(args=["sleep", "100"])
    for n in range(20, 220, 9):
        container = t.id()
        result = killpoint(t, n, "create", "--bundle", bundle, container, follow=True)
        check_clean(t, container, f"with a process killed in call {n} of create and its child")
        assert result.rc == KILLED, result


test_kill_child_of_create.timeout = 300


def test_kill_start(t):
    """Killed anywhere in start."""
    bundle = t.bundle(args=["sleep", "100"])
    killed = cut(t, 1, 0, lambda c: t.runtime("create", "--bundle", bundle, c, stdout=None, stderr=None),
                 lambda c: ["start", c])
    assert killed > 3, killed


test_kill_start.timeout = 300


def test_kill_delete(t):
    """Killed anywhere in delete --force of a running container."""
    bundle = t.bundle(args=["sleep", "100"])
    killed = cut(t, 2, os.getpid() % 2, lambda c: t.runtime("run", "--detach", "--bundle", bundle, c, stdout=None, stderr=None),
                 lambda c: ["delete", "--force", c])
    assert killed > 3, killed


test_kill_delete.timeout = 300
