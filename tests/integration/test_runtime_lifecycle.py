# SPDX-License-Identifier: Apache-2.0
"""havre-runtime's commands and the life cycle of a container, as runc's callers use them."""

import json
import os
import signal
import socket
import subprocess

SLEEP = ["sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"]


def status(t, name):
    return json.loads(t.runtime("state", name).out)["status"]


def detached(t, *args):
    """Runs a command whose container outlives it: it keeps the output's files open, so these are not pipes."""
    with open(t.tmp / "detached.out", "w") as out, open(t.tmp / "detached.err", "w") as err:
        result = t.runtime(*args, check=False, stdout=out, stderr=err)
    result.err = (t.tmp / "detached.err").read_text()
    assert result.rc == 0, result


def running(t, **kw):
    """A started container; it is removed at the end."""
    name = t.id()
    kw.setdefault("args", SLEEP)
    bundle = t.bundle(**kw)
    t.defer(t.runtime, "delete", "--force", name)
    detached(t, "run", "--detach", "--bundle", bundle, name)
    return name


def test_run_exit_status(t):
    """run answers the program's exit status, 128 plus the number of a signal, and leaves nothing"""
    for code in (0, 7):
        bundle = t.bundle(args=["sh", "-c", f"exit {code}"])
        assert t.runtime("run", "-b", bundle, t.id(), check=False).rc == code
    bundle = t.bundle(args=["sh", "-c", "sh -c 'kill -9 $$'; exit $?"])
    assert t.runtime("run", "-b", bundle, t.id(), check=False).rc == 137
    assert os.listdir(t.runtime_root) == []


def test_create_start_kill_delete(t):
    """every verb in order, with the status after each, and the refusals in between"""
    name, bundle = t.id(), t.bundle(args=SLEEP)
    t.defer(t.runtime, "delete", "--force", name)
    pid_file = t.tmp / "pid"
    detached(t, "create", "--bundle", bundle, "--pid-file", pid_file, name)
    state = json.loads(t.runtime("state", name).out)
    assert state["status"] == "created" and state["id"] == name and state["bundle"] == str(bundle), state
    assert state["pid"] == int(pid_file.read_text()) and state["rootfs"] == str(bundle / "rootfs")
    again = t.runtime("create", "--bundle", bundle, name, check=False)
    assert again.rc == 1 and "already exists" in again.err
    t.runtime("start", name)
    assert status(t, name) == "running"
    twice = t.runtime("start", name, check=False)
    assert twice.rc == 1 and "running" in twice.err
    refused = t.runtime("delete", name, check=False)
    assert refused.rc == 1 and "not stopped" in refused.err
    t.runtime("kill", name, "TERM")
    t.wait_for(lambda: status(t, name) == "stopped")
    assert json.loads(t.runtime("state", name).out)["pid"] == 0
    late = t.runtime("kill", name, "9", check=False)
    assert late.rc == 1 and "container not running" in late.err
    t.runtime("delete", name)
    gone = t.runtime("state", name, check=False)
    assert gone.rc == 1 and "does not exist" in gone.err
    assert t.runtime("delete", name, check=False).rc == 1
    t.runtime("delete", "--force", name)


def test_delete_created(t):
    """a container that was never started is deleted without force, as runc does"""
    name = t.id()
    detached(t, "create", "-b", t.bundle(args=SLEEP), name)
    t.runtime("delete", name)
    assert os.listdir(t.runtime_root) == []


def test_state_looks_do_not_start(t):
    """asking for the state of a waiting container, many times, does not disturb it"""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    detached(t, "create", "-b", t.bundle(args=["sh", "-c", "exit 3"]), name)
    for _ in range(10):
        assert status(t, name) == "created"
    t.runtime("start", name)


def test_list(t):
    """list prints a table, ids, or JSON"""
    name = running(t)
    assert name in t.runtime("list").out and "running" in t.runtime("list").out
    assert t.runtime("list", "-q").out.split() == [name]
    listed = json.loads(t.runtime("list", "--format", "json").out)
    assert [c["id"] for c in listed] == [name] and listed[0]["status"] == "running"


