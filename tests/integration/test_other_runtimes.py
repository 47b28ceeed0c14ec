# SPDX-License-Identifier: Apache-2.0
"""--runtime: a container's whole life under another OCI runtime."""

import json
import os
import shutil
import signal

from network_fixture import isolate


def life(t, runtime, image):
    """run, exit status, standard streams, exec, stop, kill, pause, rm."""
    run = ("run", "--runtime", runtime, "--network", "none")
    got = t.havre(*run, "--rm", "-i", image, "sh", "-c", "cat; echo bad >&2; exit 7", input="in\n", check=False)
    assert got.rc == 7 and got.out == "in\n" and "bad" in got.err, got
    assert t.havre(*run, "--rm", image, "/no/such", check=False).rc == 127
    t.havre(*run, "-d", "--name", "box", "-v", "vol:/v", "--hostname", "elsewhere", image, "sh", "-c",
            "echo up; trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done")
    t.defer(t.havre, "rm", "-f", "box", check=False)
    t.wait_for(lambda: t.havre("logs", "box").out == "up\n")
    assert t.havre("exec", "box", "hostname").out == "elsewhere\n"
    assert t.havre("exec", "box", "sh", "-c", "exit 9", check=False).rc == 9
    assert json.loads(t.havre("inspect", "box").out)[0]["HostConfig"]["Runtime"].endswith(runtime.split("/")[-1])
    t.havre("pause", "box")
    assert "(Paused)" in t.havre("ps").out
    t.havre("unpause", "box")
    t.havre("stop", "box")
    assert json.loads(t.havre("inspect", "box").out)[0]["State"]["ExitCode"] == 3
    assert t.havre("logs", "box").out == "up\nbye\n"
    t.havre("start", "box")
    t.havre("kill", "box")
    assert t.havre("wait", "box").out == "137\n"
    t.havre("rm", "box")


def test_runc(t):
    """runc: by name, by path, on a terminal; what it refuses is said in its words; a monitor that dies leaves nothing."""
    t.need("runc")
    image = t.busybox_image()
    life(t, "runc", image)
    terminal = t.terminal(t.havre_args("run", "--rm", "-it", "--runtime", "io.containerd.runc.v2", "--network", "none", image, "sh"))
    terminal.send("tty; exit 4\n")
    terminal.expect("/dev/")
    assert terminal.wait() == 4
    made = t.havre("run", "-d", "--name", "box", "--runtime", "runc", "--network", "none", image, "sleep", "1000").out.strip()
    pid = json.loads(t.havre("inspect", "box").out)[0]["State"]["Pid"]
    with open(f"/proc/{pid}/stat") as f:
        os.kill(int(f.read().split(")")[1].split()[1]), signal.SIGKILL)
    t.wait_for(lambda: "Exited (137)" in t.havre("ps", "-a").out)
    assert not os.path.exists(f"/proc/{pid}/exe") and not (t.run_dir / "oci" / "runc" / made).exists()
    t.havre("rm", "box")
    assert "no such program" in t.havre("run", "--runtime", "none-such", image, "true", check=False).err
    assert t.havre("run", "--runtime", "/etc/passwd", image, "true", check=False).rc == 125


test_runc.asan = False


def test_runc_network(t):
    """With a network, its name resolution and a mounted image."""
    t.need("runc")
    image = isolate(t)
    t.havre("network", "create", "back")
    t.havre("run", "-d", "--name", "server", "--network", "back", image, "sh", "-c", "while :; do echo yes | nc -l -p 80; done")
    t.defer(t.havre, "rm", "-f", "server", check=False)
    got = t.havre("run", "--rm", "--runtime", "runc", "--network", "back", "--mount", f"type=image,source={image},target=/img", image,
                  "sh", "-c", "until nc server 80; do sleep 0.1; done; ls /img/bin/sh")
    assert got.out == "yes\n/img/bin/sh\n"


test_runc_network.asan = False


def test_runtime_by_configuration(t):
    """[runtimes] of havre.toml names programs; top and stats of another runtime's container; a wrong line is named"""
    t.need("runc")
    image = t.busybox_image()
    config = t.tmp / "havre.toml"
    config.write_text('[runtimes]\nquick = "%s"\nnowhere = "/no/such/program"\n' % shutil.which("runc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"))
    env = {"HAVRE_CONFIG": str(config)}
    t.havre("run", "-d", "--name", "box", "--runtime", "quick", "--network", "none", "--memory", "48m", image, "sleep", "1000", env=env)
    t.defer(t.havre, "rm", "-f", "box")
    assert "sleep 1000" in t.havre("top", "box").out
    stats = t.havre("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "box").out
    assert "/ 48MiB" in stats and stats.split()[-1] == "1", stats
    wrong = t.havre("run", "--rm", "--runtime", "nowhere", image, "true", check=False, env=env)
    assert wrong.rc == 125 and "/no/such/program" in wrong.err and str(config) in wrong.err
    oom = t.havre("run", "--runtime", "quick", "--name", "eater", "--network", "none", "--memory", "16m", "--memory-swap", "16m", image,
                  "sh", "-c", "tail /dev/zero", check=False, env=env)
    t.defer(t.havre, "rm", "-f", "eater")
    assert oom.rc == 137 or oom.rc == 1, oom
    assert t.havre("inspect", "-f", "{{.State.OOMKilled}}", "eater").out == "true\n"
    config.write_text('[cgroup]\ndriver = "cgroupsfs"\n')
    wrong = t.havre("run", "--rm", "--network", "none", image, "true", check=False, env=env)
    assert wrong.rc == 125 and "cgroup.driver" in wrong.err, wrong
    config.write_text('[cgroup]\ndriver = "systemd"\n')
    if not os.path.isdir("/run/systemd/system"):
        wrong = t.havre("run", "--rm", "--network", "none", image, "true", check=False, env=env)
        assert wrong.rc == 125 and "systemd" in wrong.err, wrong
