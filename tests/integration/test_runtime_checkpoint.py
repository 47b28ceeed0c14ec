# SPDX-License-Identifier: Apache-2.0
"""checkpoint and restore: with the real CRIU where one works on this kernel, and with a program that only speaks its protocol."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

from lib import criu as real_criu, system
from systemd_fixture import FakeSystemd

COUNT = ["sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done"]
SLEEP = ["sleep", "1000"]


def state(t, name):
    return json.loads(t.runtime("state", name).out)


class Criu:
    """The program with only the protocol, in a directory of its own that is all of PATH before the usual one."""

    def __init__(self, t, **plan):
        self.t, self.dir = t, t.tmp / f"criu{t._next()}"
        self.dir.mkdir()
        shutil.copy(Path(__file__).parent / "criu_fixture.py", self.dir / "criu")
        (self.dir / "criu").chmod(0o755)
        self.env = {"PATH": f"{self.dir}:{t.env['PATH']}"}
        self.plan(**plan)

    def plan(self, **plan):
        (self.dir / "plan.json").write_text(json.dumps(plan))
        (self.dir / "requests.jsonl").write_text("")

    def requests(self, kind=None):
        found = [json.loads(line) for line in (self.dir / "requests.jsonl").read_text().splitlines()]
        return [r for r in found if kind in (None, r["type"])]

    def options(self, kind):
        return {int(k): v for k, v in self.requests(kind)[-1]["options"].items()}


def start(t, args=None, overrides=None, edit=None, stdin=subprocess.DEVNULL, out=None):
    """A running container; its output goes to t.tmp/NAME.out through a pipe, as with every engine."""
    name, bundle = t.id(), t.bundle(args=args or SLEEP, overrides=overrides, edit=edit)
    t.defer(t.runtime, "delete", "--force", name)
    pipe_to(t, name, out or t.tmp / f"{name}.out", "run", "--detach", "--bundle", bundle, name, stdin=stdin)
    return name, bundle


def pipe_to(t, name, path, *args, stdin=subprocess.DEVNULL, env=None, check=True, systemd=None):
    """Runs a command of the runtime whose stdout and stderr are a pipe into a file, by a process that outlives it. With the systemd driver
    if there is a `systemd` (systemd_fixture)."""
    command = systemd.command(*t.runtime_args("--systemd-cgroup", *args)) if systemd else t.runtime_args(*args)
    with open(path, "ab") as f:
        sink = t.start(["cat"], stdin=subprocess.PIPE, stdout=f)
    try:
        result = t.run(command, check=False, stdin=stdin, stdout=sink.stdin, stderr=sink.stdin, env=env)
    finally:
        sink.stdin.close()
        sink.stdin = None
    if check:
        assert result.rc == 0, (result.rc, Path(path).read_text())
    return result


# -- the command line --------------------------------------------------------------------------------------------


def test_probes_of_callers(t):
    """what podman asks before it uses them: checkpoint --help is 0; --lsm-mount-context says that it requires an argument"""
    shown = t.runtime("checkpoint", "--help").out
    for flag in ("image-path work-path parent-path leave-running tcp-established tcp-skip-in-flight tcp-close ext-unix-sk shell-job "
                 "file-locks pre-dump manage-cgroups-mode empty-ns auto-dedup link-remap lazy-pages page-server status-fd "
                 "network-lock").split():
        assert f"--{flag}" in shown, flag
    shown = t.runtime("restore", "--help").out
    for flag in ("image-path work-path tcp-established ext-unix-sk shell-job file-locks manage-cgroups-mode empty-ns auto-dedup "
                 "lazy-pages network-lock lsm-profile lsm-mount-context bundle console-socket detach pid-file no-pivot no-subreaper "
                 "config keep preserve-fds").split():
        assert f"--{flag}" in shown, flag
    refused = t.runtime("restore", "--lsm-mount-context", check=False)
    assert refused.rc == 1 and "requires an argument" in refused.err, refused


def test_wrong_input(t):
    """each is refused with its name, before anything is done"""
    name, bundle = start(t)
    fake = Criu(t)

    def refused(*args, env=fake.env):
        result = t.runtime(*args, check=False, env=env)
        assert result.rc == 1, result
        return result.err
    images = ("--image-path", t.tmp / "images")
    assert "does not exist" in refused("checkpoint", *images, "nosuch")
    assert "manage-cgroups-mode" in refused("checkpoint", "--manage-cgroups-mode", "some", name)
    assert "--empty-ns pid" in refused("checkpoint", *images, "--empty-ns", "pid", name)
    assert "ADDRESS:PORT" in refused("checkpoint", *images, "--page-server", "1234", name)
    assert "port of --page-server" in refused("checkpoint", *images, "--page-server", "h:0", name)
    assert "--status-fd 77" in refused("checkpoint", *images, "--status-fd", "77", name)
    assert "must be relative" in refused("checkpoint", *images, "--parent-path", "/p", name)
    assert "already exists" in refused("restore", "--bundle", bundle, *images, name)
    assert "cannot open" in refused("restore", "--bundle", bundle, "--image-path", t.tmp / "none", t.id())
    assert "is not a checkpoint" in refused("restore", "--bundle", bundle, *images, t.id())
    assert "TYPE:NAME" in refused("restore", "--bundle", bundle, *images, "--lsm-profile", "x", t.id())
    assert "package \"criu\"" in refused("checkpoint", *images, name, env={"PATH": str(t.tmp)})
    t.runtime("kill", name, "KILL")
    t.wait_for(lambda: state(t, name)["status"] == "stopped")
    assert "it is stopped, not running" in refused("checkpoint", *images, name)


# -- the protocol ------------------------------------------------------------------------------------------------


def test_dump_request(t):
    """every option of checkpoint reaches CRIU as the field that its protocol has for it; notifications are answered in turn"""
    fake = Criu(t, features=[1, 2], version=[3, 19, 0], dump=[
        ["notify", "pre-dump", -1], ["notify", "network-lock", 0], ["notify", "network-unlock", 0], ["notify", "post-dump", 0],
        ["notify", "words of a later version", 0], ["answer", True]])
    host = t.tmp / "host"
    host.mkdir()

    def edit(spec):
        spec["mounts"].append({"destination": "/var/run/x", "type": "bind", "source": str(host), "options": ["bind"]})
        spec["annotations"] = {"org.criu.config": "/some/where.conf"}
    name, bundle = t.id(), t.bundle(args=SLEEP, edit=edit)
    (bundle / "rootfs/run").mkdir()
    (bundle / "rootfs/var/run").symlink_to("../run")
    t.defer(t.runtime, "delete", "--force", name)
    pipe_to(t, name, t.tmp / "out", "run", "--detach", "--bundle", bundle, name)
    pid = state(t, name)["pid"]
    (t.tmp / "images/parent").mkdir(parents=True)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", "--work-path", t.tmp / "work", "--parent-path", "parent", "--leave-running",
              "--tcp-established", "--tcp-skip-in-flight", "--tcp-close", "--ext-unix-sk", "--shell-job", "--file-locks", "--auto-dedup",
              "--link-remap", "--lazy-pages", "--manage-cgroups-mode", "strict", "--network-lock", "skip", "--empty-ns", "network",
              "--page-server", "::1:4711", name, env=fake.env)
    told = fake.options("dump")
    flags = {3: "leave_running", 4: "ext_unix_sk", 5: "tcp_established", 7: "shell_job", 8: "file_locks", 12: "notify_scripts",
             15: "track_mem", 16: "auto_dedup", 18: "link_remap", 24: "manage_cgroups", 46: "tcp_skip_in_flight", 48: "lazy_pages",
             50: "orphan_pts_master", 52: "tcp_close"}
    for field, what in flags.items():
        assert told.get(field) == [1], (what, told)
    assert told[2] == [pid] and told[9] == [4] and told[10] == ["dump.log"] and told[14] == ["parent"], told
    assert told[13] == [str(bundle / "rootfs")] and told[34] == [5] and told[38] == [0x40000000] and told[64] == [3], told
    assert told[51] == ["/some/where.conf"] and told[11] == [["::1", 4711]], told
    assert ["/run/x", "/var/run/x"] in told[23], "the real path of a mount, under the name of the configuration"
    assert ["/proc/keys", "/dev/null"] in told[23], ("masked files", told[23])
    if t.cgroup_mode() != "none":
        assert name in told[44][0], "the freezer's group"
    notified = fake.requests("notified")
    assert [n["script"] for n in notified][-1] == "words of a later version" and len(notified) == 5
    assert all(n["success"] == 1 and n["answered"] == "notify" for n in notified), notified
    links = json.loads((t.tmp / "images/descriptors.json").read_text())
    assert len(links) == 3 and links[1].startswith("pipe:[") and links[1] == links[2], links
    assert state(t, name)["status"] == "running"


def test_dump_defaults(t):
    """without options: ./checkpoint, the soft mode, runc's configuration file, and nothing that was not asked for"""
    fake = Criu(t)
    name, _ = start(t)
    t.runtime("checkpoint", "--leave-running", name, env=fake.env, cwd=t.tmp)
    told = fake.options("dump")
    assert (t.tmp / "checkpoint/descriptors.json").exists()
    assert told[34] == [3] and told[51] == ["/etc/criu/runc.conf"], told
    assert not {4, 5, 7, 8, 11, 14, 15, 16, 17, 18, 37, 38, 46, 48, 49, 52, 64} & set(told) - {37}, told
    name, _ = start(t, overrides={"annotations": {"org.criu.config": ""}})
    t.runtime("checkpoint", "--leave-running", name, env=fake.env, cwd=t.tmp)
    assert 51 not in fake.options("dump")


