# SPDX-License-Identifier: Apache-2.0
"""havre-runtime's command line in detail: what runc's and crun's have, and hostile surroundings of the process that calls."""

import json
import os
import re
import socket
import subprocess

VM = False  # nothing here depends on the kind of control groups, and an emulated processor is slow

SLEEP = ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"]


def detached(t, *args, **kw):
    with open(t.tmp / "detached.out", "w") as out:
        result = t.runtime(*args, check=False, stdout=out, stderr=out, **kw)
    assert result.rc == 0, (t.tmp / "detached.out").read_text()


def running(t, **kw):
    kw.setdefault("args", SLEEP)
    name, bundle = t.id(), t.bundle(**kw)
    t.defer(t.runtime, "delete", "--force", name)
    detached(t, "run", "--detach", "--bundle", bundle, name)
    return name


def status(t, name):
    return json.loads(t.runtime("state", name).out)["status"]


# -- the log ------------------------------------------------------------------------------------------------------


def test_log_text(t):
    """--log with the text format has runc's lines, file: is crun's name for the same, and a log that cannot be opened is named"""
    for prefix in ("", "file:"):
        log = t.tmp / ("log" + prefix)
        t.runtime("--log", f"{prefix}{log}", "state", "nope", check=False)
        assert re.fullmatch(r'time="\d{4}-[^"]*Z" level=error msg="container \\"nope\\" does not exist"\n', log.read_text())
    bad = t.runtime("--log", "/nonexistent/log", "list", check=False)
    assert bad.rc == 1 and "/nonexistent/log" in bad.err


def test_log_sockets(t):
    """journald: and syslog: send each message to that daemon, under the given name; their absence is an error"""
    script = r"""
import os, socket, subprocess, sys

program, root = sys.argv[1:]
os.makedirs("/run/systemd/journal")
for spec, path in (("journald:me", "/run/systemd/journal/socket"), ("syslog:me", "/dev/log")):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    subprocess.run([program, "--root", root, "--log", spec, "state", "no\npe"], stderr=subprocess.DEVNULL)
    print(s.recv(4096))
    s.close()
    os.unlink(path)
    print(subprocess.run([program, "--log", spec, "list"], stderr=subprocess.PIPE).stderr)
"""
    mounts = "mount -t tmpfs x /run && mount -t tmpfs y /dev && mknod -m 666 /dev/null c 1 3 && exec python3 -c \"$0\" \"$@\""
    out = t.run(["unshare", "-m", "sh", "-c", mounts, script, t.bin / "havre-runtime", t.runtime_root]).out.splitlines()
    assert out[0].startswith(r"b'PRIORITY=3\nSYSLOG_IDENTIFIER=me\nMESSAGE\n") and r"invalid container ID" in out[0], out
    assert "/run/systemd/journal/socket" in out[1] and "/dev/log" in out[3], out
    assert re.match(r"""b['"]<11>me\[\d+\]: invalid container ID""", out[2]), out


# -- flags --------------------------------------------------------------------------------------------------------


def test_flag_forms(t):
    """-name, --name=value, -n value, -V and a kill by any name of a signal"""
    name = running(t)
    assert t.runtime("exec", "-cwd=/tmp", "-env", "A=b", "-e=C=d", "-user=5:6", name, "sh", "-c", "pwd; echo $A$C; id -u").out == "/tmp\nbd\n5\n"
    assert t.runtime("-V").out.startswith("havre-runtime version ")
    assert json.loads(t.runtime("list", "-format=json").out)[0]["owner"] == "root"
    os.chown(t.runtime_root / name, 1, 1)
    assert t.runtime("list").out.split()[-1] == "daemon"
    for signal in ("0", "USR1", "SIGUSR1", "sigusr1", "RTMIN+2"):
        t.runtime("kill", running(t, args=["sleep", "60"]), signal) if signal == "0" else t.runtime("kill", name, signal, check=False)
    bad = t.runtime("kill", name, "NONSENSE", check=False)
    assert bad.rc == 1 and 'unknown signal "NONSENSE"' in bad.err


