# SPDX-License-Identifier: Apache-2.0
"""havre-runtime in runc's place: what runc's users rely on where the specification says nothing, or less."""
import json
import os
import signal
import subprocess


def run(t, args=("true",), edit=None, rootfs=None, **kw):
    return t.runtime("run", "-b", t.bundle(args=list(args), edit=edit, rootfs=rootfs), t.id(), check=False, **kw)


def running(t, overrides=None):
    name = t.id()
    t.runtime("run", "-d", "-b", t.bundle(overrides, args=["sleep", "1000"]), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.defer(t.runtime, "delete", "--force", name)
    return name


def alive(pid):
    try:
        return "Z" not in open(f"/proc/{pid}/stat").read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def linux(**properties):
    return lambda spec: spec["linux"].update(properties)


def test_words(t):
    """the words that runc's callers look for, each beside the property it is about"""
    def policy(**p):
        return linux(memoryPolicy=p)

    def agent(path, syscall):
        return linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "syscalls": [{"names": [syscall], "action": "SCMP_ACT_NOTIFY"}]})

    def host_network(spec):
        spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "network"]
        spec["linux"]["netDevices"] = {"none0": {}}

    def domain(spec):
        spec["domainname"] = "one"
        spec["linux"]["sysctl"] = {"kernel.domainname": "two"}
    rootfs = t.busybox_rootfs()
    for edit, where, words in (
            (policy(mode="INTERLEAVE", nodes="0"), "linux.memoryPolicy.mode", "invalid memory policy mode"),
            (policy(nodes="0-7"), "linux.memoryPolicy.mode", "invalid memory policy mode"),
            (policy(mode="MPOL_PREFERRED", nodes="0", flags=["bad"]), "linux.memoryPolicy.flags[0]", "invalid memory policy flag"),
            (policy(mode="MPOL_BIND", nodes="0-9876543210"), "linux.memoryPolicy.nodes", "invalid memory policy node"),
            (policy(mode="MPOL_DEFAULT", nodes="0"), "linux.memoryPolicy.nodes", "invalid argument"),
            (host_network, "linux.netDevices", "unable to move network devices without a NET namespace"),
            (agent("/nonexistent", "write"), "names[0]", "SCMP_ACT_NOTIFY cannot be used for the write syscall"),
            (agent("/nonexistent", "mkdir"), "linux.seccomp.listenerPath", "failed to connect with seccomp agent"),
            (domain, "linux.sysctl", 'conflicts with the OCI "domainname" field')):
        result = run(t, edit=edit, rootfs=rootfs)
        assert result.rc == 1 and where in result.err and words in result.err, (words, result)
    (rootfs / "proc").rmdir()
    (rootfs / "proc").symlink_to("/symlink")
    result = run(t, rootfs=rootfs)
    assert result.rc == 1 and "must be mounted on ordinary directory" in result.err, result


def test_accepted(t):
    """an empty memory policy is none, and a sysctl may say again what domainname says"""
    def edit(spec):
        spec["domainname"] = "one"
        spec["linux"].update(memoryPolicy={}, sysctl={"kernel.domainname": "one"})
    assert run(t, ["cat", "/proc/sys/kernel/domainname"], edit).out == "one\n"