def test_dump_failures(t):
    """CRIU says no, dies, is killed, babbles, hangs: the error says what and where the log is, and the container goes on"""
    fake = Criu(t)
    name, _ = start(t)
    log = "(00.1) Warn x\n(00.2) Error (a.c:1): first\n(00.3) Error (b.c:2): cannot do it\n(00.4) Error (c.c:3): Dumping FAILED.\n"
    cases = [
        ([["log", log], ["answer", False, 1, "m"]], "criu dump failed: (a.c:1): first; (b.c:2): cannot do it (log: "),
        ([["answer", False, 3, "its own words"]], "criu dump failed: its own words"),
        ([["print", "Error (d.c:4): early\n"], ["exit", 1]], "criu ended without an answer to its dump: (d.c:4): early"),
        ([["notify", "pre-dump", 0], ["exit", 0]], "criu ended without an answer"),
        ([["raw", "08011001ff"]], "is not understood"),
        ([["raw", "ff"]], "is not understood"),
        ([["raw", "00" * 65537]], "larger than expected"),
        ([["raw", "08021001"]], "answers request 1 with 2"),
        ([["hang"]], "made no progress for 1 s"),
        ([["log", "(00.1) Error (e.c:5): stuck\n"], ["hang"]], "(e.c:5): stuck"),
    ]
    for steps, words in cases:
        fake.plan(dump=steps)
        result = t.runtime("checkpoint", "--image-path", t.tmp / "images", name, check=False,
                           env={**fake.env, "HAVRE_CRIU_TIMEOUT": "1"})
        assert result.rc == 1 and words in result.err, (steps, result)
        assert "log: " not in words or f"log: {t.tmp}/images/dump.log)" in result.err, result
        assert state(t, name)["status"] == "running"
    # A kernel that CRIU finds wanting is said to be so.
    fake.plan(dump=[["answer", False, 1, "no"]], check=[["print", "Error (k.c:9): no such thing in this kernel\n"], ["answer", False]])
    result = t.runtime("checkpoint", "--image-path", t.tmp / "images", name, check=False, env=fake.env)
    assert "no such thing in this kernel" in result.err and "criu dump failed" in result.err, result


