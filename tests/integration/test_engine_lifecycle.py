# SPDX-License-Identifier: Apache-2.0
"""Containers from create to rm: exit statuses, names, verbs, waiting, running many at once."""

import json
import os
import re
import signal
import subprocess
import time


def inspect(t, name):
    return json.loads(t.havre("inspect", name).out)[0]


def state(t, name):
    return inspect(t, name)["State"]


def nothing_left(t):
    """No container, no directory of one, no snapshot."""
    assert t.havre("ps", "-aq").out == ""
    for d in (t.root / "containers", t.run_dir / "containers", t.run_dir / "runtime", t.root / "images" / "snapshots"):
        assert not d.exists() or not list(d.iterdir()), f"{d}: {list(d.iterdir())}"


def test_exit_statuses(t):
    """The program's status, 128+signal, 127 not found, 126 not executable, 125 ours; with --rm nothing is left in any case."""
    image = t.busybox_image()
    for command, status in ((["true"], 0), (["sh", "-c", "exit 42"], 42), (["nosuch"], 127), (["/etc/passwd"], 126), (["/etc"], 126),
                            (["sh", "-c", "kill -9 $(cut -d' ' -f4 /proc/self/stat)"], None)):
        r = t.havre("run", "--rm", image, *command, check=False)
        assert status is None or r.rc == status, r
    r = t.havre("run", "--rm", "--init", image, "sh", "-c", "kill -TERM $$", check=False)
    assert r.rc == 143, r
    assert t.havre("run", "--rm", "--memory", "1k", image, "true", check=False).rc == 125
    nothing_left(t)


def test_failed_start_is_recorded(t):
    """A container that cannot start stays, says why, and can be removed; the error is not repeated for ever."""
    image = t.busybox_image()
    r = t.havre("run", "--name", "cc", image, "nosuch", check=False)
    assert r.rc == 127 and "nosuch" in r.err
    s = state(t, "cc")
    assert s["Status"] == "created" and s["ExitCode"] == 127 and "nosuch" in s["Error"]
    t.havre("rm", "cc")
    nothing_left(t)


def test_life(t):
    """create, start, ps, pause, unpause, restart, stop, start again, rename, rm; each with its truth in inspect."""
    image = t.busybox_image()
    cid = t.havre("create", "--name", "first", image, "sleep", "1000").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", cid)
    assert state(t, "first")["Status"] == "created"
    assert t.havre("kill", "first", check=False).rc == 1
    t.havre("start", "first")
    s = state(t, cid[:12])
    assert s["Running"] and s["Pid"] > 0 and os.path.exists(f"/proc/{s['Pid']}")
    r = t.havre("rm", "first", check=False)
    assert r.rc == 1 and "running" in r.err and "force" in r.err
    t.havre("pause", "first")
    assert state(t, "first")["Paused"] and "(Paused)" in t.havre("ps").out
    assert t.havre("pause", "first", check=False).rc == 1
    assert t.havre("exec", "first", "true", check=False).rc != 0
    t.havre("unpause", "first")
    assert state(t, "first")["Status"] == "running"
    t.havre("restart", "-t", "0", "first")
    assert state(t, "first")["Pid"] != s["Pid"] and state(t, "first")["Running"]
    t.havre("rename", "first", "second")
    assert t.havre("inspect", "first", check=False).rc == 1
    t.havre("stop", "-t", "0", "second")
    s = state(t, "second")
    assert s["Status"] == "exited" and s["ExitCode"] == 137 and s["FinishedAt"] > s["StartedAt"]
    t.havre("stop", "second")
    t.havre("start", "second")
    t.havre("rm", "-f", "second")
    nothing_left(t)


def test_stop_signals(t):
    """stop sends the stop signal and waits; SIGKILL comes when the time is up; a paused container can be stopped, too."""
    image = t.busybox_image()
    trap = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done"
    t.havre("run", "-d", "--name", "aa", "--stop-signal", "USR1", image, "sh", "-c", trap)
    t.wait_for(lambda: "ready" in t.havre("logs", "aa").out)
    began = time.monotonic()
    t.havre("stop", "aa")
    assert time.monotonic() - began < 5 and state(t, "aa")["ExitCode"] == 7
    t.havre("run", "-d", "--name", "bb", image, "sleep", "1000")  # PID 1 ignores SIGTERM
    began = time.monotonic()
    t.havre("stop", "-t", "1", "bb")
    assert 0.9 < time.monotonic() - began < 8 and state(t, "bb")["ExitCode"] == 137
    t.havre("run", "-d", "--name", "pp", image, "sleep", "1000")
    t.havre("pause", "pp")
    t.havre("stop", "-t", "1", "pp")
    assert state(t, "pp")["Status"] == "exited"
    t.havre("run", "-d", "--name", "kk", image, "sleep", "1000")
    t.havre("pause", "kk")
    t.havre("kill", "kk")
    t.wait_for(lambda: state(t, "kk")["Status"] == "exited")


