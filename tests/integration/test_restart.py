# SPDX-License-Identifier: Apache-2.0
"""Restart policies: by the monitor, by hand, after the machine's restart."""
import json
import os
import time


def run(t, name, policy, command, *flags):
    t.havre("run", "-d", "--network", "none", "--name", name, "--restart", policy, *flags, t.busybox_image(), "sh", "-c", command)
    t.defer(t.havre, "rm", "-f", name, check=False)


def inspect(t, name):
    return json.loads(t.havre("inspect", name).out)[0]


def state(t, name):
    o = inspect(t, name)
    return o["State"]["Status"], o["RestartCount"]


def test_restart_on_failure(t):
    """on-failure:N starts it N times more and then leaves it; success is no failure; wait waits for the last end."""
    run(t, "bad", "on-failure:2", "exit 7")
    assert t.havre("wait", "bad").out.strip() == "7"
    o = inspect(t, "bad")
    assert o["RestartCount"] == 2 and o["State"]["Status"] == "exited" and o["State"]["ExitCode"] == 7, o
    assert o["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    run(t, "good", "on-failure", "exit 0")
    assert t.havre("wait", "good").out.strip() == "0"
    assert state(t, "good") == ("exited", 0)
    t.havre("start", "bad")
    t.havre("wait", "bad")
    assert state(t, "bad") == ("exited", 2), "counted anew after a start by hand"


def test_restart_stop(t):
    """A stop ends it for good, whether it runs or waits; so does a kill; rm needs force."""
    run(t, "c1", "always", "exit 1")
    t.wait_for(lambda: state(t, "c1")[1] >= 2)
    t.wait_for(lambda: "Restarting (1)" in t.havre("ps").out)
    r = t.havre("rm", "c1", check=False)
    assert r.rc == 1 and "force" in r.err, r
    t.havre("stop", "-t", "1", "c1")
    assert state(t, "c1")[0] == "exited"
    assert "c1" not in t.havre("ps").out
    run(t, "c2", "unless-stopped", "sleep 1000")
    t.havre("kill", "c2")
    assert t.havre("wait", "c2").out.strip() == "137"
    assert state(t, "c2") == ("exited", 0)
    t.havre("start", "c2")
    pid = inspect(t, "c2")["State"]["Pid"]
    os.kill(pid, 9)
    t.wait_for(lambda: state(t, "c2") == ("running", 1) and inspect(t, "c2")["State"]["Pid"] != pid)
    for wrong, words in ((("--restart", "often"), "unknown policy"), (("--restart", "always:3"), "on-failure"),
                         (("--rm", "--restart", "always"), "--rm")):
        r = t.havre("create", *wrong, t.busybox_image(), "true", check=False)
        assert r.rc == 125 and words in r.err, r


def test_restart_stop_at_any_moment(t):
    """Whenever stop comes, also just as the restart begins, it ends it at once and for good."""
    for n in range(12):
        name = f"s{n}"
        run(t, name, "always", "exit 1")
        t.wait_for(lambda: state(t, name)[1] >= 1)
        time.sleep(n * 0.02)
        stopped = t.havre("stop", "-t", "0", name)
        assert stopped.seconds < 8 and state(t, name)[0] == "exited", stopped


test_restart_stop_at_any_moment.asan = False


def test_restart_after_reboot(t):
    """With a fresh run directory and no process left, system start starts what its policy wants, and nothing else."""
    for name, policy in (("aa", "always"), ("stopped", "unless-stopped"), ("uu", "unless-stopped"), ("ff", "on-failure"), ("nn", "no")):
        run(t, name, policy, "sleep 1000")
    t.havre("create", "--name", "never", "--restart", "always", t.busybox_image(), "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "never", check=False)
    t.havre("stop", "-t", "0", "stopped")
    t.havre("stop", "-t", "0", "aa")
    for name in ("uu", "ff", "nn"):  # the power fails
        pid = inspect(t, name)["State"]["Pid"]
        with open(f"/proc/{pid}/status") as f:
            monitor = int([line.split()[1] for line in f if line.startswith("PPid:")][0])
        os.kill(monitor, 9)
        os.kill(pid, 9)
    assert t.havre("system", "start").out.split() == ["aa", "uu", "ff"]
    assert [state(t, name)[0] for name in ("aa", "stopped", "uu", "ff", "nn", "never")] == [
        "running", "exited", "running", "running", "exited", "created"]
    assert t.havre("system", "start").out == ""
    unit = t.havre("generate", "systemd").out
    assert "system start" in unit and "WantedBy=multi-user.target" in unit


test_restart_after_reboot.asan = False