test_dump_failures.vm = False  # has limits of one second


def test_dump_killed_criu(t):
    """CRIU is killed by somebody: that is said, and the container is not left frozen"""
    fake = Criu(t, dump=[["hang"]])
    name, _ = start(t)
    p = t.start(t.runtime_args("checkpoint", "--image-path", t.tmp / "images", name), env=fake.env, stderr=subprocess.PIPE)
    t.wait_for(lambda: fake.requests("dump"))
    with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
        os.kill(int(f.read().split()[0]), signal.SIGKILL)
    assert p.wait(60) == 1 and b"killed by SIGKILL during its dump" in p.stderr.read()
    assert state(t, name)["status"] == "running"


def test_version_and_features(t):
    """an old CRIU, and one that says that the kernel lacks something: the error says what is needed for what"""
    fake = Criu(t, version=[2, 12, 0])
    name, bundle = start(t)

    def refused(*args, **plan):
        fake.plan(**plan)
        result = t.runtime(args[0], "--image-path", t.tmp, *args[1:], name, check=False, env=fake.env)
        assert result.rc == 1 and not fake.requests("dump"), result
        return result.err
    assert "needs criu 3.0 or newer; this is criu 2.12.0" in refused("checkpoint", version=[2, 12, 0])
    assert "--network-lock skip needs criu 3.19" in refused("checkpoint", "--network-lock", "skip", version=[3, 17, 1])
    assert "CONFIG_MEM_SOFT_DIRTY" in refused("checkpoint", "--pre-dump", features=[2])
    assert "CONFIG_USERFAULTFD" in refused("checkpoint", "--lazy-pages", features=[1])
    assert "--lsm-profile needs criu 3.16" in refused("restore", "-b", bundle, "--lsm-profile", "apparmor:x", version=[3, 15, 0])


