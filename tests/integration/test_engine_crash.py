# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the command line and of the monitor, and restarts of the machine: the next command tells the truth (E1 to E4)."""

import json
import os
import re
import shutil
import signal
import subprocess
import time


def state(t, name):
    return json.loads(t.havre("inspect", name).out)[0]["State"]


def monitor_of(t, name):
    pid = state(t, name)["Pid"]
    return pid, int(re.search(r"PPid:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))


def alive(pid):
    try:
        return "Z" not in re.search(r"State:\s+(\w)", open(f"/proc/{pid}/status").read()).group(1)
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes between open and read
        return False


def test_kill_command_line(t):
    """kill -9 of a foreground run: the container goes on, its log goes on, its end is recorded; with --rm it is removed after it."""
    image = t.busybox_image()
    for flags, name in ((["--name", "aa"], "aa"), (["--rm", "--name", "bb"], "bb")):
        p = t.start(t.havre_args("run", *flags, image, "sh", "-c", "echo one; sleep 1; echo two; exit 3"), stdout=subprocess.PIPE)
        assert p.stdout.readline() == b"one\n"
        p.kill()
        p.wait()
        assert state(t, name)["Running"]
    t.wait_for(lambda: state(t, "aa")["Status"] == "exited")
    assert state(t, "aa")["ExitCode"] == 3 and t.havre("logs", "aa").out == "one\ntwo\n"
    t.wait_for(lambda: "bb" not in t.havre("ps", "-a", "--format", "{{.Names}}").out.split())
    assert len(list((t.root / "images" / "snapshots").iterdir())) == 1


def test_kill_monitor(t):
    """E3: kill -9 of the monitor: exited 137, "monitor died"; what is left of the container is killed; it can be started again."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sleep", "1000")
    pid, monitor = monitor_of(t, "cc")
    os.kill(monitor, signal.SIGKILL)
    t.wait_for(lambda: not alive(monitor))
    s = state(t, "cc")
    assert (s["Status"], s["ExitCode"], s["Error"], s["Pid"]) == ("exited", 137, "monitor died", 0), s
    t.wait_for(lambda: not alive(pid))
    assert not list((t.run_dir / "runtime").iterdir())
    t.havre("start", "cc")
    assert state(t, "cc")["Running"] and state(t, "cc")["Error"] == ""
    t.havre("rm", "-f", "cc")


def test_kill_monitor_of_attached(t):
    """A foreground run whose monitor dies ends with an error and says so; with --rm the next command removes the container."""
    image = t.busybox_image()
    p = t.start(t.havre_args("run", "--rm", "--name", "cc", image, "sh", "-c", "echo up; sleep 1000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"up\n"
    pid, monitor = monitor_of(t, "cc")
    os.kill(monitor, signal.SIGKILL)
    _, err = p.communicate(timeout=20)
    assert p.returncode not in (0, None) and err, (p.returncode, err)
    assert t.havre("ps", "-aq").out == ""
    t.wait_for(lambda: not alive(pid))
    assert not list((t.root / "containers").iterdir())


def test_waiters_hear_of_a_dead_monitor(t):
    """wait and logs -f end when the monitor is killed."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sleep", "1000")
    _, monitor = monitor_of(t, "cc")
    wait = t.start(t.havre_args("wait", "cc"), stdout=subprocess.PIPE)
    logs = t.start(t.havre_args("logs", "-f", "cc"), stdout=subprocess.PIPE)
    time.sleep(0.3)
    os.kill(monitor, signal.SIGKILL)
    out, _ = wait.communicate(timeout=20)
    assert out == b"137\n"
    logs.communicate(timeout=20)


def test_reboot(t):
    """A machine that went down: the run directory is gone, running containers are exited, stopped ones are as they were."""
    image = t.busybox_image()
    t.havre("run", "--name", "ended", image, "sh", "-c", "exit 5", check=False)
    t.havre("create", "--name", "new", image, "true")
    t.havre("run", "-d", "--name", "up", image, "sleep", "1000")
    pid, monitor = monitor_of(t, "up")
    os.kill(monitor, signal.SIGKILL)
    cgroups = open(f"/proc/{pid}/cgroup").read().splitlines()
    os.kill(pid, signal.SIGKILL)
    t.wait_for(lambda: not alive(pid))
    t.havre("ps", "-a", "--format", "x")  # this one still cleans up the cgroup, as the reboot would have
    record = next(f for f in (t.root / "containers").glob("*/state.json") if '"exit_code":137' in f.read_text())
    record.write_text('{"started":true,"finished":false,"pid":1,"start_ticks":1,"started_ns":1700000000000000000}')
    shutil.rmtree(t.run_dir)
    t.run_dir.mkdir()
    s = state(t, "up")
    assert s["Status"] == "exited" and s["ExitCode"] == 137 and "restarted" in s["Error"], s
    assert state(t, "ended")["ExitCode"] == 5 and state(t, "new")["Status"] == "created"
    t.havre("start", "up")
    t.havre("rm", "-f", "up")


def test_garbage_of_a_crash(t):
    """E1: a directory and a snapshot without a row are removed; young ones and those in use are left alone."""
    image = t.busybox_image()
    t.havre("create", "--name", "cc", image)
    fake, young = "f" * 64, "e" * 64
    for i in (fake, young):
        (t.root / "containers" / i).mkdir()
        (t.root / "containers" / i / "lock").touch()
    os.utime(t.root / "containers" / fake, (1, 1))
    t.havre("ps", "-a")
    t.havre("rm", "cc")
    left = {p.name for p in (t.root / "containers").iterdir()}
    assert left == {young}, left


def test_kill_at_random_moments(t):
    """kill -9 of `run` at twenty moments: each container is whole or gone, everything can be removed, nothing is left."""
    image = t.busybox_image()
    for i in range(20):
        p = t.start(t.havre_args("run", "--name", f"c{i}", image, "sleep", "1000"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.001 * i)
        p.kill()
        p.wait()
    time.sleep(0.5)
    for name in t.havre("ps", "-a", "--format", "{{.Names}}").out.split():
        status = state(t, name)["Status"]
        assert status in ("created", "running", "exited"), status
        t.havre("rm", "-f", name)
    assert t.havre("ps", "-aq").out == ""
    runtime = t.run_dir / "runtime"
    assert not runtime.exists() or not list(runtime.iterdir())