def test_pause_resume(t):
    """pause freezes, exec is refused meanwhile, resume lets it go on; a paused one can be killed"""
    name = running(t)
    t.runtime("pause", name)
    assert status(t, name) == "paused"
    refused = t.runtime("exec", name, "true", check=False)
    assert refused.rc == 255 and "paused" in refused.err
    t.runtime("resume", name)
    assert status(t, name) == "running"
    t.runtime("pause", name)
    t.runtime("kill", name, "KILL")
    t.wait_for(lambda: status(t, name) == "stopped")


def test_ps(t):
    """ps answers an array of pids in JSON, a table otherwise"""
    t.need("ps")
    name = running(t)
    pid = json.loads(t.runtime("state", name).out)["pid"]
    assert pid in json.loads(t.runtime("ps", "--format", "json", name).out)
    assert str(pid) in t.runtime("ps", name).out


def test_update(t):
    """update changes limits by flags and by a document on stdin; a wrong document is refused by name"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    name = running(t)
    t.runtime("update", "--pids-limit", "77", name)
    t.runtime("update", "--resources", "-", name, input=json.dumps({"pids": {"limit": 78}}))
    stats = json.loads(t.runtime("events", "--stats", name).out)
    assert stats["type"] == "stats" and stats["data"]["pids"]["limit"] == 78, stats
    bad = t.runtime("update", "-r", "-", name, input='{"memory":{"limit":"x"}}', check=False)
    assert bad.rc == 1 and "memory.limit" in bad.err


def test_exec(t):
    """exec joins the container: its namespaces, its user by number, its environment, its exit status"""
    name = running(t, overrides={"process": {"capabilities": {s: ["CAP_KILL"] for s in ("bounding", "effective", "permitted")}}})
    assert t.runtime("exec", name, "sh", "-c", "exit 9", check=False).rc == 9
    assert t.runtime("exec", "-u", "5:6", name, "id").out.startswith("uid=5 gid=6")
    assert "A=b" in t.runtime("exec", "-e", "A=b", name, "env").out.split()
    assert t.runtime("exec", "--cwd", "/tmp", name, "pwd").out.strip() == "/tmp"
    assert t.runtime("exec", name, "cat", input="over stdin").out == "over stdin"
    assert "1 root" in t.runtime("exec", name, "ps").out
    pid = json.loads(t.runtime("state", name).out)["pid"]
    for ns in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert t.runtime("exec", name, "readlink", f"/proc/self/ns/{ns}").out.strip() == os.readlink(f"/proc/{pid}/ns/{ns}"), ns


def test_exec_errors(t):
    """a missing program answers 255 with the words that callers look for, and the container lives on"""
    name = running(t)
    missing = t.runtime("exec", name, "nonexistent", check=False)
    assert missing.rc == 255 and "executable file not found in $PATH" in missing.err
    missing = t.runtime("exec", name, "/nonexistent", check=False)
    assert missing.rc == 255 and "no such file or directory" in missing.err.lower()
    denied = t.runtime("exec", name, "/etc/passwd", check=False)
    assert denied.rc == 255 and "permission denied" in denied.err.lower()
    assert status(t, name) == "running"


def test_exec_process_file(t):
    """exec --process takes the specification's process object, --detach leaves it, --pid-file names it"""
    name = running(t)
    process = {"args": ["sh", "-c", "echo $X > /tmp/out; exec sleep 60"], "cwd": "/", "env": ["PATH=/bin", "X=42"],
               "user": {"uid": 0, "gid": 0}}
    (t.tmp / "p.json").write_text(json.dumps(process))
    detached(t, "exec", "--process", t.tmp / "p.json", "--detach", "--pid-file", t.tmp / "pid", name)
    pid = int((t.tmp / "pid").read_text())
    t.wait_for(lambda: t.runtime("exec", name, "cat", "/tmp/out", check=False).out.strip() == "42")
    assert pid in json.loads(t.runtime("ps", "-f", "json", name).out)
    t.runtime("kill", "--all", name, "KILL")
    t.wait_for(lambda: status(t, name) == "stopped")


