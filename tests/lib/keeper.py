# SPDX-License-Identifier: Apache-2.0
"""One test in one process tree.

The keeper is forked for each test. It is the subreaper of everything the test starts, so that orphans (monitors,
containers) come to it and are reaped at once, as PID 1 would do. When the test has ended it looks for what is left
behind: processes, mounts below the test's directory, cgroups that carry one of the test's ids. It removes them and reports.
"""

import json
import os
import signal
import sys
import time
import traceback

from lib import system
from lib.case import SLOWNESS

UNWIND_S = 10.0 * SLOWNESS  # for the cleanups of a test whose time is up
GRACE_S = 3.0 * SLOWNESS  # exits, lazy unmounts and cgroup removal are asynchronous


def _reap(main_pid):
    """Reaps everything that ended; returns main_pid's wait status when it is among them."""
    status = None
    while True:
        try:
            pid, what = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == main_pid:
            status = what


def _kill_all(main_pid=0):
    """SIGKILL to every child until none is left; grandchildren come to us as their parents end."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        _reap(main_pid)
        alive = [pid for pid, state in system.children_of(os.getpid()) if state != "Z"]
        if not alive:
            _reap(main_pid)
            return True
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    return False


def _left_processes():
    return [pid for pid, state in system.children_of(os.getpid()) if state != "Z"]


def _known_ids(case_dir):
    ids = set()
    try:
        with open(case_dir / "ids") as f:
            ids = {line.strip() for line in f if len(line.strip()) >= 4}
    except OSError:
        pass
    return ids


def _left_cgroups(ids):
    if not ids:
        return []
    return [d for d in sorted(system.cgroup_directories()) if any(i in os.path.basename(d) for i in ids)]


def _left_behind(case_dir, check_cgroups):
    """Waits a little for what is still going away, then names and removes the rest."""
    ids = _known_ids(case_dir) if check_cgroups else set()
    deadline = time.monotonic() + GRACE_S
    while True:
        _reap(0)
        processes, mounts, groups = _left_processes(), system.mounts_below(case_dir), _left_cgroups(ids)
        if not (processes or mounts or groups) or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    left = [f"process {pid}: {system.command_of(pid)}" for pid in processes]
    left += [f"mount {m}" for m in mounts]
    left += [f"cgroup {g}" for g in groups]
    if not _kill_all():
        left.append("a process that does not end on SIGKILL: "
                    + ", ".join(system.command_of(p) for p in _left_processes()))
    for group in groups:
        system.cgroup_remove(group)
    system.unmount_below(case_dir)
    return left


def run_kept(case_dir, log_path, timeout_s, check_left, body):
    """Forks the keeper. body() runs in a further child with its output in log_path and returns the exit status.
    Returns the keeper's pid; when it has ended, case_dir/result.json says how it went."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _keep(case_dir, log_path, timeout_s, check_left, body)
    except BaseException:  # the keeper must never run the parent's code
        traceback.print_exc()
    finally:
        os._exit(0)


def _keep(case_dir, log_path, timeout_s, check_left, body):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)
    system.prctl(system.PR_SET_PDEATHSIG, signal.SIGTERM)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    started = time.monotonic()

    main = os.fork()
    if main == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD, signal.SIGTERM])
            os.setsid()
            log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.closerange(3, 256)
            sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
            status = body()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    deadline = started + timeout_s
    wait_status, timed_out, left = None, False, []
    while wait_status is None:
        got = signal.sigtimedwait([signal.SIGCHLD, signal.SIGTERM], min(1.0, max(0.01, deadline - time.monotonic())))
        wait_status = _reap(main)
        if got is not None and got.si_signo == signal.SIGTERM:
            stopping.append(1)
        if wait_status is None and (stopping or time.monotonic() > deadline):
            timed_out = not stopping
            # A Python test gets an exception first, so that its cleanups run; see case.py.
            os.kill(main, signal.SIGALRM)
            end = time.monotonic() + UNWIND_S
            while wait_status is None and time.monotonic() < end:
                signal.sigtimedwait([signal.SIGCHLD], 0.2)
                wait_status = _reap(main)
            if wait_status is None:
                os.kill(main, signal.SIGKILL)
                while wait_status is None:
                    signal.sigtimedwait([signal.SIGCHLD], 0.2)
                    wait_status = _reap(main)
    seconds = time.monotonic() - started
    if stopping or timed_out:
        _kill_all()
    if check_left:
        left = _left_behind(case_dir, True)
    else:
        _kill_all()
    result = {"status": os.waitstatus_to_exitcode(wait_status), "seconds": seconds, "timed_out": timed_out, "left": left}
    with open(case_dir / "result.json", "w") as f:
        json.dump(result, f)
