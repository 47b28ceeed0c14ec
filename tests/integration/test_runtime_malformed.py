# SPDX-License-Identifier: Apache-2.0
"""Malformed configurations: each is refused with the full path of the property that is wrong, exit status 1, and leaves nothing."""

import copy
import json
import os

VM = False  # nothing here depends on the kind of control groups, and an emulated processor is slow

LONG = "x" * 5000
NUL = "a\0b"
MAP = {"containerID": 0, "hostID": 100000, "size": 10}
MOUNT = {"type": "mount"}

# What is set (dots; a number is an index, "+" appends; None removes), its value, and the property that the error must name.
WRONG = [
    # the document
    ("ociVersion", None, "ociVersion"),
    ("ociVersion", 1, "ociVersion"),
    ("ociVersion", "banana", "ociVersion"),
    ("ociVersion", "1.0", "ociVersion"),
    ("ociVersion", "1.01.0", "ociVersion"),
    ("ociVersion", "2.0.0", "ociVersion"),
    ("ociVersion", "", "ociVersion"),
    ("hostname", 5, "hostname"),
    ("hostname", "h" * 65, "hostname"),
    ("hostname", NUL, "hostname"),
    ("domainname", ["a"], "domainname"),
    ("domainname", "d" * 65, "domainname"),
    ("annotations", [], "annotations"),
    ("annotations", {"": "x"}, "annotations"),
    ("annotations", {"a.b": 1}, "annotations.a.b"),
    ("root", [], "root"),
    ("root.path", None, "root.path"),
    ("root.path", "", "root.path"),
    ("root.path", 1, "root.path"),
    ("root.path", "/nonexistent", "root.path"),
    ("root.path", "config.json", "root.path"),
    ("root.path", LONG, "root.path"),
    ("root.readonly", "true", "root.readonly"),
    ("vm", {"kernel": {"path": "/x"}}, "vm"),
    ("linux", None, "linux"),
    ("linux", "x", "linux"),
    # process
    ("process", [], "process"),
    ("process.args", [], "process.args"),
    ("process.args", "sh", "process.args"),
    ("process.args", ["sh", 5], "process.args[1]"),
    ("process.args", ["sh", None], "process.args[1]"),
    ("process.args", [""], "process.args[0]"),
    ("process.args", ["sh", NUL], "process.args[1]"),
    ("process.cwd", None, "process.cwd"),
    ("process.cwd", "tmp", "process.cwd"),
    ("process.cwd", NUL, "process.cwd"),
    ("process.env", {"A": "b"}, "process.env"),
    ("process.env", ["A=b", "NOEQUALS"], "process.env[1]"),
    ("process.env", ["=x"], "process.env[0]"),
    ("process.env", ["A=\0"], "process.env[0]"),
    ("process.terminal", 1, "process.terminal"),
    ("process.noNewPrivileges", "yes", "process.noNewPrivileges"),
    ("process.user", "root", "process.user"),
    ("process.user.uid", -1, "process.user.uid"),
    ("process.user.uid", "0", "process.user.uid"),
    ("process.user.uid", 4294967295, "process.user.uid"),
    ("process.user.uid", 4294967296, "process.user.uid"),
    ("process.user.gid", 4294967295, "process.user.gid"),
    ("process.user.gid", 1.5, "process.user.gid"),
    ("process.user.umask", 0o1000, "process.user.umask"),
    ("process.user.additionalGids", [1, -2], "process.user.additionalGids[1]"),
    ("process.user.additionalGids", 5, "process.user.additionalGids"),
    ("process.capabilities", ["CAP_KILL"], "process.capabilities"),
    ("process.capabilities.bounding", "CAP_KILL", "process.capabilities.bounding"),
    ("process.capabilities.ambient", [3], "process.capabilities.ambient[0]"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_X", "soft": 0, "hard": 0}], "process.rlimits[1].type"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2, "process.rlimits[1].type"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}], "process.rlimits[0].soft"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}], "process.rlimits[0].soft"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 1}], "process.rlimits[0].hard"),
    ("process.rlimits", [{"soft": 1, "hard": 1}], "process.rlimits[0].type"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 0, "hard": 18446744073709551616}], "process.rlimits[0].hard"),
    ("process.rlimits", [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 20, "process.rlimits"),
    ("process.oomScoreAdj", 1001, "process.oomScoreAdj"),
    ("process.oomScoreAdj", -1001, "process.oomScoreAdj"),
    ("process.oomScoreAdj", "5", "process.oomScoreAdj"),
    ("process.apparmorProfile", 5, "process.apparmorProfile"),
    ("process.selinuxLabel", ["x"], "process.selinuxLabel"),
    ("process.scheduler", {}, "process.scheduler.policy"),
    ("process.scheduler", {"policy": "SCHED_FAST"}, "process.scheduler.policy"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "priority": 5}, "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_FIFO"}, "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_FIFO", "priority": 100}, "process.scheduler.priority"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}, "process.scheduler.flags[0]"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "runtime": 5}, "process.scheduler.runtime"),
    ("process.scheduler", {"policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 3}, "process.scheduler.runtime"),
    ("process.scheduler", {"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 4000, "period": 3000}, "process.scheduler.deadline"),
    ("process.ioPriority", {"priority": 1}, "process.ioPriority.class"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_NONE", "priority": 1}, "process.ioPriority.class"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, "process.ioPriority.priority"),
    ("process.execCPUAffinity", {"initial": "a"}, "process.execCPUAffinity.initial"),
    ("process.execCPUAffinity", {"final": "3-1"}, "process.execCPUAffinity.final"),
    ("process.execCPUAffinity", {"final": "5000"}, "process.execCPUAffinity.final"),
    ("process.execCPUAffinity", {"final": "0-1-2"}, "process.execCPUAffinity.final"),
    # mounts
    ("mounts", {}, "mounts"),
    ("mounts.+", "x", "mounts[7]"),
    ("mounts.+", {"type": "tmpfs"}, "mounts[7].destination"),
    ("mounts.+", {"destination": "", "type": "tmpfs"}, "mounts[7].destination"),
    ("mounts.+", {"destination": "/m"}, "mounts[7].type"),
    ("mounts.+", {"destination": "/m", "type": "bind"}, "mounts[7].source"),
    ("mounts.+", {"destination": "/m", "type": "tmpfs", "source": NUL}, "mounts[7].source"),
    ("mounts.+", {"destination": "/m", "type": "tmpfs", "options": "ro"}, "mounts[7].options"),
    ("mounts.+", {"destination": "/m", "type": "tmpfs", "options": ["ro", 5]}, "mounts[7].options[1]"),
    ("mounts.+", {"destination": "/m", "type": "bind", "source": "/", "options": ["bind", "idmap"]}, "mounts[7]"),
    ("mounts.+", {"destination": "/m", "type": "bind", "source": "/", "uidMappings": [MAP]}, "mounts[7].gidMappings"),
    ("mounts.+", {"destination": "/m", "type": "tmpfs", "uidMappings": [MAP], "gidMappings": [MAP]}, "mounts[7]"),
    ("mounts.+", {"destination": "/m", "type": "bind", "source": "/", "options": ["bind", "tmpcopyup"]}, "mounts[7]"),
    # hooks
    ("hooks", [], "hooks"),
    ("hooks.prestart", {}, "hooks.prestart"),
    ("hooks.createRuntime", [{}], "hooks.createRuntime[0].path"),
    ("hooks.createContainer", [{"path": "true"}], "hooks.createContainer[0].path"),
    ("hooks.startContainer", [{"path": "/x", "args": [5]}], "hooks.startContainer[0].args[0]"),
    ("hooks.poststart", [{"path": "/x", "env": "A=b"}], "hooks.poststart[0].env"),
    ("hooks.poststop", [{"path": "/x", "timeout": 0}], "hooks.poststop[0].timeout"),
    ("hooks.poststop", [{"path": "/x"}, {"path": "/x", "timeout": "1s"}], "hooks.poststop[1].timeout"),
    # linux
    ("linux.namespaces", {}, "linux.namespaces"),
    ("linux.namespaces", [{"type": "pid"}], "linux.namespaces"),
    ("linux.namespaces", [MOUNT, {}], "linux.namespaces[1].type"),
    ("linux.namespaces", [MOUNT, {"type": "magic"}], "linux.namespaces[1].type"),
    ("linux.namespaces", [MOUNT, MOUNT], "linux.namespaces[1].type"),
    ("linux.namespaces", [MOUNT, {"type": "network", "path": "run/x"}], "linux.namespaces[1].path"),
    ("linux.namespaces", [MOUNT, {"type": "uts"}, {"type": "network", "path": "/proc/self/ns/uts"}], "linux.namespaces"),
    ("linux.namespaces", [MOUNT], "hostname"),
    ("linux.uidMappings", [MAP], "linux.gidMappings"),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 0}], "linux.uidMappings[0].size"),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 0}], "linux.uidMappings[0].size"),
    ("linux.uidMappings", [{"containerID": 1, "hostID": 0, "size": 4294967295}], "linux.uidMappings[0]"),
    ("linux.gidMappings", [MAP, dict(MAP, hostID=5)], "linux.gidMappings[1]"),
    ("linux.timeOffsets", {"realtime": {"secs": 1}}, "linux.timeOffsets.realtime"),
    ("linux.timeOffsets", {"boottime": {"nanosecs": 1000000000}}, "linux.timeOffsets.boottime.nanosecs"),
    ("linux.timeOffsets", {"boottime": {"secs": 1}}, "linux.timeOffsets"),
    ("linux.devices", [{"type": "c", "major": 1, "minor": 3}], "linux.devices[0].path"),
    ("linux.devices", [{"path": "dev/x", "type": "c", "major": 1, "minor": 3}], "linux.devices[0].path"),
    ("linux.devices", [{"path": "/x", "type": "char", "major": 1, "minor": 3}], "linux.devices[0].type"),
    ("linux.devices", [{"path": "/x", "type": "b", "major": 1}], "linux.devices[0].minor"),
    ("linux.devices", [{"path": "/x", "type": "b", "major": 4096, "minor": 0}], "linux.devices[0].major"),
    ("linux.devices", [{"path": "/x", "type": "p", "fileMode": -1}], "linux.devices[0].fileMode"),
    ("linux.netDevices", {"eth/0": {}}, "linux.netDevices.eth/0"),
    ("linux.netDevices", {"eth0": {"name": "a b"}}, "linux.netDevices.eth0.name"),
    ("linux.netDevices", {"eth0": {"name": "x%s"}}, "linux.netDevices.eth0.name"),
    ("linux.netDevices", {"eth0": {"name": "a"}, "eth1": {"name": "a"}}, "linux.netDevices.eth1.name"),
    ("linux.netDevices", {"eth0": "eth1"}, "linux.netDevices.eth0"),
    ("linux.cgroupsPath", 5, "linux.cgroupsPath"),
    ("linux.cgroupsPath", "/a/../../b", "linux.cgroupsPath"),
    ("linux.sysctl", [], "linux.sysctl"),
    ("linux.sysctl", {"net.core.somaxconn": 5}, "linux.sysctl.net.core.somaxconn"),
    ("linux.sysctl", {"kernel.panic": "1"}, "linux.sysctl.kernel.panic"),
    ("linux.sysctl", {"net/../kernel/panic": "1"}, "linux.sysctl.net/../kernel/panic"),
    ("linux.sysctl", {"kernel.hostname": "x"}, "linux.sysctl.kernel.hostname"),
    ("linux.sysctl", {"user.max_user_namespaces": "1"}, "linux.sysctl.user.max_user_namespaces"),
    ("linux.rootfsPropagation", "both", "linux.rootfsPropagation"),
    ("linux.maskedPaths", ["/proc/kcore", "proc"], "linux.maskedPaths[1]"),
    ("linux.readonlyPaths", ["x"], "linux.readonlyPaths[0]"),
    ("linux.readonlyPaths", "/x", "linux.readonlyPaths"),
    ("linux.mountLabel", {}, "linux.mountLabel"),
    ("linux.personality", {}, "linux.personality.domain"),
    ("linux.personality", {"domain": "SVR4"}, "linux.personality.domain"),
    ("linux.personality", {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}, "linux.personality.flags"),
    ("linux.memoryPolicy", {"nodes": "0"}, "linux.memoryPolicy.mode"),
    ("linux.memoryPolicy", {"mode": "MPOL_FAST"}, "linux.memoryPolicy.mode"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND"}, "linux.memoryPolicy.nodes"),
    ("linux.memoryPolicy", {"mode": "MPOL_LOCAL", "nodes": "0"}, "linux.memoryPolicy.nodes"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0,x"}, "linux.memoryPolicy.nodes"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"]}, "linux.memoryPolicy.flags[0]"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]},
     "linux.memoryPolicy.flags"),
    ("linux.intelRdt", {"closID": "../x"}, "linux.intelRdt.closID"),
    ("linux.intelRdt", {"closID": "info"}, "linux.intelRdt.closID"),
    ("linux.intelRdt", {"memBwSchema": "L3:0=1"}, "linux.intelRdt.memBwSchema"),
    ("linux.intelRdt", {"l3CacheSchema": "x"}, "linux.intelRdt.l3CacheSchema"),
    ("linux.intelRdt", {"schemata": "L3:0=f"}, "linux.intelRdt.schemata"),
    ("linux.intelRdt", {"schemata": ["L3:0=f", "MB:0=1\nMB:1=1"]}, "linux.intelRdt.schemata[1]"),
    ("linux.intelRdt", {"enableMonitoring": 1}, "linux.intelRdt.enableMonitoring"),
    # linux.resources
    ("linux.resources", [], "linux.resources"),
    ("linux.resources.devices", [{"access": "rwm"}], "linux.resources.devices[0].allow"),
    ("linux.resources.devices", [{"allow": True, "access": "rwx"}], "linux.resources.devices[0].access"),
    ("linux.resources.devices", [{"allow": True, "type": "z"}], "linux.resources.devices[0].type"),
    ("linux.resources.memory", {"limit": "64M"}, "linux.resources.memory.limit"),
    ("linux.resources.memory", {"limit": 10 ** 30}, "linux.resources.memory.limit"),
    ("linux.resources.memory", {"swappiness": 101}, "linux.resources.memory.swappiness"),
    ("linux.resources.memory", {"limit": 1 << 26, "swap": 1 << 25}, "linux.resources.memory.swap"),
    ("linux.resources.memory", {"disableOOMKiller": 1}, "linux.resources.memory.disableOOMKiller"),
    ("linux.resources.memory", {"checkBeforeUpdate": "x"}, "linux.resources.memory.checkBeforeUpdate"),
    ("linux.resources.cpu", {"period": 5}, "linux.resources.cpu.period"),
    ("linux.resources.cpu", {"quota": 5000, "burst": 6000}, "linux.resources.cpu.burst"),
    ("linux.resources.cpu", {"idle": 2}, "linux.resources.cpu.idle"),
    ("linux.resources.cpu", {"cpus": "all"}, "linux.resources.cpu.cpus"),
    ("linux.resources.cpu", {"shares": -1}, "linux.resources.cpu.shares"),
    ("linux.resources.pids", {"limit": -2}, "linux.resources.pids.limit"),
    ("linux.resources.pids", {"limit": 1.5}, "linux.resources.pids.limit"),
    ("linux.resources.blockIO", {"weight": 5}, "linux.resources.blockIO.weight"),
    ("linux.resources.blockIO", {"weightDevice": [{"major": 8, "weight": 10}]}, "linux.resources.blockIO.weightDevice[0].minor"),
    ("linux.resources.blockIO", {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]},
     "linux.resources.blockIO.throttleReadBpsDevice[0].rate"),
    ("linux.resources.hugepageLimits", [{"pageSize": "2", "limit": 1}], "linux.resources.hugepageLimits[0].pageSize"),
    ("linux.resources.hugepageLimits", [{"pageSize": "2MB", "limit": -1}], "linux.resources.hugepageLimits[0].limit"),
    ("linux.resources.network", {"classID": -1}, "linux.resources.network.classID"),
    ("linux.resources.network", {"priorities": [{"priority": 1}]}, "linux.resources.network.priorities[0].name"),
    ("linux.resources.rdma", {"mlx5_1": {}}, "linux.resources.rdma.mlx5_1"),
    ("linux.resources.unified", {"memory.high": 5}, "linux.resources.unified.memory.high"),
    ("linux.resources.unified", {"../memory.high": "1"}, "linux.resources.unified.../memory.high"),
    # linux.seccomp
    ("linux.seccomp", {}, "linux.seccomp.defaultAction"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_X"}, "linux.seccomp.defaultAction"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["VAX"]}, "linux.seccomp.architectures[0]"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}, "linux.seccomp.flags[0]"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]}, "linux.seccomp.syscalls[0].names"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "X"}]},
     "linux.seccomp.syscalls[0].action"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]},
     "linux.seccomp.syscalls[0].args[0].index"),
    ("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}, "linux.seccomp"),
]

