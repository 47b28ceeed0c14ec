# SPDX-License-Identifier: Apache-2.0
"""kill -9 of havre, and of its monitor, in one system call after another: the next commands tell a consistent story, everything can be
removed, and then nothing is left (E1 to E4)."""
import json
import os

KILLED = 99
ASAN = False  # the sanitized programs have many more system calls to be killed in, and nothing else to show
CALLS_MAX = 4000


def killpoint(t, n, *args, follow=False):
    command = [t.build / "tests" / "tools" / "killpoint", *(["-f"] if follow else []), n, *t.havre_args(*args)]
    with open(os.devnull, "wb") as null:  # no pipes: a container that outlives its maker would keep them open
        return t.run(command, check=False, stdout=null, stderr=null, timeout=60)


def age_garbage(t):
    """Garbage is left alone while it is young, since it may be about to get its row."""
    for d in (t.root / "containers").glob("*"):
        os.utime(d, (1, 1))


def check_clean(t, when):
    names = t.havre("ps", "-a", "--format", "{{.Names}}").out.split()
    for name in names:
        state = json.loads(t.havre("inspect", name).out)[0]["State"]
        assert state["Status"] in ("created", "running", "exited"), (when, state)
        assert (state["Pid"] > 0) == state["Running"], (when, state)
        t.havre("rm", "-f", name)
    age_garbage(t)
    assert t.havre("ps", "-aq").out == ""

    def left():
        found = []
        for d in (t.root / "containers", t.run_dir / "containers", t.run_dir / "runtime", t.root / "images" / "snapshots"):
            found += [str(p) for p in d.iterdir()] if d.exists() else []
        return found
    t.wait_for(lambda: not left(), what=f"nothing left, {when}: {left()}", timeout=5)


def sweep(t, step, phase, prepare, command, follow=False):
    """Kills `command` in every step-th call until it gets through; answers how often it was killed."""
    killed = 0
    for n in range(1 + phase, CALLS_MAX, step):
        prepare()
        result = killpoint(t, n, *command, follow=follow)
        check_clean(t, f"killed in call {n} of {' '.join(command)}")
        if result.rc != KILLED:
            return killed
        killed += 1
    raise AssertionError(f"still running after {CALLS_MAX} calls")


def test_kill_create(t):
    """E1: killed while it makes a container: it exists and works, or it does not."""
    image = t.busybox_image()
    assert sweep(t, 7, os.getpid() % 7, lambda: None, ("create", "--name", "cc", image, "true")) > 10


def test_kill_run(t):
    """Killed while it starts a container: it runs, or it never did, or it is recovered."""
    image = t.busybox_image()
    assert sweep(t, 11, os.getpid() % 11, lambda: None, ("run", "-d", "--name", "cc", image, "sleep", "1000")) > 10


def test_kill_remove(t):
    """Killed while it removes a running container: the container, or garbage that is collected."""
    image = t.busybox_image()
    prepare = lambda: t.havre("run", "-d", "--name", "cc", image, "sleep", "1000")
    assert sweep(t, 11, os.getpid() % 11, prepare, ("rm", "-f", "cc")) > 10


def test_kill_run_with_all_its_processes(t):
    """The command line, the monitor and the container's first process, whichever makes the N-th call."""
    image = t.busybox_image()
    assert sweep(t, 37, os.getpid() % 37, lambda: None, ("run", "--name", "cc", image, "true"), follow=True) > 10


for test in (test_kill_create, test_kill_run, test_kill_remove, test_kill_run_with_all_its_processes):
    test.timeout = 300