def test_stops_and_is_replaced(t):
    """after a checkpoint the container is gone, its poststop hooks have run, and its id is free for a restore; a failed one leaves nothing"""
    dump = [["kill-container"], ["answer", True]]
    fake = Criu(t, dump=dump)
    name, bundle = start(t, overrides={"hooks": {"poststop": [{"path": "/bin/touch", "args": ["touch", str(t.tmp / "ended")]}]}})
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=fake.env)
    assert "does not exist" in t.runtime("state", name, check=False).err and (t.tmp / "ended").exists()
    assert os.listdir(t.runtime_root) == []

    # One that somebody waits for: who comes second to delete it finds nothing, and that is no error.
    name = t.id()
    p = t.start(t.runtime_args("run", "--bundle", t.bundle(args=SLEEP), name), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    t.wait_for(lambda: (s := t.runtime("state", name, check=False)).rc == 0 and json.loads(s.out)["status"] == "running")
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=fake.env)
    assert p.wait(60) == 137 and p.stderr.read() == b"" and os.listdir(t.runtime_root) == []

    name, bundle = start(t)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=fake.env)
    fake.plan(restore=[["log", "(00.1) Error (r.c:1): not like this\n"], ["answer", False, 1, ""]])
    refused = t.runtime("restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", name, check=False, env=fake.env)
    assert refused.rc == 1 and f"(r.c:1): not like this (log: {t.tmp}/images/restore.log)" in refused.err, refused
    assert os.listdir(t.runtime_root) == []

    # Half restored: what is there already is killed.
    fake.plan(restore=[["spawn"], ["notify", "post-restore", "PID"], ["exit", 3]])
    refused = t.runtime("restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", name, check=False, env=fake.env)
    assert refused.rc == 1 and "ended without an answer to its restore" in refused.err, refused
    assert os.listdir(t.runtime_root) == []