def test_spec_file(t):
    """spec --file writes under another name; --bundle and --rootless as runc has them"""
    t.runtime("spec", "--bundle", t.tmp, "-f", "other.json", "--rootless")
    spec = json.loads((t.tmp / "other.json").read_text())
    assert "user" in [n["type"] for n in spec["linux"]["namespaces"]]
    t.runtime("spec", "--file", t.tmp / "absolute.json", cwd="/")
    assert (t.tmp / "absolute.json").exists()


def test_exec_flags(t):
    """every flag of exec reaches the process; a repeated variable has its last value; what is wrong is named"""
    name = running(t)
    out = t.runtime("exec", "-g", "77", "-g", "78", "-c", "CAP_SYS_ADMIN", "--no-new-privs", "--cwd", "", "-e", "A=1", "-e", "A=2",
                    name, "sh", "-c", "id -G; echo $A; pwd; grep -E 'Cap|NoNew' /proc/self/status").out
    assert out.startswith("0 77 78\n2\n/\n") and "NoNewPrivs:\t1" in out, out
    sets = dict(line.split(":\t") for line in out.splitlines() if line.startswith("Cap"))
    assert int(sets["CapEff"], 16) >> 21 & 1 and int(sets["CapInh"], 16) == 0, out
    for args, why in ((["-u", "bob"], "bob"), (["-u", "5:"], "--user"), (["-u", "-1"], "-1"), (["-u", "4294967296"], "range"),
                      (["-g", "x"], "--additional-gids"), (["-e", "X"], "NAME=VALUE"),
                      (["--cgroup", "nosuch:x"], "controller"), (["--cgroup", "/nosuch"], "nosuch"), (["-p", "/nonexistent"], "/nonexistent"),
                      (["--console-socket", "/nonexistent", "-t"], "/nonexistent"), (["-d", "-t"], "console socket")):
        result = t.runtime("exec", *args, name, "true", check=False)
        assert result.rc == 255 and why in result.err, (args, result)
    assert t.runtime("exec", name, check=False).rc == 255
    assert t.runtime("exec", "nobody", "true", check=False).rc == 255


def test_exec_cap_is_ambient(t):
    """exec --cap adds to the ambient set, too, where the container has inheritable capabilities; what cannot be ambient is left out with a warning"""
    sets = {"inheritable": ["CAP_CHOWN", "CAP_SYSLOG"], "permitted": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"],
            "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SYSLOG"], "ambient": ["CAP_CHOWN", "CAP_KILL"]}
    name, log = running(t, overrides={"process": {"capabilities": sets}}), t.tmp / "log"

    def ambient(*flags):
        log.write_text("")
        text = t.run([t.bin / "havre-runtime", "--root", t.runtime_root, "--log", log, "exec", *flags, name, "grep", "CapAmb", "/proc/self/status"]).out
        assert not flags or "can't raise ambient capability CAP_KILL: it is not" in log.read_text(), log.read_text()
        return int(text.split()[1], 16)
    assert ambient() == 1 << 0
    assert ambient("--cap", "CAP_SYSLOG") == 1 << 0 | 1 << 34


def test_exec_warns_of_capabilities(t):
    """exec --cap with one that is unknown, or that the runtime does not have, warns in the log and goes on without"""
    name, log = running(t), t.tmp / "log"
    lacks = "CAP_SYS_RESOURCE"
    held = int(re.search(r"CapPrm:\t(\w+)", open("/proc/self/status").read())[1], 16)
    flags = ["--cap", "CAP_FOO", "--cap", lacks]

    def run(*flags):
        log.write_text("")
        assert t.run([t.bin / "havre-runtime", "--root", t.runtime_root, "--log", log, "exec", *flags, name, "echo", "x"]).out == "x\n"
        return log.read_text()
    text = run(*flags)
    assert "CAP_FOO is not known and ignored" in text and "warn" in text, text
    assert (f"{lacks} cannot be granted" in text) == (not held >> 24 & 1), text
    assert run() == ""
    terminal = t.terminal(t.runtime_args("exec", "-t", *flags, name, "true"))
    terminal.expect("CAP_FOO is not known and ignored")
    assert terminal.wait() == 0