def test_program_not_found(t):
    """create refuses a program that is not there, and leaves nothing"""
    result = t.runtime("run", "-b", t.bundle(args=["nonexistent"]), t.id(), check=False)
    assert result.rc == 1 and 'exec: "nonexistent": executable file not found in $PATH' in result.err
    assert os.listdir(t.runtime_root) == []


def test_log_json(t):
    """errors go to the log as JSON lines and to stderr as text: what containerd and conmon read"""
    log = t.tmp / "log.json"
    result = t.runtime("--log", log, "--log-format", "json", "state", "nope", check=False)
    line = json.loads(log.read_text().splitlines()[-1])
    assert result.rc == 1 and line["level"] == "error" and "does not exist" in line["msg"] and "time" in line
    assert "does not exist" in result.err


def test_forwarded_signals(t):
    """signals to a run in the foreground reach the container"""
    name = t.id()
    process = t.start(t.runtime_args("run", "-b", t.bundle(args=SLEEP), name))
    t.defer(t.runtime, "delete", "--force", name)
    # Until its trap is set, process 1 does not take the signal: SIGTERM is 0x4000 among the caught ones.
    t.wait_for(lambda: t.runtime("exec", name, "grep", "-q", "^SigCgt:.*4...$", "/proc/1/status", check=False).rc == 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 5


def test_preserve_fds(t):
    """only the fds that are asked for stay open"""
    a, b = os.pipe()
    t.defer(os.close, a)
    bundle = t.bundle(args=["sh", "-c", "ls /proc/self/fd | wc -l; echo through >&3"])
    code = "import os,sys\nos.dup2(int(sys.argv[1]),3)\nos.dup2(3,9)\nos.execv(sys.argv[2],sys.argv[2:])"
    args = ["python3", "-c", code, str(b), *t.runtime_args("run", "--preserve-fds", "1", "-b", bundle, t.id())]
    result = t.run(args, pass_fds=(b,))
    os.close(b)
    assert os.read(a, 100) == b"through\n"
    assert result.out.strip() == "5", result.out  # 0 1 2 3, and the directory being listed


def test_preserve_missing_fd(t):
    """numbers that nobody opened are no error, as with crun, and nothing of the runtime's own is under them: in run and in exec"""
    names, bundle = t.id(), t.bundle(args=["sleep", "100"])
    t.defer(t.runtime, "delete", "--force", names)
    detached(t, "run", "-d", "--preserve-fds", "40", "-b", bundle, names)
    assert t.runtime("exec", names, "ls", "/proc/1/fd").out.split() == ["0", "1", "2"]
    for n in ("1", "3", "20"):
        assert t.runtime("exec", "--preserve-fds", n, names, "ls", "/proc/self/fd").out.split() == ["0", "1", "2", "3"]  # 3: the directory being listed


def test_console_socket(t):
    """create with a terminal sends its master over the console socket"""
    path, name = t.tmp / "console.sock", t.id()
    listener = socket.socket(socket.AF_UNIX)
    t.defer(listener.close)
    listener.bind(str(path))
    listener.listen()
    bundle = t.bundle({"process": {"terminal": True, "consoleSize": {"height": 33, "width": 99}}},
                      args=["sh", "-c", "tty; stty size; test -c /dev/console && echo console"])
    t.defer(t.runtime, "delete", "--force", name)
    detached(t, "create", "-b", bundle, "--console-socket", path, name)
    connection, _ = listener.accept()
    t.defer(connection.close)
    message, fds, _, _ = socket.recv_fds(connection, 100, 1)
    t.defer(os.close, fds[0])
    assert message == b"/dev/ptmx"
    t.runtime("start", name)
    output = b""
    while b"console" not in output.split(b"tty")[-1] and b"\nconsole" not in output:
        output += os.read(fds[0], 1000)
    assert b"/dev/pts/0" in output and b"33 99" in output, output


def test_console_socket_needed(t):
    """a terminal without anybody to take it is an error, and so is a console socket without a terminal"""
    bundle = t.bundle({"process": {"terminal": True}})
    result = t.runtime("create", "-b", bundle, t.id(), check=False)
    assert result.rc == 1 and "console socket" in result.err


def test_run_terminal(t):
    """run on a terminal passes it through, with its size"""
    bundle = t.bundle({"process": {"terminal": True}}, args=["sh", "-c", "stty size; read x; echo got $x; exit 4"])
    terminal = t.terminal(t.runtime_args("run", "-b", bundle, t.id()), rows=31, columns=91)
    terminal.expect("31 91")
    terminal.send("hello\n")
    terminal.expect("got hello")
    assert terminal.wait() == 4


def test_exec_terminal(t):
    """exec --tty gives the process a terminal of the container's"""
    name = running(t)
    terminal = t.terminal(t.runtime_args("exec", "-t", name, "sh", "-c", "tty; stty size; exit 6"), rows=32, columns=92)
    terminal.expect("/dev/pts/[0-9]+")
    terminal.expect("32 92")
    assert terminal.wait() == 6


def test_features(t):
    """features lists what the specification asks for"""
    features = json.loads(t.runtime("features").out)
    assert features["ociVersionMax"] >= "1.3.0" and "user" in features["linux"]["namespaces"]
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] and "rro" in features["mountOptions"]
    assert "startContainer" in features["hooks"] and "CAP_CHECKPOINT_RESTORE" in features["linux"]["capabilities"]


