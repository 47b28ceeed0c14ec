# SPDX-License-Identifier: Apache-2.0
"""havre-runtime under the daemons that call it: dockerd (whose containerd does), containerd by itself, and conmon."""

import json
import os
import shutil
import subprocess
import tempfile
import time

VM = False  # nothing here depends on the kind of control groups, and an emulated processor is slow

LOOP = "trap 'exit 5' TERM; while :; do sleep 0.05; done"


def short_directory(t):
    """The daemons make sockets deep below their directory: its path must be short."""
    path = tempfile.mkdtemp(prefix="hd")

    def remove():
        mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
        for point in sorted((m for m in mounts if m.startswith(path + "/")), reverse=True):
            subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(path, ignore_errors=True)
    t.defer(remove)
    return path


def remove_cgroup_parent(name):
    for top, directories, _ in os.walk("/sys/fs/cgroup"):
        if name in directories:
            for where, _, _ in os.walk(os.path.join(top, name), topdown=False):
                os.rmdir(where)
        if top.count("/") > 4:
            directories.clear()


def daemon(t, args, ready, log):
    """Starts a daemon and waits until it answers; skips where it cannot run."""
    with open(log, "w") as out:
        process = t.start(args, stdout=out, stderr=out)

    def stop():
        process.terminate()
        process.wait(30)
    t.defer(stop)
    deadline = time.monotonic() + 60
    while ready().rc != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            t.skip(f"{args[0]} does not start here: " + open(log).read()[-300:])
        time.sleep(0.1)
    return process


def daemons_only_alone(function):
    """Daemons are slow to start, and their packages are large: not on an emulated machine, not twice under the sanitizers."""
    function.vm, function.asan, function.timeout = False, False, 300
    return function


