# SPDX-License-Identifier: Apache-2.0
"""What callers and scripts of runc and crun read and compare: the words of errors, the order of fields, what is done without being asked."""

import json

VM = False  # nothing here depends on the kind of control groups, and an emulated processor is slow


def run(t, config=None, args=("true",), **kw):
    return t.runtime("run", "-b", t.bundle(config or {}, args=list(args), **kw), t.id(), check=False)


def test_hook_errors(t):
    """a hook that fails is named with its kind and its number, a killed one with the signal's name"""
    for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart"):
        failed = run(t, {"hooks": {kind: [{"path": "/bin/true"}, {"path": "/bin/false"}]}})
        assert failed.rc == 1 and f"error running {kind} hook #1: /bin/false failed with status 1" in failed.err, failed


def test_filter_of_hooks(t):
    """startContainer hooks are programs of the container: its seccomp filter is theirs, with and without noNewPrivileges"""
    filter = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]}
    hook = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "mkdir /dev/shm/made"]}]}
    for no_new_privileges in (True, False):
        killed = run(t, {"hooks": hook, "linux": {"seccomp": filter}, "process": {"noNewPrivileges": no_new_privileges}})
        assert killed.rc == 1 and "error running startContainer hook #0" in killed.err and "bad system call" in killed.err, killed


def test_environment(t):
    """of several entries with one name the last counts, and an empty HOME is as none"""
    def seen(env):
        return sorted(run(t, args=["env"], edit=lambda c: c["process"].update(env=["PATH=/bin", *env])).out.split())
    assert seen(["ONE=two", "ONE="]) == ["HOME=/root", "ONE=", "PATH=/bin"]
    assert seen(["ONE=two", "ONE=three", "ONE2=x", "ON=y"]) == ["HOME=/root", "ON=y", "ONE2=x", "ONE=three", "PATH=/bin"]
    assert seen(["HOME=/override", "HOME="]) == ["HOME=/root", "PATH=/bin"]
    assert seen(["HOME=", "HOME=/override"]) == ["HOME=/override", "PATH=/bin"]


def test_tmpfs_mode(t):
    """a tmpfs without a mode has that of the directory that it covers; its own mode wins"""
    for options, mode in (([], "6711"), (["mode=0410"], "410"), (["size=64k", "ro"], "6711")):
        bundle = t.bundle({}, args=["stat", "-c", "%a", "/covered", "/new"], edit=lambda c: c["mounts"].extend(
            [{"destination": d, "type": "tmpfs", "source": "tmpfs", "options": options} for d in ("/covered", "/new")]))
        (bundle / "rootfs/covered").mkdir()
        (bundle / "rootfs/covered").chmod(0o6711)
        assert t.runtime("run", "-b", bundle, t.id()).out.split() == [mode, "410" if options == ["mode=0410"] else "1777"], options


def test_words(t):
    """list's JSON is one line in runc's order; what exec refuses is said in the words that callers look for"""
    name, bundle = t.id(), t.bundle(args=["sleep", "1000"])
    (bundle / "rootfs/script").write_text("#!/no/interpreter\n")
    (bundle / "rootfs/script").chmod(0o755)
    t.defer(t.runtime, "delete", "--force", name)
    with open("/dev/null", "w") as null:
        t.runtime("run", "--detach", "-b", bundle, name, stdout=null, stderr=null)
    listed = t.runtime("list", "-f", "json").out
    assert listed.count("\n") == 1 and list(json.loads(listed)[0])[:7] == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created"]
    assert list(json.loads(t.runtime("state", name).out))[:4] == ["ociVersion", "id", "pid", "status"]
    for args, words in ((["--cgroup", "..", name, "true"], "bad sub cgroup path"), (["--cgroup", "whaaat:/", name, "true"], "unknown controller "),
                        (["--cgroup", "nonexistent", name, "true"], " adding pid "), (["--cgroup", "nonexistent", name, "true"], ": no such file or directory"),
                        ([name, "/script"], "exec /script: no such file or directory"), (["nobody", "true"], "does not exist")):
        if t.cgroup_mode() == "none" and "--cgroup" in args:
            continue
        refused = t.runtime("exec", *args, check=False)
        assert refused.rc == 255 and words in refused.err and refused.err.count("\n") == 1, (args, refused)
    if t.cgroup_mode() in ("v1", "hybrid"):
        refused = run(t, {"linux": {"resources": {"unified": {"memory.min": "131072"}}}})
        assert refused.rc == 1 and "unified.memory.min" in refused.err, refused


def test_debug_log(t):
    """--debug tells the steps in runc's words, on stderr or in the log, as text and as JSON"""
    bundle = t.bundle(args=["true"])
    shown = t.runtime("--debug", "run", "-b", bundle, t.id(), text=True)
    assert shown.out == "" and "level=debug" in shown.err and "nsexec started" in shown.err and "child process in init()" in shown.err, shown
    for flags, mark in ((["--log-format", "text"], "level=debug"), (["--log-format", "json"], '"level":"debug"')):
        log = t.tmp / flags[1]
        quiet = t.runtime("--log", log, *flags, "--debug", "run", "-b", bundle, t.id())
        assert quiet.err == "" and mark in log.read_text() and "nsexec container setup" in log.read_text(), (quiet, log.read_text())
    filtered = {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}}}
    assert 'msg="seccomp filter flags: 2"' in t.runtime("--debug", "run", "-b", t.bundle(filtered), t.id(), check=False).err