def test_restore_request(t):
    """what restore tells CRIU, where CRIU runs, and that hooks, state, pid file and later commands are those of a started container"""
    fake = Criu(t, dump=[["kill-container"], ["answer", True]])
    host, hooks = t.tmp / "host", t.tmp / "hooks"
    host.mkdir()
    note = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >> {hooks}; echo >> {hooks}"]}

    def edit(spec):
        spec["mounts"].append({"destination": "/data", "type": "bind", "source": str(host), "options": ["bind"]})
        spec["hooks"] = {"createRuntime": [note]}
    name, bundle = start(t, edit=edit)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=fake.env)
    shutil.rmtree(bundle / "rootfs/data")  # a root that is new: its mount points are made
    hooks.unlink()
    steps = [["notify", "pre-restore", -1], ["spawn"], ["notify", "setup-namespaces", "PID"], ["notify", "post-restore", "PID"],
             ["notify", "post-resume", "PID"], ["answer", True]]
    fake.plan(version=[3, 19, 0], features=[1, 2], restore=steps)
    pipe_to(t, name, t.tmp / "out", "restore", "-no-subreaper", "--detach", "--no-pivot", "--bundle", bundle, "--pid-file", t.tmp / "pid",
            "--image-path", t.tmp / "images", "--work-path", t.tmp / "work", "--lsm-profile", "apparmor:p", "--lsm-mount-context", "c",
            "--lazy-pages", "--manage-cgroups-mode", "full", "--tcp-close", name, env=fake.env)
    told, request = fake.options("restore"), fake.requests("restore")[-1]
    for field in (6, 12, 24, 26, 48, 50, 52):
        assert told.get(field) == [1], (field, told)
    assert told[10] == ["restore.log"] and told[34] == [4] and told[53] == ["apparmor:p"] and told[63] == ["c"], told
    assert ["/data", str(host)] in told[23] and ["/dev/null", "/dev/null"] in told[23], told
    assert told[13][0].endswith(f"{name}/criu-root") and (bundle / "rootfs/data").is_dir()
    links = json.loads((t.tmp / "images/descriptors.json").read_text())
    assert [links[1], 1] in told[27] and [links[2], 2] in told[27], (links, told)
    assert request["stdio"][1].startswith("pipe:[") and request["mounts"] != os.readlink("/proc/self/ns/mnt"), request
    if t.cgroup_mode() != "none":
        roots = {controllers: path for controllers, path in told[25]}
        for line in request["cgroup"].splitlines():
            _, controllers, path = line.split(":", 2)
            assert roots[controllers] == path, (line, roots)
        assert any(name in path for path in roots.values()), roots
    pid = int((t.tmp / "pid").read_text())
    said = json.loads(hooks.read_text())
    assert said["pid"] == pid and said["status"] == "creating" and said["id"] == name, said
    now = state(t, name)
    assert now["status"] == "running" and now["pid"] == pid, now
    assert not list(t.runtime_root.rglob("criu-root")) and str(t.runtime_root) not in Path("/proc/self/mountinfo").read_text()
    t.runtime("kill", name, "KILL")
    t.wait_for(lambda: state(t, name)["status"] == "stopped")
    t.runtime("delete", name)
    assert os.listdir(t.runtime_root) == []


def test_restore_killed(t):
    """the restoring command is killed in the middle: delete --force finds and removes all that there is"""
    fake = Criu(t, dump=[["kill-container"], ["answer", True]])
    name, bundle = start(t)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=fake.env)
    for steps in ([["notify", "pre-restore", 0], ["hang"]], [["spawn"], ["notify", "post-restore", "PID"], ["hang"]]):
        fake.plan(restore=steps)
        p = t.start(t.runtime_args("restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", name), env=fake.env)
        t.wait_for(lambda: fake.requests("notified"))
        p.kill()
        p.wait()
        t.runtime("delete", "--force", name)
        assert os.listdir(t.runtime_root) == []


def in_scope(t):
    """A systemd, a container's id, and a bundle whose cgroupsPath is a scope."""
    systemd, name = FakeSystemd(t), t.id()
    config = {"linux": {"cgroupsPath": f"havretest{os.getpid()}.slice:hv:{name}", "resources": {"pids": {"limit": 50}}}}
    t.defer(t.run, systemd.command(*t.runtime_args("delete", "--force", name)), check=False)
    return systemd, name, config