# Texts that are no JSON document at all: the error says so, and where.
NOT_JSON = [
    "", "   ", "null", "[]", "5", '"config"', "{", "{}", '{"ociVersion":"1.0.0",}', '{"ociVersion":"1.0.0"} x', "{'ociVersion':'1.0.0'}",
    '{"ociVersion":NaN}', '{"ociVersion":Infinity}', '{"a":' * 3000 + "1" + "}" * 3000, "[" * 100000, '{"ociVersion":"\xff"}', '{"ociVersion":"1.0.0"\0}',
    '{"ociVersion":"1.0.0\x01"}', '{"ociVersion":"\\ud800"}', '{"ociVersion":01}', '// comment\n{}', '{"ociVersion":"1.0.0","process":{"cwd":"/"',
]


def change(document, path, value):
    parts = path.split(".")
    for part in parts[:-1]:
        document = document.setdefault(part, {}) if isinstance(document, dict) else document[int(part)]
    last = parts[-1]
    if last == "+":
        document.append(value)
    elif value is None:
        document.pop(last, None)
    else:
        document[last] = value


def refused(t, bundle, text):
    (bundle / "config.json").write_bytes(text)
    result = t.runtime("run", "-b", bundle, t.id(), check=False)
    left = os.listdir(t.runtime_root)
    return result, left


