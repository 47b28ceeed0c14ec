# SPDX-License-Identifier: Apache-2.0
"""One container with every property of docs/runtime-spec.md set at once."""

import glob
import json
import os
import re

M = 1 << 20
HOOK_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(t, where, kind):
    path = where / f"{kind}.sh"
    path.write_text("#!/bin/sh\n/bin/cat > /dev/null\necho $1 >> ${LOG}\n")
    path.chmod(0o755)
    return path


def everything(t, rootfs, source):
    """The configuration without what LEFT_OUT names."""
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    caps = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    hooks = {}
    for kind in HOOK_KINDS:
        inside = kind == "startContainer"
        path = hook(t, rootfs if inside else t.tmp, kind)
        hooks[kind] = [{"path": f"/{path.name}" if inside else str(path), "args": ["hook", kind], "timeout": 20,
                        "env": ["LOG=/tmp/log" if inside else f"LOG={t.tmp}/log", "PATH=/bin"]}]
    one_disk = [{"major": 8, "minor": 0, "rate": 1 << 30}]
    return {
        "ociVersion": "1.3.0", "hostname": "every", "domainname": "thing.test", "annotations": {"org.example.note": "x"},
        "windows": {"ignored": 1}, "solaris": {"ignored": 1}, "zos": {"ignored": 1}, "freebsd": {"ignored": 1},
        "root": {"path": str(rootfs), "readonly": False},
        "process": {
            "terminal": True, "consoleSize": {"height": 31, "width": 97}, "cwd": "/tmp", "env": ["PATH=/bin", "TERM=xterm"], "commandLine": "ignored",
            "args": ["sh", "-c", "id; pwd; umask; hostname; cat /m/f; ip -o link; stty size; cat /tmp/log; head -1 /proc/self/numa_maps; uname -m; echo end"],
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
            "capabilities": {s: caps for s in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            "noNewPrivileges": True, "oomScoreAdj": 500,
            "scheduler": {"policy": "SCHED_OTHER", "nice": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"], "priority": 0, "runtime": 0, "deadline": 0, "period": 0},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 5}, "execCPUAffinity": {"initial": "0", "final": "0"},
            "user": {"uid": 1000, "gid": 1000, "umask": 0o027, "additionalGids": [5], "username": "ignored"}},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777", "tmpcopyup"]},
            {"destination": "/m", "type": "bind", "source": str(source), "options": ["bind", "idmap", "rro", "rslave"], "uidMappings": maps, "gidMappings": maps}],
        "hooks": hooks,
        "linux": {
            "namespaces": [{"type": n} for n in ("pid", "network", "mount", "uts", "user", "cgroup", "time")] + [{"type": "ipc", "path": "/proc/self/ns/ipc"}],
            "uidMappings": maps, "gidMappings": maps,
            "timeOffsets": {clock: {"secs": 1000, "nanosecs": 5} for clock in ("monotonic", "boottime")},
            "devices": [{"path": "/dev/pipe", "type": "p", "fileMode": 0o666, "uid": 3, "gid": 4, "major": 0, "minor": 0}],
            "netDevices": {"veth6": {"name": "inner6"}}, "cgroupsPath": f"/{t.id('every')}", "rootfsPropagation": "slave",
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "sysctl": {"net.ipv4.ip_forward": "1"},
            "personality": {"domain": "LINUX", "flags": []},
            "memoryPolicy": {"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "intelRdt": {"closID": "/", "l3CacheSchema": "L3:0=1", "memBwSchema": "MB:0=10", "schemata": ["L3:0=1"], "enableMonitoring": True},
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
                "memory": {"limit": 256 * M, "reservation": 64 * M, "swap": 512 * M, "kernel": -1, "kernelTCP": -1, "swappiness": 10,
                           "disableOOMKiller": False, "useHierarchy": True, "checkBeforeUpdate": True},
                "cpu": {"shares": 512, "quota": 100000, "burst": 1000, "period": 100000, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "0",
                        "mems": "0", "idle": 0},
                "pids": {"limit": 64},
                "blockIO": {"weight": 300, "leafWeight": 200, "weightDevice": [{"major": 8, "minor": 0, "weight": 300, "leafWeight": 200}],
                            **{f"throttle{k}Device": one_disk for k in ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")}},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 8 * M}],
                "network": {"classID": 1048577, "priorities": [{"name": "lo", "priority": 7}]},
                "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 100}},
                "unified": {"hugetlb.2MB.max": str(16 * M)}},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"] if os.uname().machine == "x86_64" else [],
                        "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/unused.sock", "listenerMetadata": "x",
                        "syscalls": [{"names": ["syslog"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99,
                                      "args": [{"index": 0, "value": 255, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]}}}


# What a machine may not be able to give, by the condition under which it is left out, and why.
def left_out(config):
    def controller(name):
        return any(re.search(rf"\b{name}\b", line.split()[3] + " " + line.split(" - ")[1]) for line in open("/proc/self/mountinfo") if " - cgroup " in line)
    v2 = "cgroup2" in open("/proc/self/mountinfo").read() and not controller("memory")
    everywhere = {"process.apparmorProfile": "no profile of ours is loaded", "process.selinuxLabel": "SELinux is off", "linux.mountLabel": "SELinux is off",
                  "vm": "refused", "linux.seccomp.defaultErrnoRet": "excluded by defaultAction ALLOW"}
    missing = {}
    if " - resctrl " not in open("/proc/self/mountinfo").read():
        missing["linux.intelRdt"] = "no resctrl file system"
    if not controller("net_cls"):
        missing["linux.resources.network"] = "no net_cls and net_prio controllers"
    if not controller("rdma"):
        missing["linux.resources.rdma"] = "no RDMA device"
    if not os.path.exists("/proc/self/numa_maps"):
        missing["linux.memoryPolicy"] = "no NUMA"
    if v2 or not controller("hugetlb"):
        pages = any(os.path.exists(p + "/cgroup.controllers") and "hugetlb" in open(p + "/cgroup.controllers").read()
                    for p in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"))
        if not pages or not os.path.exists("/sys/kernel/mm/hugepages/hugepages-2048kB"):
            missing["linux.resources.hugepageLimits"] = missing["linux.resources.unified"] = "no huge pages controller"
    if not glob.glob("/sys/fs/cgroup/blkio/*/blkio.leaf_weight") and not glob.glob("/sys/fs/cgroup/blkio/blkio.leaf_weight"):
        missing["linux.resources.blockIO.leafWeight"] = "leaf weights went with the CFQ scheduler"
        for device in config["linux"]["resources"]["blockIO"]["weightDevice"]:
            del device["leafWeight"]
    if not os.path.exists("/sys/block/sda"):
        missing.update({f"linux.resources.blockIO.{k}": "no disk 8:0" for k in
                        ("weightDevice", "throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")})
    for path in missing:
        *parents, last = path.split(".")
        part = config
        for p in parents:
            part = part[p]
        del part[last]
    return everywhere, missing


def flatten(value, path=""):
    """The paths of a document as docs/runtime-spec.md writes them."""
    if isinstance(value, dict) and path not in ("windows", "solaris", "zos", "freebsd"):
        for key, child in value.items():
            name = "*" if path in ("annotations", "linux.netDevices", "linux.sysctl", "linux.resources.rdma", "linux.resources.unified") else key
            yield from flatten(child, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for child in value:
            yield from flatten(child, path + "[]")
    else:
        yield path


def test_everything_at_once(t):
    """a container with every property set runs, and shows what it was asked for; left out is only what is named here"""
    t.need("ip", "unshare")
    rootfs, source = t.busybox_rootfs(), t.tmp / "source"
    source.mkdir()
    (source / "f").write_text("mapped\n")
    config = everything(t, rootfs, source)
    set_here = set(flatten(config))
    everywhere, missing = left_out(config)
    table = set(re.findall(r"^\| `([^`]+)` \|", (t.source / "docs/runtime-spec.md").read_text(), re.M))
    assert table - set_here == set(everywhere) and not set_here - table, (table - set_here, set_here - table)

    bundle = t.bundle(rootfs=rootfs)
    (t.tmp / "log").write_text("")
    (t.tmp / "log").chmod(0o666)  # hooks of the container's namespaces are the user namespace's root
    t.run(["chown", "-hR", "100000:100000", rootfs])  # the container's root must be able to make the mount points
    (bundle / "config.json").write_text(json.dumps(config))
    script = 'ip link add veth6 type veth peer name peer6 && exec "$@"'
    result = t.run(["unshare", "-n", "sh", "-c", script, "sh", *t.runtime_args("--log", t.tmp / "errors", "run", "-b", bundle, t.id())], check=False)
    status, text = result.rc, result.out + result.err
    if status and "does its file system support" in (t.tmp / "errors").read_text():
        t.skip("no idmapped mounts here")
    if "Unknown device type" in text:
        t.skip("no veth interfaces in this kernel")
    assert status == 0, (text, (t.tmp / "errors").read_text())
    for wanted in ("uid=1000", "groups=5", "/tmp\n", "0027", "every\n", "mapped", "inner6", "31 97", "startContainer", "prefer=static:0", "end"):
        assert wanted in text or wanted.startswith("prefer") and "linux.memoryPolicy" in missing, (wanted, text)
    assert (t.tmp / "log").read_text().split() == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    assert os.listdir(t.runtime_root) == []