def test_restore_into_a_scope(t):
    """with the systemd driver CRIU is the process that the scope is made around; what fails, or is killed, leaves no unit and no group"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    systemd, name, config = in_scope(t)
    fake = Criu(t, dump=[["kill-container"], ["answer", True]], restore=[["spawn"], ["notify", "post-restore", "PID"], ["answer", True]])
    bundle = t.bundle(config, args=SLEEP)
    pipe_to(t, name, t.tmp / "out", "run", "--detach", "--bundle", bundle, name, systemd=systemd)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=fake.env)
    restore = ("restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", name)
    pipe_to(t, name, t.tmp / "out", *restore, env=fake.env, systemd=systemd)
    first, second = systemd.called("StartTransientUnit")
    assert first[0] == second[0] == f"hv-{name}.scope", (first, second)
    request = fake.requests("restore")[-1]
    assert all(f"hv-{name}.scope" in line for line in request["cgroup"].splitlines() if ":pids:" in line or line.startswith("0::/hv")), request["cgroup"]
    assert any(f"hv-{name}.scope" in line for line in request["cgroup"].splitlines()), request["cgroup"]
    t.run(systemd.command(*t.runtime_args("delete", "--force", name)))
    for steps in ([["answer", False, 1, "no"]], [["spawn"], ["notify", "post-restore", "PID"], ["answer", False, 1, "no"]]):
        fake.plan(restore=steps)
        stopped = len(systemd.called("StopUnit"))
        assert pipe_to(t, name, t.tmp / "out", *restore, env=fake.env, systemd=systemd, check=False).rc == 1
        assert len(systemd.called("StopUnit")) > stopped and not (t.runtime_root / name).exists()
        assert not [d for d in system.cgroup_directories() if name in d]


def test_restore_console(t):
    """the terminal that CRIU hands out goes to the console socket; namespaces with a path are inherited or joined"""
    fake = Criu(t, restore=[["answer", False, 1, "x"]])
    (t.tmp / "images").mkdir()
    (t.tmp / "images/descriptors.json").write_text('["", "", ""]')

    def edit(spec):
        for ns in spec["linux"]["namespaces"]:
            if ns["type"] in ("network", "uts"):
                ns["path"] = f"/proc/self/ns/{'net' if ns['type'] == 'network' else 'uts'}"
    bundle = t.bundle(args=SLEEP, edit=edit)
    t.runtime("restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", t.id(), check=False, env=fake.env)
    told = fake.options("restore")
    assert told[27] == [["extRootNetNS", 4]] and told[39] == [["uts", "/proc/self/ns/uts"]], told


# -- the real thing ----------------------------------------------------------------------------------------------


def real(t):
    return {"PATH": f"{real_criu.directory(t)}:{t.env['PATH']}"}


def last_line(path):
    lines = path.read_text().split()
    return int(lines[-1]) if lines else 0


def test_real_round_trip(t):
    """CRIU: the counter goes on where it stood; status, cgroups, exec, signals and delete are those of a started container; twice"""
    env = real(t)

    def edit(spec):
        spec["mounts"].append({"destination": "/data", "type": "bind", "source": str(t.tmp / "host"), "options": ["bind"]})
        spec["linux"]["resources"] = {"pids": {"limit": 50}}
    (t.tmp / "host").mkdir()
    (t.tmp / "host/file").write_text("from outside\n")
    out = t.tmp / "out"
    name, bundle = start(t, args=COUNT, edit=edit, out=out)
    t.wait_for(lambda: last_line(out) >= 5)
    for round_ in (1, 2):
        t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=env)
        assert t.runtime("state", name, check=False).rc == 1
        stood = last_line(out)
        pipe_to(t, name, out, "restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", "--pid-file", t.tmp / "pid",
                name, env=env)
        t.wait_for(lambda: last_line(out) > stood)
        seen = [int(line) for line in out.read_text().split()]
        assert seen == list(range(1, len(seen) + 1)), f"it began anew: {seen}"
        now = state(t, name)
        assert now["status"] == "running" and now["pid"] == int((t.tmp / "pid").read_text())
        with open(f"/proc/{now['pid']}/cgroup") as f:
            assert all(name in line for line in f if ":pids:" in line or line.startswith("0::")), round_
    inside = t.runtime("exec", name, "sh", "-c", "cat /data/file; cat /proc/keys | wc -c; readlink /proc/self/ns/time; "
                       "readlink /proc/1/ns/time; cat /proc/1/cgroup").out.split("\n")
    assert inside[0] == "from outside" and inside[1] == "0" and inside[2] == inside[3], inside
    assert t.runtime("exec", name, "sh", "-c", "echo x > /proc/sys/kernel/hostname", check=False).rc != 0, "/proc/sys is read-only"
    t.runtime("pause", name)
    assert state(t, name)["status"] == "paused"
    t.runtime("resume", name)
    t.runtime("kill", name, "KILL")
    t.wait_for(lambda: state(t, name)["status"] == "stopped")
    t.runtime("delete", name)
    assert os.listdir(t.runtime_root) == []


def test_real_restore_into_a_scope(t):
    """CRIU: a container of the systemd driver goes on in its scope, limits and all, where its groups are this machine's"""
    env = real(t)
    systemd, name, config = in_scope(t)
    out = t.tmp / "out"
    bundle = t.bundle(config, args=COUNT)
    pipe_to(t, name, out, "run", "--detach", "--bundle", bundle, name, systemd=systemd)
    t.wait_for(lambda: last_line(out) >= 3)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=env)
    stood = last_line(out)
    pipe_to(t, name, out, "restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", name, env=env, systemd=systemd)
    t.wait_for(lambda: last_line(out) > stood)
    with open(f"/proc/{state(t, name)['pid']}/cgroup") as f:
        assert any(f"hv-{name}.scope" in line for line in f if ":pids:" in line or line.startswith("0::"))
    assert json.loads(t.runtime("events", "--stats", name).out)["data"]["pids"]["limit"] == 50
    assert t.runtime("exec", name, "echo", "inside").out == "inside\n"