def test_malformed_properties(t):
    """every wrong property is named with its full path, the exit status is 1, and nothing is left"""
    assert len(WRONG) >= 100
    bundle = t.bundle(args=["true"])
    base = json.loads((bundle / "config.json").read_text())
    assert len(base["mounts"]) == 7
    wrong = []
    for path, value, named in WRONG:
        document = copy.deepcopy(base)
        change(document, path, value)
        result, left = refused(t, bundle, json.dumps(document).encode())
        if result.rc != 1 or f"{named}: " not in result.err + " " or left or "\n" in result.err.strip():
            wrong.append(f"{path} = {str(value)[:60]}: wanted {named}, status {result.rc}, left {left}: {result.err[:300]}")
    assert not wrong, "\n".join(wrong)


test_malformed_properties.timeout = 300


def test_not_json(t):
    """what is no JSON object is refused with the name of the file, and nothing is left"""
    bundle = t.bundle(args=["true"])
    for text in NOT_JSON:
        result, left = refused(t, bundle, text.encode("latin-1"))
        assert result.rc == 1 and "config.json" in result.err and not left, (text[:80], result)
    (bundle / "config.json").unlink()
    assert "config.json" in t.runtime("run", "-b", bundle, t.id(), check=False).err
    (bundle / "config.json").mkdir()
    assert "config.json" in t.runtime("run", "-b", bundle, t.id(), check=False).err