def test_scheduler_reasons(t):
    """why the kernel refuses a policy: it says EPERM for all of it"""
    if t.cgroup_mode() == "none" or len(open("/proc/cpuinfo").read().split("\nprocessor")) < 2:
        t.skip("needs cgroups and two processors")

    def edit(spec):
        spec["process"]["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 42000, "deadline": 1000000, "period": 1000000}
        spec["linux"]["resources"] = {"cpu": {"cpus": "0"}}
    result = run(t, edit=edit)
    assert result.rc == 1 and "process scheduler can't be used together with AllowedCPUs" in result.err, result


def test_update_names_in_any_case(t):
    """a document for update has its names in any case, as Go reads them; both spellings are one object; keys of unified are files' names"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    name = running(t)

    def limit():
        return json.loads(t.runtime("events", "--stats", name).out)["data"]["pids"]["limit"]
    t.runtime("update", "-r", "-", name, input='{"PIDS": {"Limit": 61}, "CPU": {"Shares": 200}, "Devices": []}')
    assert limit() == 61
    t.runtime("update", "-r", "-", name, input='{"cpu": {"shares": 100}, "Cpu": {"PERIOD": 50000}, "Pids": {"lIMIT": 62}}')
    assert limit() == 62
    wrong = t.runtime("update", "-r", "-", name, input='{"MEMORY": {"LIMIT": "x"}}', check=False)
    assert wrong.rc == 1 and "memory.limit" in wrong.err, wrong
    if t.cgroup_mode() == "v2":
        t.runtime("update", "-r", "-", name, input='{"Unified": {"pids.max": "63"}}')
        assert limit() == 63
        wrong = t.runtime("update", "-r", "-", name, input='{"unified": {"PIDS.MAX": "64"}}', check=False)
        assert wrong.rc == 1 and "PIDS" in wrong.err, wrong


def test_exec_into_several_groups(t):
    """exec --cgroup once for each controller, the last that names one counts; the others stay in the container's group"""
    if t.cgroup_mode() not in ("v1", "hybrid"):
        t.skip("v2 has one hierarchy")

    def writable(spec):
        for mount in spec["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"].remove("ro")
    name = t.id()
    bundle = t.bundle(args=["sleep", "1000"], edit=writable)
    t.runtime("run", "-d", "-b", bundle, name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.defer(t.runtime, "delete", "--force", name)
    t.runtime("exec", name, "mkdir", "/sys/fs/cgroup/memory/one", "/sys/fs/cgroup/memory/two", "/sys/fs/cgroup/pids/three")

    def groups(*flags):
        text = t.runtime("exec", *flags, name, "cat", "/proc/self/cgroup").out
        return {line.split(":")[1]: line.split(":")[2] for line in text.split()}
    own = groups()
    inside = groups("--cgroup", "memory:one", "--cgroup", "pids:three", "--cgroup", "memory:two")
    assert inside["memory"] == own["memory"].rstrip("/") + "/two" and inside["pids"] == own["pids"].rstrip("/") + "/three", inside
    assert {k: v for k, v in inside.items() if k not in ("memory", "pids")} == {k: v for k, v in own.items() if k not in ("memory", "pids")}
    for group, words in (("..", "bad sub cgroup path"), ("nonexistent", " adding pid "), ("memory:nonexistent", " adding pid "), ("whaaat:/", "unknown controller ")):
        wrong = t.runtime("exec", "--cgroup", group, name, "true", check=False)
        assert wrong.rc == 255 and words in wrong.err, wrong


# None of these depends on the version of the control groups: the emulated machine is spared them.
for test in (test_words, test_accepted):
    test.vm = False
test_words.asan = False
del test


def test_read_only_tmpfs_with_things_in_it(t):
    """a read-only tmpfs is made read-only when everything in it is there: devices and pts in /dev, the targets of later mounts elsewhere"""
    def edit(spec):
        for m in spec["mounts"]:
            if m["destination"] == "/dev":
                m["options"].append("ro")
        spec["mounts"] += [{"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "nosuid"]},
                           {"destination": "/run/inner/deep", "type": "tmpfs", "source": "tmpfs"}]
    result = run(t, ["sh", "-c", "echo x > /dev/null && touch /run/inner/deep/x && grep -E ' (/dev|/run|/dev/pts) ' /proc/mounts; touch /dev/x /run/x"], edit=edit)
    shown = {line.split()[1]: line.split()[3].split(",") for line in result.out.splitlines()}
    assert set(shown) == {"/dev", "/run", "/dev/pts"} and "ro" in shown["/dev"] and "ro" in shown["/run"] and "nosuid" in shown["/run"], result
    assert "rw" in shown["/dev/pts"] and result.err.count("Read-only file system") == 2, result


def test_kill_without_a_pid_namespace(t):
    """SIGKILL ends all processes of a container that has no PID namespace of its own, also when the first one is gone; then it is not running"""
    def edit(spec):
        spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "pid"]
    for first_dies in (False, True):
        name = t.id("shared")
        t.runtime("run", "-d", "-b", t.bundle(args=["sleep", "1000"], edit=edit), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        t.defer(t.runtime, "delete", "--force", name, check=False)
        for _ in range(2):
            t.runtime("exec", "-d", name, "sleep", "1000", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        first = json.loads(t.runtime("state", name).out)["pid"]
        pids = json.loads(t.runtime("ps", "-f", "json", name).out)
        assert len(pids) == 3 and first in pids
        if first_dies:
            os.kill(first, signal.SIGKILL)
            t.wait_for(lambda: json.loads(t.runtime("state", name).out)["status"] == "stopped")
        t.runtime("kill", name, "KILL")
        t.wait_for(lambda: not any(alive(p) for p in pids))
        again = t.runtime("kill", name, "KILL", check=False)
        assert again.rc == 1 and "container not running" in again.err, again
        t.runtime("delete", name)


def test_list_is_in_order(t):
    """list has the containers by name"""
    names = sorted(t.id(letter) for letter in "cab")
    for name in reversed(names):
        t.runtime("create", "-b", t.bundle(), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        t.defer(t.runtime, "delete", "--force", name)
    assert t.runtime("list", "-q").out.split() == names


def test_filter_without_new_calls(t):
    """what a filter answers with ENOSYS is not needed behind it"""
    calls = ["close_range", "fsopen", "fsconfig", "fspick", "openat2", "open_tree", "move_mount", "mount_setattr"]
    for no_new_privileges in (False, True):
        def edit(spec, value=no_new_privileges):
            spec["process"]["noNewPrivileges"] = value
            spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}
        assert run(t, ["echo", "x"], edit=edit).out == "x\n"


def test_terminal_into_a_pipe(t):
    """what comes from the container's terminal has no carriage returns when our own output is no terminal"""
    def edit(spec):
        spec["process"]["terminal"] = True
    assert run(t, ["sh", "-c", "tty; echo x"], edit=edit).out == "/dev/pts/0\nx\n"