@daemons_only_alone
def test_dockerd(t):
    """dockerd --add-runtime: run, exec with and without a terminal, pause, update, kill, stop, restart, and out of memory"""
    t.need("dockerd", "docker", "containerd-shim-runc-v2", "iptables")
    top, parent = short_directory(t), f"havre-dockerd-{os.getpid()}"
    t.defer(remove_cgroup_parent, parent)
    base = ["docker", "-H", f"unix://{top}/s", "--config", f"{top}/config"]

    def docker(*args, **kw):
        return t.run([*base, *args], **kw)

    def inspect(name, what):
        return docker("inspect", "--format", "{{.State." + what + "}}", name).out.strip()

    log = t.tmp / "dockerd.log"
    daemon(t, ["dockerd", "--bridge", "none", "--iptables=false", "--data-root", f"{top}/root", "--exec-root", f"{top}/exec", "--pidfile",
               f"{top}/pid", "-H", f"unix://{top}/s", "--cgroup-parent", f"/{parent}", "--add-runtime", f"havre={t.bin}/havre-runtime",
               "--default-runtime", "havre"], lambda: docker("info", check=False), log)
    docker("load", "-i", t.busybox_archive())
    run = ["run", "--network", "none"]
    ran = docker(*run, "--rm", "busybox:test", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (ran.rc, ran.out, ran.err) == (3, "out\n", "err\n"), ran
    assert docker(*run, "--rm", "-i", "busybox:test", "cat", input="over stdin").out == "over stdin"
    for program, code in (("no-such-program", 127), ("/no/such", 127), ("/bin", 126)):
        assert docker(*run, "--rm", "busybox:test", program, check=False).rc == code, program
    terminal = t.terminal([*base, *run, "--rm", "-it", "busybox:test", "sh", "-c",
                           "while ! stty size 2>&1 | grep 33; do sleep 0.1; done; exit 4"], rows=33, columns=93)  # the client sets it after the start
    terminal.expect("33 93")
    assert terminal.wait() == 4
    docker(*run, "-d", "--name", "one", "--memory", "100m", "--pids-limit", "50", "--cpus", "0.5", "busybox:test", "sh", "-c", LOOP)
    assert docker("exec", "one", "sh", "-c", "exit 4", check=False).rc == 4
    assert docker("exec", "-u", "5:6", "-w", "/bin", "-e", "A=b", "one", "sh", "-c", "id -u; pwd; echo $A").out == "5\n/bin\nb\n"
    assert docker("exec", "one", "no-such-program", check=False).rc in (126, 127)
    terminal = t.terminal([*base, "exec", "-it", "one", "sh", "-c", "tty; exit 6"])
    terminal.expect("/dev/pts/[0-9]+")
    assert terminal.wait() == 6
    assert "sleep" in docker("top", "one").out
    docker("pause", "one")
    assert inspect("one", "Status") == "paused"
    docker("unpause", "one")
    docker("update", "--memory", "200m", "--memory-swap", "300m", "--pids-limit", "60", "one")
    if t.cgroup_mode() != "none":
        assert "/ 200MiB" in docker("stats", "--no-stream", "one").out
    docker("kill", "-s", "TERM", "one")
    t.wait_for(lambda: inspect("one", "Status") == "exited")
    docker("start", "one")
    docker("stop", "-t", "20", "one")
    assert (inspect("one", "Status"), inspect("one", "ExitCode")) == ("exited", "5")
    docker("start", "one")
    docker("restart", "-t", "20", "one")
    assert inspect("one", "Status") == "running"
    docker("rm", "-f", "one")
    docker(*run, "--name", "oom", "--memory", "20m", "busybox:test", "sh", "-c", "x=a; while :; do x=$x$x; done", check=False)
    assert (inspect("oom", "ExitCode"), inspect("oom", "OOMKilled")) == ("137", "true")
    docker("rm", "oom")
    assert docker("ps", "-aq").out == ""


@daemons_only_alone
def test_containerd(t):
    """containerd's shim with --runc-binary: run, exec, ps, metrics, pause, kill, and what it reads from our JSON log"""
    t.need("containerd", "ctr", "containerd-shim-runc-v2")
    top, rootfs = short_directory(t), t.busybox_rootfs()
    address, name = f"{top}/s", t.id()
    config = t.tmp / "config.toml"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')

    def ctr(*args, **kw):
        return t.run(["ctr", "-a", address, "-n", name, *args], **kw)

    daemon(t, ["containerd", "--config", config, "--address", address, "--root", f"{top}/root", "--state", f"{top}/state"],
           lambda: ctr("version", check=False), t.tmp / "containerd.log")
    run = ["run", "--runc-binary", t.bin / "havre-runtime", "--runtime", "io.containerd.runc.v2", "--cgroup", f"/{name}", "--rootfs"]
    ran = ctr(*run, "--rm", rootfs, name + "0", "/bin/sh", "-c", "echo out; exit 3", check=False)
    assert (ran.rc, ran.out) == (3, "out\n"), ran
    assert "executable file not found" in ctr(*run, "--rm", rootfs, name + "1", "nosuch", check=False).err
    ctr(*run, "-d", "--env", "PATH=/bin", rootfs, name, "sh", "-c", LOOP)
    t.defer(ctr, "container", "rm", name, check=False)
    t.defer(ctr, "task", "rm", "-f", name, check=False)
    assert ctr("task", "exec", "--exec-id", "e1", name, "sh", "-c", "exit 7", check=False).rc == 7
    assert "executable file not found" in ctr("task", "exec", "--exec-id", "e2", name, "nosuch", check=False).err
    assert len(ctr("task", "ps", name).out.splitlines()) >= 2
    if t.cgroup_mode() != "none":
        assert "pids.current" in ctr("task", "metrics", name).out
    ctr("task", "pause", name)
    assert "PAUSED" in ctr("task", "ls").out
    ctr("task", "resume", name)
    ctr("task", "kill", "-s", "SIGTERM", name)
    t.wait_for(lambda: "STOPPED" in ctr("task", "ls").out)
    late = ctr("task", "kill", "-s", "SIGKILL", name, check=False)
    assert "finished" in late.err or "not found" in late.err, late
    assert ctr("task", "rm", name, check=False).rc in (0, 5)


def test_conmon(t):
    """conmon, as podman and CRI-O start it: output in the log, the exit code in a file; exec through it, kill by name and number"""
    t.need("conmon")
    name, bundle, exits = t.id(), t.bundle(args=["sh", "-c", "echo from inside; " + LOOP]), t.tmp / "exits"
    for directory in (exits, t.tmp / "exec-exits"):
        directory.mkdir()
    t.defer(t.runtime, "delete", "--force", name)

    def conmon(*args):
        return t.run(["conmon", "--cid", name, "--name", name, "--cuuid", name, "--runtime", t.bin / "havre-runtime", "--runtime-arg", "--root",
                      "--runtime-arg", t.runtime_root, "--bundle", bundle, "--socket-dir-path", t.tmp, *args], check=False)

    conmon("--exit-dir", exits, "--container-pidfile", t.tmp / "pid", "--conmon-pidfile", t.tmp / "conmon", "--log-path", f"k8s-file:{t.tmp}/log")
    t.wait_for(lambda: (t.tmp / "pid").exists() and (t.tmp / "pid").read_text())
    state = json.loads(t.runtime("state", name).out)
    assert state["status"] == "created" and state["pid"] == int((t.tmp / "pid").read_text())
    t.runtime("start", name)
    t.wait_for(lambda: "stdout F from inside" in (t.tmp / "log").read_text())
    t.runtime("update", "--resources", "-", name, input='{"pids":{"limit":33}}')
    process = {"args": ["sh", "-c", "echo executed; exit 8"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
    (t.tmp / "process").write_text(json.dumps(process))
    conmon("--exit-dir", t.tmp / "exec-exits", "--exec", "--exec-process-spec", t.tmp / "process", "--container-pidfile", t.tmp / "epid", "--conmon-pidfile", t.tmp / "econmon",
           "--log-path", f"k8s-file:{t.tmp}/elog")
    t.wait_for(lambda: (t.tmp / "elog").exists() and "stdout F executed" in (t.tmp / "elog").read_text())
    t.runtime("kill", name, "0")
    t.runtime("kill", name, "15")
    t.wait_for(lambda: (exits / name).exists())
    code = (exits / name).read_text()
    assert code == "5", code
