# SPDX-License-Identifier: Apache-2.0
"""havre-runtime in runc's place: what runc's users rely on where the specification says nothing, or less."""
import json
import subprocess


def run(t, args=("true",), edit=None, rootfs=None, **kw):
    return t.runtime("run", "-b", t.bundle(args=list(args), edit=edit, rootfs=rootfs), t.id(), check=False, **kw)


def running(t, overrides=None):
    name = t.id()
    t.runtime("run", "-d", "-b", t.bundle(overrides, args=["sleep", "1000"]), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.defer(t.runtime, "delete", "--force", name)
    return name


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