def test_exec_console_and_pidfd_sockets(t):
    """exec --detach --tty hands the terminal to the console socket, and --pidfd-socket gets a pidfd of the process"""
    name = running(t)
    sockets = {}
    for kind in ("console", "pidfd"):
        sockets[kind] = socket.socket(socket.AF_UNIX)
        t.defer(sockets[kind].close)
        sockets[kind].bind(str(t.tmp / kind))
        sockets[kind].listen()
    detached(t, "exec", "-d", "-t", "--console-socket", t.tmp / "console", "--pidfd-socket", t.tmp / "pidfd", "--pid-file", t.tmp / "pid",
             name, "sh", "-c", "tty; sleep 60")
    fds = {}
    for kind, listener in sockets.items():
        connection, _ = listener.accept()
        _, fds[kind], _, _ = socket.recv_fds(connection, 100, 1)
        connection.close()
        t.defer(os.close, fds[kind][0])
    assert b"/dev/pts/" in os.read(fds["console"][0], 100)
    info = open(f"/proc/self/fdinfo/{fds['pidfd'][0]}").read()
    assert f"\nPid:\t{(t.tmp / 'pid').read_text()}\n" in info, info


def listen_fds(t, command, **kw):
    """Runs a runtime's command with fd 3 from socket activation."""
    code = ("import os,sys\nos.dup2(int(sys.argv[1]),3)\nos.environ.update(LISTEN_FDS='1',LISTEN_PID=str(os.getpid()))\n"
            "os.execv(sys.argv[2],sys.argv[2:])")
    r, w = os.pipe()
    t.defer(os.close, r)
    result = t.run(["python3", "-c", code, str(w), *command], pass_fds=(w,), **kw)
    os.close(w)
    return result, os.read(r, 100)


def test_listen_fds(t):
    """sockets of socket activation reach run and exec, with a LISTEN_PID that is the process's own inside"""
    show = "echo $LISTEN_FDS $LISTEN_PID $$; echo through >&3"
    result, through = listen_fds(t, t.runtime_args("run", "-b", t.bundle(args=["sh", "-c", show]), t.id()))
    assert (result.out, through) == ("1 1 1\n", b"through\n")
    name = running(t)
    result, through = listen_fds(t, t.runtime_args("exec", name, "sh", "-c", show))
    n, pid, own = result.out.split()
    assert n == "1" and pid == own != "1" and through == b"through\n"
    assert t.runtime("exec", name, "sh", "-c", "echo x$LISTEN_FDS", env={"LISTEN_FDS": "1", "LISTEN_PID": "1"}).out == "x\n"


def test_kill_all_and_stopped(t):
    """kill --all reaches every process; a stopped container answers "container not running", with --all success as runc does"""
    name = running(t)
    detached(t, "exec", "-d", name, "sleep", "600")
    t.runtime("kill", "--all", name, "9")
    t.wait_for(lambda: status(t, name) == "stopped")
    late = t.runtime("kill", name, "9", check=False)
    assert late.rc == 1 and "container not running" in late.err
    t.runtime("kill", "-a", name, "9")
    for verb in (["pause"], ["resume"], ["update", "--pids-limit", "5"], ["events", "--stats"]):
        result = t.runtime(*verb, name, check=False)
        assert result.rc == 1 and "container not running" in result.err, (verb, result)
    for verb, words in ((["exec"], "not running"), (["start"], "stopped")):
        result = t.runtime(*verb, name, *(["true"] if verb == ["exec"] else []), check=False)
        assert result.rc in (1, 255) and words in result.err, (verb, result)
    assert json.loads(t.runtime("ps", "-f", "json", name).out) == []