def test_wait(t):
    """wait answers the code of a container that ends later, of one that has ended, and of one that removes itself."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sh", "-c", "sleep 0.5; exit 9")
    assert t.havre("wait", "cc").out == "9\n"
    assert t.havre("wait", "cc").out == "9\n"
    t.havre("run", "-d", "--rm", "--name", "rr", image, "sh", "-c", "sleep 0.5; exit 8")
    assert t.havre("wait", "rr").out == "8\n"
    t.wait_for(lambda: "rr" not in t.havre("ps", "-a", "--format", "{{.Names}}").out.split())


def test_names(t):
    """A name is unique; whoever loses says which one; bad names are refused; prefixes of ids work while they are unambiguous."""
    image = t.busybox_image()
    t.havre("create", "--name", "one", image)
    r = t.havre("create", "--name", "one", image, check=False)
    assert r.rc == 125 or r.rc == 1
    assert "one" in r.err and "already in use" in r.err
    for bad in ("-x", "a b", "x", "a/b", "a" * 200):
        assert t.havre("create", f"--name={bad}", image, check=False).rc != 0
    t.havre("create", "--name", "two", image)
    r = t.havre("rename", "two", "one", check=False)
    assert r.rc == 1 and "already in use" in r.err
    ids = t.havre("ps", "-aq", "--no-trunc").out.split()
    assert t.havre("inspect", ids[0][:20]).rc == 0
    # The snapshot and the directory of the loser are gone.
    assert len(list((t.root / "containers").iterdir())) == 2
    assert len(list((t.root / "images" / "snapshots").iterdir())) == 2


def test_name_race(t):
    """Of eight commands that want one name at once, one gets it, seven are told, nothing of them is left."""
    image = t.busybox_image()
    processes = [t.start(t.havre_args("create", "--name", "same", image), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    codes = []
    for p in processes:
        out, err = p.communicate(timeout=60)
        codes.append(p.returncode)
        assert p.returncode == 0 or b"already in use" in err, err
    assert codes.count(0) == 1, codes
    assert len(list((t.root / "containers").iterdir())) == 1
    assert len(list((t.root / "images" / "snapshots").iterdir())) == 1


def test_sixteen_at_once(t):
    """Sixteen runs at once: each prints its own line, none fails, nothing is left."""
    image = t.busybox_image()
    processes = [t.start(t.havre_args("run", "--rm", image, "echo", f"number {i}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                 for i in range(16)]
    for i, p in enumerate(processes):
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 and out.decode() == f"number {i}\n", (p.returncode, out, err)
    nothing_left(t)


def test_top(t):
    """top shows the container's processes as ps would, and only these."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sh", "-c", "sleep 1000 & wait")
    t.wait_for(lambda: "sleep" in t.havre("top", "cc").out)
    lines = t.havre("top", "cc").out.splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert len(lines) == 3 and lines[1].split()[0] == "root" and lines[2].endswith("sleep 1000")
    assert t.havre("top", "cc", "-o", "pid,args").out.splitlines()[0].split() == ["PID", "COMMAND"]
    t.havre("kill", "cc")


def test_oom_kill_is_reported(t):
    """A program that needs more memory than its limit is killed, and inspect says why."""
    image = t.busybox_image()
    r = t.havre("run", "--name", "cc", "--memory", "16m", image, "sh", "-c", "x=$(head -c 200000000 /dev/zero | tr '\\0' x)", check=False)
    assert r.rc != 0, r
    s = state(t, "cc")
    assert s["OOMKilled"] and s["Status"] == "exited"
    assert inspect(t, "cc")["HostConfig"]["Memory"] == 16 << 20


def test_fork_bomb(t):
    """A fork bomb under --pids-limit neither grows nor survives; the container can be removed at once."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", "--pids-limit", "20", image, "sleep", "1000")
    for _ in range(3):
        t.havre("exec", "-d", "cc", "sh", "-c", "f() { f | f & }; f; sleep 1000", check=False)
    time.sleep(1)
    assert len(t.havre("top", "cc").out.splitlines()) <= 21
    t.havre("rm", "-f", "cc")
    nothing_left(t)


def test_images_in_use_stay(t):
    """An image is not removed while a container stands on it, unless by force and not running."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sleep", "1000")
    r = t.havre("rmi", image, check=False)
    assert r.rc == 1 and "cc" in r.err
    assert t.havre("rmi", "-f", image, check=False).rc == 1
    t.havre("rm", "-f", "cc")
    t.havre("rmi", image)


def test_many_verbs_at_once(t):
    """start, stop, kill, inspect, ps and rm at once on one container: each ends, and the container is whole or gone."""
    image = t.busybox_image()
    t.havre("create", "--name", "cc", image, "sleep", "1000")
    for _ in range(3):
        verbs = [["start", "cc"], ["stop", "-t", "0", "cc"], ["inspect", "cc"], ["ps", "-a"], ["kill", "cc"], ["start", "cc"], ["pause", "cc"], ["unpause", "cc"]]
        processes = [t.start(t.havre_args(*v), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for v in verbs]
        for v, p in zip(verbs, processes):
            _, err = p.communicate(timeout=60)
            assert p.returncode >= 0, (v, p.returncode, err)
            assert b"INTERNAL" not in err and b"internal" not in err, err
    t.havre("unpause", "cc", check=False)
    t.havre("rm", "-f", "cc")
    nothing_left(t)
