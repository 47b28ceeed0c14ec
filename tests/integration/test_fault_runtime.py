# SPDX-License-Identifier: Apache-2.0
"""Each system call of the runtime fails once, in create, start, exec and delete and in the container's first process: either the command
says what failed, or it has another way and the container works; and delete leaves nothing."""

import errno
import json
import os
import re
import signal

from test_crash_runtime import check_clean

ASAN = False  # many times the system calls, and of the sanitizers' making
ERRORS = (errno.EPERM, errno.ENOSYS, errno.ENOMEM, errno.EIO, errno.EINTR)
CRASHES = {128 + signal.SIGSEGV, 128 + signal.SIGABRT, 128 + signal.SIGBUS, 128 + signal.SIGILL, 128 + signal.SIGPIPE}


def fail(t, number, n, *args):
    """The command with its n-th call failing: (exit status, what it said, whether the call was reached)."""
    with open(os.devnull, "wb") as null, open(t.tmp / "failpoint.err", "w+b") as err:
        result = t.run([t.build / "tests/tools/failpoint", number, n, *t.runtime_args(*args)], check=False, stdout=null, stderr=err, timeout=40)
        err.seek(0)
        text = err.read().decode(errors="replace")
    said = "\n".join(line for line in text.splitlines() if not line.startswith("failpoint: "))
    return result.rc, said, "failpoint: failed" in text, re.findall(r"failpoint: failed.*", text)


def sweep(t, step, noticed, prepare, command, works):
    """Fails every step-th call, another error each time, until the command gets through untouched. Each run of the suite begins at another
    call. At least `noticed` of the failures must show."""
    failed = reached_calls = 0
    for n in range(1 + os.getpid() % step, 3000, step):
        number = ERRORS[(n // step + os.getpid()) % len(ERRORS)]
        container = t.id()
        prepare(container)
        rc, said, reached, which = fail(t, number, n, *command(container))
        when = f"with {errno.errorcode[number]} in call {n} of {command(container)[0]} ({which}): status {rc}, {said!r}"
        assert rc not in CRASHES and "Sanitizer" not in said, when
        if rc:
            assert said.strip() and "unexpected message" not in said, when
            failed += 1
        else:
            works(container, when)
        check_clean(t, container, when)
        if not reached:
            assert rc == 0, when
            assert failed >= noticed, f"only {failed} of {reached_calls} failing calls were noticed: the test shows nothing"
            return
        reached_calls += 1
    raise AssertionError("still reached after 3000 calls")


def quietly(t, *args, check=True):
    return t.runtime(*args, stdout=None, stderr=None, check=check)


def test_create(t):
    """In create and in the first process while it sets itself up. What was created can be started, or start says why not."""
    bundle = t.bundle({"hostname": "box"}, args=["sleep", "100"])

    def works(container, when):
        status = json.loads(t.runtime("state", container).out)["status"]
        started = t.runtime("start", container, check=False)
        if status == "stopped":  # its first process could not wait for start, when create was done
            assert started.rc == 1 and "stopped" in started.err, (when, started)
        else:
            assert status == "created" and started.rc == 0, (when, status, started)
    sweep(t, 7, 5, lambda c: None, lambda c: ["create", "--bundle", bundle, c], works)


test_create.timeout = 300


def test_start(t):
    """In start."""
    bundle = t.bundle(args=["sleep", "100"])
    sweep(t, 1, 5, lambda c: quietly(t, "create", "--bundle", bundle, c), lambda c: ["start", c],
          lambda c, when: t.runtime("exec", c, "true"))


test_start.timeout = 300


def test_exec(t):
    """In exec and in the process that it makes; the container does not mind."""
    bundle = t.bundle(args=["sleep", "100"])
    sweep(t, 5, 5, lambda c: quietly(t, "run", "--detach", "--bundle", bundle, c), lambda c: ["exec", "--detach", c, "true"],
          lambda c, when: t.runtime("exec", c, "true"))


test_exec.timeout = 300


def test_delete(t):
    """In delete --force: a second one finishes what the first could not."""
    bundle = t.bundle(args=["sleep", "100"])
    sweep(t, 2, 2, lambda c: quietly(t, "run", "--detach", "--bundle", bundle, c), lambda c: ["delete", "--force", c], lambda c, when: None)


test_delete.timeout = 300
