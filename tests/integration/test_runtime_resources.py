# SPDX-License-Identifier: Apache-2.0
"""linux.resources: what is asked for is in the control group's files, or the error names the property."""

import json
import os
import re
from pathlib import Path

M = 1 << 20


def disk():
    """The numbers of a whole disk, or None."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/sys/block/{name}/device"):
            return tuple(int(n) for n in Path(f"/sys/block/{name}/dev").read_text().split(":"))
    return None


def cases():
    """(resources, property of an error, [(controller of v1, file, text)], [(file of v2, text)])."""
    yield {"memory": {"limit": 64 * M}}, "memory.limit", [("memory", "memory.limit_in_bytes", str(64 * M))], [("memory.max", str(64 * M))]
    yield ({"memory": {"limit": 64 * M, "swap": 128 * M}}, "memory.swap", [("memory", "memory.memsw.limit_in_bytes", str(128 * M))],
           [("memory.swap.max", str(64 * M))])
    yield {"memory": {"reservation": 32 * M}}, "memory.reservation", [("memory", "memory.soft_limit_in_bytes", str(32 * M))], [("memory.low", str(32 * M))]
    yield {"memory": {"swappiness": 10}}, "memory.swappiness", [("memory", "memory.swappiness", "10")], []
    yield {"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller", [("memory", "memory.oom_control", "oom_kill_disable 1")], []
    yield {"memory": {"kernelTCP": 16 * M}}, "memory.kernelTCP", [("memory", "memory.kmem.tcp.limit_in_bytes", str(16 * M))], []
    yield {"memory": {"kernel": 16 * M, "useHierarchy": True}}, "memory.kernel", [], []
    yield {"cpu": {"shares": 512}}, "cpu.shares", [("cpu", "cpu.shares", "512")], [("cpu.weight", "59")]
    yield ({"cpu": {"quota": 20000, "period": 50000, "burst": 10000}}, "cpu.",
           [("cpu", "cpu.cfs_quota_us", "20000"), ("cpu", "cpu.cfs_period_us", "50000"), ("cpu", "cpu.cfs_burst_us", "10000")],
           [("cpu.max", "20000 50000"), ("cpu.max.burst", "10000")])
    yield {"cpu": {"idle": 1}}, "cpu.idle", [("cpu", "cpu.idle", "1")], [("cpu.idle", "1")]
    yield {"cpu": {"realtimePeriod": 1000000, "realtimeRuntime": 1000}}, "cpu.realtime", [("cpu", "cpu.rt_runtime_us", "1000")], []
    yield {"cpu": {"cpus": "0", "mems": "0"}}, "cpu.", [("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0")], [("cpuset.cpus", "0"), ("cpuset.mems", "0")]
    yield {"pids": {"limit": 21}}, "pids.limit", [("pids", "pids.max", "21")], [("pids.max", "21")]
    yield {"blockIO": {"weight": 300, "leafWeight": 200}}, "blockIO.", [("blkio", "blkio.bfq.weight", "300")], [("io.bfq.weight", "300")]
    yield ({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * M}]}, "hugepageLimits[0]", [("hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes", str(4 * M))],
           [("hugetlb.2MB.rsvd.max", str(4 * M)), ("hugetlb.2MB.max", str(4 * M))])
    yield {"network": {"classID": 1048577}}, "network", [("net_cls", "net_cls.classid", "1048577")], []
    yield {"network": {"priorities": [{"name": "lo", "priority": 7}]}}, "network", [("net_prio", "net_prio.ifpriomap", "lo 7")], []
    yield {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 100}}}, "rdma", [], []
    yield {"unified": {"hugetlb.2MB.max": str(6 * M)}}, "unified.hugetlb.2MB.max", [], [("hugetlb.2MB.max", str(6 * M))]
    yield {"unified": {"pids.max": "23"}}, "unified.pids.max", [], [("pids.max", "23")]
    if disk():
        major, minor = disk()
        for kind, file, word in (("ReadBps", "read_bps", "rbps"), ("WriteBps", "write_bps", "wbps"), ("ReadIOPS", "read_iops", "riops"), ("WriteIOPS", "write_iops", "wiops")):
            name = f"throttle{kind}Device"
            yield ({"blockIO": {name: [{"major": major, "minor": minor, "rate": 2 * M}]}}, f"blockIO.{name}[0]",
                   [("blkio", f"blkio.throttle.{file}_device", f"{major}:{minor} {2 * M}")], [("io.max", f"{word}={2 * M}")])


def group_directories(pid):
    """The control group of a process in each mounted hierarchy: {"memory": Path, …, "": the one of v2}."""
    mounts = {}
    for line in open("/proc/self/mountinfo"):
        fields = line.split()
        rest = fields[fields.index("-") + 1:]
        if rest[0] == "cgroup2":
            mounts[""] = fields[4]
        elif rest[0] == "cgroup":
            mounts.update((option, fields[4]) for option in rest[2].split(","))
    found = {}
    for line in open(f"/proc/{pid}/cgroup"):
        _, controllers, path = line.rstrip("\n").split(":", 2)
        for c in controllers.split(","):
            if c in mounts:
                found[c] = Path(mounts[c] + path)
    return found


def test_limits_are_in_force(t):
    """each limit is in its file, whichever version of control groups has it; what the machine cannot have is an error with its name"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    wrong, in_force = [], 0
    for resources, named, v1, v2 in cases():
        name = t.id()
        log = t.tmp / "log"
        log.write_text("")
        with open(os.devnull, "w") as null:
            bundle = t.bundle({"linux": {"resources": resources}}, args=["true"])
            result = t.runtime("--log", log, "create", "-b", bundle, name, check=False, stdout=null, stderr=null)
        if result.rc:
            if f"linux.resources.{named}" not in log.read_text():
                wrong.append(f"{resources}: {log.read_text()}")
            continue
        groups = group_directories(json.loads(t.runtime("state", name).out)["pid"])
        files = [(groups[c] / f, text) for c, f, text in v1 if c in groups] + [(groups[""] / f, text) for f, text in v2 if "" in groups]
        have = [(p, re.sub(r"\s+", " ", p.read_text()), text) for p, text in files if p.exists()]
        if (v1 or v2) and have and not any(text in content for _, content, text in have):
            wrong.append(f"{resources}: {have}")
        in_force += bool(have)
        t.runtime("delete", name)
    assert not wrong, "\n".join(wrong)
    assert in_force >= 6, in_force


test_limits_are_in_force.timeout = 120


def test_check_before_update(t):
    """memory.checkBeforeUpdate: a limit below what is used is refused, and the old one stays"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name, check=False)
    with open(os.devnull, "w") as null:
        bundle = t.bundle({"linux": {"resources": {"memory": {"limit": 64 * M}}}}, args=["sh", "-c", "head -c 20000000 /dev/zero > /dev/shm/x; sleep 100"])
        if t.runtime("run", "-d", "-b", bundle, name, check=False, stdout=null, stderr=null).rc:
            t.skip("no memory controller")
    state = json.loads(t.runtime("state", name).out)
    groups = group_directories(state["pid"])
    used = groups["memory"] / "memory.usage_in_bytes" if "memory" in groups else groups[""] / "memory.current"
    limit = groups["memory"] / "memory.limit_in_bytes" if "memory" in groups else groups[""] / "memory.max"
    t.wait_for(lambda: int(used.read_text()) > 15000000)
    text = json.dumps({"memory": {"limit": 8 * M, "checkBeforeUpdate": True}})
    result = t.runtime("update", "-r", "-", name, input=text, check=False)
    assert result.rc == 1 and "linux.resources.memory.limit" in result.err, result
    assert limit.read_text().strip() == str(64 * M)