def test_broken_entries(t):
    """directories that a dead maker left do not break list, and delete --force removes them"""
    name = running(t)
    for broken, content in (("empty", None), ("garbage", "{bad")):
        (t.runtime_root / broken).mkdir()
        if content:
            (t.runtime_root / broken / "state.json").write_text(content)
    assert {c["id"] for c in json.loads(t.runtime("list", "-f", "json").out)} >= {name}
    assert name in t.runtime("list").out
    t.runtime("delete", "--force", "empty")
    t.runtime("delete", "--force", "garbage")
    assert t.runtime("list", "-q").out.split() == [name]


def test_usage_texts(t):
    """callers' words: an id that is taken, a container that runs, one that is not there; delete --force of it is success"""
    name, bundle = running(t), t.bundle()
    for args, words in ((["create", "-b", bundle, name], "container with given ID already exists"), (["start", name], "already running"),
                        (["delete", name], "not stopped"), (["kill", "nobody", "9"], "does not exist"), (["state", "nobody"], "does not exist")):
        result = t.runtime(*args, check=False)
        assert result.rc == 1 and words in result.err, (args, result)
    t.runtime("delete", "--force", "nobody")


# -- annotations --------------------------------------------------------------------------------------------------


def test_hook_output(t):
    """run.oci.hooks.stdout and .stderr: what hooks of every kind print is appended to the files"""
    kinds = ("prestart", "createRuntime", "poststart", "poststop")
    hook = t.tmp / "hook"
    hook.write_text("#!/bin/sh\necho out $1\necho err $1 >&2\n")
    hook.chmod(0o755)
    hooks = {kind: [{"path": str(hook), "args": ["hook", kind]}] for kind in kinds}
    hooks["startContainer"] = [{"path": "/bin/echo", "args": ["echo", "out startContainer"]}]
    (t.tmp / "out").write_text("before\n")
    notes = {"run.oci.hooks.stdout": str(t.tmp / "out"), "run.oci.hooks.stderr": str(t.tmp / "err")}
    name, bundle = t.id(), t.bundle({"hooks": hooks, "annotations": notes}, args=["true"])
    detached(t, "create", "-b", bundle, name)
    t.runtime("start", name)
    t.wait_for(lambda: status(t, name) == "stopped")
    t.runtime("delete", name)
    assert (t.tmp / "out").read_text().splitlines() == ["before", "out prestart", "out createRuntime", "out startContainer", "out poststart",
                                                        "out poststop"]
    assert (t.tmp / "err").read_text().splitlines() == [f"err {k}" for k in kinds]
    result = t.runtime("run", "-b", t.bundle({"annotations": {"run.oci.hooks.stdout": "/nonexistent/x"}}), t.id(), check=False)
    assert result.rc == 1 and "run.oci.hooks.stdout" in result.err and "/nonexistent/x" in result.err


def test_hook_timeout_closed_output(t):
    """a hook that closes its output and hangs still runs into its time-out"""
    hooks = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "exec sleep 100 >&- 2>&- <&-"], "timeout": 1}]}
    result = t.runtime("run", "-b", t.bundle({"hooks": hooks}), t.id(), check=False, timeout=20)
    assert result.rc == 1 and "time-out" in result.err, result


def test_keep_original_groups(t):
    """run.oci.keep_original_groups leaves the groups of the caller to the program, and to those of exec"""
    code = "import os,sys\nos.setgroups([4711,4712])\nos.execv(sys.argv[1],sys.argv[1:])"
    bundle = t.bundle({"annotations": {"run.oci.keep_original_groups": "1"}}, args=["id", "-G"])
    assert t.run(["python3", "-c", code, *t.runtime_args("run", "-b", bundle, t.id())]).out.split() == ["0", "4711", "4712"]
    bundle = t.bundle(args=["id", "-G"])
    assert t.run(["python3", "-c", code, *t.runtime_args("run", "-b", bundle, t.id())]).out.split() == ["0"]
    name = running(t, overrides={"annotations": {"run.oci.keep_original_groups": "1"}})
    assert t.run(["python3", "-c", code, *t.runtime_args("exec", name, "id", "-G")]).out.split() == ["0", "4711", "4712"]