test_real_round_trip.timeout = test_real_restore_into_a_scope.timeout = 240
test_real_restore_into_a_scope.vm = test_restore_into_a_scope.vm = False  # a minute there
test_real_round_trip.vm = False  # an emulated processor: CRIU does not come to an end in this time


def test_real_leave_running(t):
    """CRIU: --leave-running and a checkpoint of a paused container; a copy under another id and in front, with its exit status"""
    env = real(t)
    wait = ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"]
    name, bundle = start(t, args=wait)
    t.wait_for(lambda: "ready" in (t.tmp / f"{name}.out").read_text())
    t.runtime("checkpoint", "--leave-running", "--image-path", t.tmp / "images", name, env=env)
    assert state(t, name)["status"] == "running"
    t.runtime("pause", name)
    t.runtime("checkpoint", "--leave-running", "--image-path", t.tmp / "images2", name, env=env)
    assert state(t, name)["status"] == "paused"
    t.runtime("delete", "--force", name)
    copy = t.id("copy")
    t.defer(t.runtime, "delete", "--force", copy)
    p = t.start(t.runtime_args("restore", "--bundle", bundle, "--image-path", t.tmp / "images", copy), env=env,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    t.wait_for(lambda: p.poll() is not None or (t.runtime("state", copy, check=False).rc == 0 and state(t, copy)["status"] == "running"))
    p.send_signal(signal.SIGTERM)
    assert p.wait(30) == 7, p.stdout.read()
    assert os.listdir(t.runtime_root) == []


test_real_leave_running.timeout = 240


def test_real_output_files(t):
    """CRIU: stdin from the host's /dev/null, output into a log of the host, neither of them the container's: connected anew at restore"""
    env, log = real(t), t.tmp / "log"
    name, bundle = t.id(), t.bundle(args=COUNT)
    t.defer(t.runtime, "delete", "--force", name)
    with open(log, "a") as f:
        t.runtime("run", "--detach", "--bundle", bundle, name, stdout=f, stderr=subprocess.DEVNULL)
    t.wait_for(lambda: last_line(log) >= 3)
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=env)
    stood = last_line(log)
    log.rename(t.tmp / "moved")  # the very file, wherever it is now
    with open(t.tmp / "moved", "a") as f:
        t.runtime("restore", "--detach", "--bundle", bundle, "--image-path", t.tmp / "images", name, stdout=f,
                  stderr=subprocess.DEVNULL, env=env)
    t.wait_for(lambda: last_line(t.tmp / "moved") > stood + 1)
    seen = [int(line) for line in (t.tmp / "moved").read_text().split()]
    assert seen == list(range(1, len(seen) + 1)), seen