def test_spec(t):
    """spec writes a configuration that runs, and does not overwrite one"""
    t.runtime("spec", cwd=t.tmp)
    again = t.runtime("spec", cwd=t.tmp, check=False)
    assert again.rc == 1 and "exists" in again.err
    t.runtime("spec", "--rootless", "--bundle", t.tmp / "..", check=False)
    spec = json.loads((t.tmp / "config.json").read_text())
    assert spec["process"]["args"] == ["sh"] and spec["linux"]["namespaces"]


def test_version_and_help(t):
    """--version says what dockerd looks for; every command has help; a mistyped one is recognised"""
    out = t.run([t.bin / "havre-runtime", "--version"]).out
    assert "version" in out and "commit:" in out
    for command in ("create", "start", "run", "state", "kill", "delete", "exec", "list", "spec", "pause", "resume", "ps",
                    "update", "features", "events"):
        assert "Usage" in t.runtime(command, "--help").out
    typo = t.runtime("strat", check=False)
    assert typo.rc != 0 and "start" in typo.err


def test_bad_ids(t):
    """ids that are paths, empty or too long are refused"""
    for bad in ("", ".", "..", ".hidden", "a/b", "../x", "x" * 300, "a b"):
        result = t.runtime("state", bad, check=False)
        assert result.rc == 1 and "invalid container ID format" in result.err, result


def test_two_creates_at_once(t):
    """of two creates of one id, one wins, and the other says why"""
    name, bundle = t.id(), t.bundle(args=SLEEP)
    t.defer(t.runtime, "delete", "--force", name)
    both = [t.start(t.runtime_args("create", "-b", bundle, name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(p.wait(20) for p in both) == [0, 1]
    assert status(t, name) == "created"


def test_regex(t):
    """kill and delete take a regular expression"""
    first, second = running(t), running(t)
    t.runtime("kill", "--regex", "^" + first[:-1], "KILL")
    t.wait_for(lambda: status(t, first) == "stopped" and status(t, second) == "stopped")
    t.runtime("delete", "--regex", "^" + first[:-1])
    assert os.listdir(t.runtime_root) == []