def test_pidfd_receiver(t):
    """run.oci.pidfd_receiver gets a pidfd of the container's first process; where nobody listens, no container is left"""
    listener = socket.socket(socket.AF_UNIX)
    t.defer(listener.close)
    listener.bind(str(t.tmp / "receiver"))
    listener.listen()
    name = running(t, overrides={"annotations": {"run.oci.pidfd_receiver": str(t.tmp / "receiver")}})
    connection, _ = listener.accept()
    _, fds, _, _ = socket.recv_fds(connection, 100, 1)
    connection.close()
    t.defer(os.close, fds[0])
    pid = json.loads(t.runtime("state", name).out)["pid"]
    assert f"\nPid:\t{pid}\n" in open(f"/proc/self/fdinfo/{fds[0]}").read()
    nobody = t.id()
    result = t.runtime("create", "-b", t.bundle({"annotations": {"run.oci.pidfd_receiver": "/nonexistent"}}, args=SLEEP), nobody, check=False)
    assert result.rc == 1 and "run.oci.pidfd_receiver" in result.err and t.runtime("state", nobody, check=False).rc == 1


def test_annotation_refusals(t):
    """a handler that is not there and a wrong context type are refused by name; other annotations are passed on"""
    for key, value in (("run.oci.handler", "krun"), ("run.oci.mount_context_type", "nonsense")):
        result = t.runtime("run", "-b", t.bundle({"annotations": {key: value}}), t.id(), check=False)
        assert result.rc == 1 and key in result.err and value in result.err, result
    for value in ("context", "fscontext", "defcontext", "rootcontext"):
        t.runtime("run", "-b", t.bundle({"annotations": {"run.oci.mount_context_type": value, "org.example": "x"}}), t.id())


# -- surroundings -------------------------------------------------------------------------------------------------


def test_closed_stdio(t):
    """a caller without stdin, stdout and stderr: the container runs, and none of our own files becomes its stdio"""
    show = "ls -l /proc/self/fd > /tmp/fds; exit 3"
    bundle = t.bundle(args=["sh", "-c", show])
    code = "import os,sys\nfor i in (0,1,2): os.close(i)\nos.execv(sys.argv[1],sys.argv[1:])"
    result = t.run(["python3", "-c", code, *t.runtime_args("run", "-b", bundle, t.id())], check=False)
    assert result.rc == 3
    fds = (bundle / "rootfs/tmp/fds").read_text()
    assert "state.json" not in fds and "socket" not in fds and str(bundle) not in fds, fds