test_real_output_files.timeout = 240
test_real_output_files.vm = False  # an emulated processor: CRIU does not come to an end in this time


def test_real_preserved_fds(t):
    """CRIU: a pipe that came by --preserve-fds is another one after restore --preserve-fds, which refuses more than there were"""
    env, name = real(t), t.id()
    bundle = t.bundle(args=["sh", "-c", "while true; do echo tick >&3; sleep 0.1; done"])
    t.defer(t.runtime, "delete", "--force", name)

    def with_pipe(*args):
        reader, writer = os.pipe()
        t.defer(os.close, reader)

        def place():
            os.dup2(writer, 3)
        p = t.start(t.runtime_args(args[0], "--detach", "--bundle", bundle, *args[1:], name), env=env, stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, pass_fds=(3,) if writer == 3 else (3, writer), preexec_fn=place)
        os.close(writer)
        assert p.wait(120) == 0, p.stderr.read()
        return reader
    assert os.read(with_pipe("run", "--preserve-fds", "1"), 4) == b"tick"
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=env)
    images = ("--image-path", t.tmp / "images")
    refused = t.runtime("restore", "--bundle", bundle, *images, "--preserve-fds", "9", t.id(), env=env, check=False,
                        preexec_fn=lambda: [os.dup2(0, n) for n in range(3, 12)], close_fds=False)
    assert refused.rc == 1 and "--preserve-fds 9: the checkpointed process had 1" in refused.err, refused
    assert os.read(with_pipe("restore", *images, "--preserve-fds", "1"), 4) == b"tick"


test_real_preserved_fds.timeout = 240
test_real_preserved_fds.vm = False  # an emulated processor: CRIU does not come to an end in this time


def test_real_terminal(t):
    """CRIU: a container with a terminal; the restored one's arrives on the console socket"""
    env = real(t)
    name = t.id()
    bundle = t.bundle(args=["sh", "-c", "while read line; do echo got-$line; done"], overrides={"process": {"terminal": True}})
    t.defer(t.runtime, "delete", "--force", name)

    def with_console(*args):
        path = t.tmp / f"console{t._next()}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(60)
            p = t.start(t.runtime_args(*args[:1], "--detach", "--console-socket", path, *args[1:]), env=env, stderr=subprocess.PIPE)
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                _, fds, _, _ = socket.recv_fds(connection, 100, 1)
            assert p.wait(60) == 0, p.stderr.read()
        t.defer(os.close, fds[0])
        return fds[0]

    def answers(master, word):
        os.write(master, word.encode() + b"\n")
        text = b""
        while b"got-" + word.encode() not in text:
            text += os.read(master, 4096)
    master = with_console("run", "--bundle", bundle, name)
    assert stat.S_ISCHR(os.fstat(master).st_mode)
    answers(master, "one")
    t.runtime("checkpoint", "--image-path", t.tmp / "images", name, env=env)
    answers(with_console("restore", "--bundle", bundle, "--image-path", t.tmp / "images", name), "two")


test_real_terminal.timeout = 240
test_real_terminal.vm = False  # an emulated processor: CRIU does not come to an end in this time


# The emulated machine sees what cgroup v2 changes: a frozen group in a dump, a new group in a restore.
for _test in (test_probes_of_callers, test_wrong_input, test_dump_defaults, test_dump_killed_criu, test_version_and_features,
              test_restore_killed, test_restore_console, test_stops_and_is_replaced):
    _test.vm = False