def test_ignored_signals(t):
    """a caller that ignores SIGPIPE, SIGCHLD and SIGTERM, or blocks them: the program has the defaults"""
    code = ("import os,signal,sys\nfor s in (signal.SIGPIPE,signal.SIGTERM,signal.SIGINT): signal.signal(s,signal.SIG_IGN)\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGUSR1,signal.SIGCHLD])\nos.execv(sys.argv[1],sys.argv[1:])")
    bundle = t.bundle(args=["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])
    out = t.run(["python3", "-c", code, *t.runtime_args("run", "-b", bundle, t.id())]).out
    assert [int(line.split()[1], 16) for line in out.splitlines()] == [0, 0], out


def test_removed_cwd_and_path(t):
    """a working directory that was removed, and a PATH without anything of the host, do not matter"""
    gone, bundle = t.tmp / "gone", t.bundle(args=["echo", "ran"])
    gone.mkdir()
    code = "import os,sys\nos.chdir(sys.argv[1])\nos.rmdir(sys.argv[1])\nos.environ.clear()\nos.environ['PATH']='bin'\nos.execv(sys.argv[2],sys.argv[2:])"
    assert t.run(["python3", "-c", code, gone, *t.runtime_args("run", "-b", bundle, t.id())]).out == "ran\n"
    gone.mkdir()
    result = t.run(["python3", "-c", code, gone, *t.runtime_args("run", t.id())], check=False)
    assert result.rc == 1 and "bundle" in result.err, result


def test_big_environment_and_arguments(t):
    """10,000 arguments and a megabyte of environment pass through run and exec unharmed"""
    arguments = [f"a{i}" for i in range(10000)]
    variables = [f"V{i}={'x' * 1000}" for i in range(1000)]
    bundle = t.bundle(args=["sh", "-c", "echo $# ${#V999}", *["sh"], *arguments],
                      edit=lambda spec: spec["process"].update(env=["PATH=/bin", *variables]))
    assert t.runtime("run", "-b", bundle, t.id()).out == "10000 1000\n"
    name = running(t)
    assert t.runtime("exec", name, "sh", "-c", "echo $#", "sh", *arguments).out == "10000\n"
    assert t.runtime("exec", name, "true", env={"BIG": "y" * 100000}).rc == 0
    too_much = t.bundle(args=["true", "z" * 200000])
    result = t.runtime("run", "-b", too_much, t.id(), check=False)
    assert result.rc == 1 and "too long" in result.err.lower(), result


def test_long_paths(t):
    """state directories and console sockets far beyond the 108 bytes of a socket's address, and ids of 255 characters"""
    root = t.tmp / ("d" * 200) / ("e" * 200)
    name = "i" * 255
    run = [t.bin / "havre-runtime", "--root", root]
    t.defer(t.run, [*run, "delete", "--force", name])
    with open(t.tmp / "out", "w") as out:
        t.run([*run, "create", "-b", t.bundle(args=SLEEP, edit=lambda s: s["linux"].pop("cgroupsPath", None)), name], stdout=out, stderr=out)
    t.run([*run, "start", name])
    assert json.loads(t.run([*run, "state", name]).out)["status"] == "running"
    t.run([*run, "delete", "--force", name])
    assert list(root.iterdir()) == []
    result = t.runtime("create", "-b", t.bundle(), "i" * 256, check=False)
    assert result.rc == 1 and "255" in result.err


def test_state_root_trouble(t):
    """a read-only and a full state directory: the error names it, and nothing is left"""
    bundle = t.bundle(args=["true"])
    for options, words in (("ro", "read-only"), ("size=4k", "no space")):
        where = t.tmp / options.split("=")[0]
        where.mkdir()
        name = t.id()
        script = 'mount -t tmpfs -o "$0" x "$1" && shift && "$@"; code=$?; ls "$3"; exit $code'
        result = t.run(["unshare", "-m", "sh", "-c", script, options, where, t.bin / "havre-runtime", "--root", where, "run", "-b", bundle, name],
                       check=False)
        assert result.rc == 1 and words in result.err.lower(), (options, result)
        assert name not in result.out, result


def test_two_starts_at_once(t):
    """of two starts of one container, one wins; deleting it meanwhile ends with nothing left"""
    for _ in range(3):
        name = t.id()
        t.defer(t.runtime, "delete", "--force", name)
        detached(t, "create", "-b", t.bundle(args=SLEEP), name)
        both = [t.start(t.runtime_args("start", name), stderr=subprocess.DEVNULL) for _ in range(2)]
        assert sorted(p.wait(20) for p in both) == [0, 1]
        assert status(t, name) == "running"
    for _ in range(5):
        name = t.id()
        detached(t, "create", "-b", t.bundle(args=SLEEP), name)
        start = t.start(t.runtime_args("start", name), stderr=subprocess.DEVNULL)
        t.runtime("delete", "--force", name)
        assert start.wait(20) in (0, 1)
        assert t.runtime("state", name, check=False).rc == 1


test_two_starts_at_once.timeout = 180


def test_detach_and_keep(t):
    """run --detach leaves it to the caller, --keep leaves the stopped container for state and delete; the exit code comes all the same"""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    assert t.runtime("run", "--keep", "-b", t.bundle(args=["sh", "-c", "exit 6"]), name, check=False).rc == 6
    assert status(t, name) == "stopped"
    t.runtime("delete", name)
    name = t.id()
    result = t.runtime("run", "-d", "--pid-file", "/nonexistent/pid", "-b", t.bundle(args=SLEEP), name, check=False)
    assert result.rc == 1 and "/nonexistent/pid" in result.err and t.runtime("state", name, check=False).rc == 1
    result = t.runtime("run", "--console-socket", "/nonexistent", "-b", t.bundle({"process": {"terminal": True}}), t.id(), check=False)
    assert result.rc == 1 and result.err.count("/nonexistent") == 1, result


def test_cgroup_manager_disabled(t):
    """--cgroup-manager disabled makes no cgroup: the container stays in the caller's, and what needs one says so"""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    detached(t, "--cgroup-manager", "disabled", "run", "-d", "-b", t.bundle(args=SLEEP), name)
    pid = json.loads(t.runtime("state", name).out)["pid"]
    assert open(f"/proc/{pid}/cgroup").read() == open("/proc/self/cgroup").read()
    assert str(pid) in t.runtime("ps", "--format", "json", name).out  # found by descent
    for verb in (["pause"], ["events", "--stats"]):
        result = t.runtime(*verb, name, check=False)
        assert result.rc == 1 and "cgroup" in result.err, (verb, result)
    assert t.runtime("exec", name, "sh", "-c", "exit 4", check=False).rc == 4


# -- events -------------------------------------------------------------------------------------------------------


def test_events_stats(t):
    """events --stats has runc's fields: processor, memory with its raw counters, pids, block I/O by device"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    name = running(t, overrides={"linux": {"resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}}})
    event = json.loads(t.runtime("events", "--stats", name).out)
    data = event["data"]
    assert (event["type"], event["id"]) == ("stats", name)
    assert data["cpu"]["usage"]["total"] > 0 and {"kernel", "user"} <= data["cpu"]["usage"].keys()
    assert {"periods", "throttledPeriods", "throttledTime"} == data["cpu"]["throttling"].keys()
    if t.cgroup_mode() != "v2":
        assert len(data["cpu"]["usage"]["percpu"]) >= os.cpu_count()
        assert data["cpuset"]["cpus"] and data["memory"]["kernelTCP"]["failcnt"] == 0
    assert data["memory"]["usage"]["limit"] == 64 << 20 and 0 < data["memory"]["usage"]["usage"] < 64 << 20, data["memory"]
    assert "pgfault" in data["memory"]["raw"] and data["pids"]["limit"] == 50 and data["pids"]["current"] >= 1
    assert isinstance(data["blkio"]["ioServiceBytesRecursive"], list) and isinstance(data["hugetlb"], dict)


test_events_stats.vm = True  # what v2 has other files for


def test_events_watch(t):
    """events prints every interval, tells of a lack of memory, and ends with the container"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    grow = "until [ -e /tmp/go ]; do sleep 0.05; done; sh -c 'x=a; while :; do x=$x$x; done'; sleep 0.5"
    name = running(t, args=["sh", "-c", grow], overrides={"linux": {"resources": {"memory": {"limit": 16 << 20}}}})
    watching = t.start(t.runtime_args("events", "--interval", "100ms", name), stdout=subprocess.PIPE)
    first = [json.loads(watching.stdout.readline())["type"] for _ in range(2)]
    t.runtime("exec", name, "touch", "/tmp/go")
    rest, _ = watching.communicate(timeout=60)
    types = {json.loads(line)["type"] for line in rest.splitlines()}
    assert first == ["stats", "stats"] and "oom" in types and watching.returncode == 0, rest
    for wrong in ("0", "-1s", "5x", "", "1e3s", "99999h"):
        result = t.runtime("events", "--interval", wrong, name, check=False)
        assert result.rc == 1 and "interval" in result.err, (wrong, result)


test_events_watch.vm = True
