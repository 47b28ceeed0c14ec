# SPDX-License-Identifier: Apache-2.0
"""Every part of config.json that a container's processes can see."""

import json
import os
import re
import subprocess


def out(t, args, overrides=None, edit=None, **kw):
    """What a container prints that runs these arguments."""
    args = ["sh", "-c", args] if isinstance(args, str) else args
    return t.runtime("run", "-b", t.bundle(overrides, args=args, edit=edit, **kw), t.id()).out


def refused(t, overrides=None, edit=None, args=None):
    """The error of a configuration that must not run; nothing may remain of it."""
    result = t.runtime("run", "-b", t.bundle(overrides, args=args, edit=edit), t.id(), check=False)
    assert result.rc == 1, result
    assert os.listdir(t.runtime_root) == []
    return result.err


def mount(destination, type, source=None, *options):
    def edit(spec):
        spec["mounts"].append({"destination": destination, "type": type, "source": source or type, "options": list(options)})
    return edit


def all_caps(*names):
    return {"capabilities": {s: list(names) for s in ("bounding", "effective", "permitted")}}


# -- process ---------------------------------------------------------------------------------------------


def test_user_groups_umask(t):
    """uid, gid, additionalGids and umask are the program's"""
    user = {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000], "umask": 0o077}
    text = out(t, "id -u; id -g; id -G; umask; echo $HOME", {"process": {"user": user}})
    assert text.split("\n")[:5] == ["1000", "1001", "1001 5 2000", "0077", "/home/user"], text


def test_cwd(t):
    """cwd is entered, and made when missing"""
    assert out(t, "pwd", {"process": {"cwd": "/new/dir"}}) == "/new/dir\n"


def test_env_and_home(t):
    """env is exactly the environment, but HOME is added from /etc/passwd"""
    lines = out(t, ["env"], {"process": {"env": ["PATH=/bin", "A=x=y"]}}).split()
    assert sorted(lines) == ["A=x=y", "HOME=/root", "PATH=/bin"]


def test_capabilities(t):
    """the five sets are exactly the ones asked for; unknown ones are ignored; the inheritable one is empty"""
    caps = {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_FUTURE"], "effective": ["CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"]}
    text = out(t, "grep Cap /proc/self/status", {"process": {"capabilities": caps}})
    sets = dict(re.findall(r"Cap(\w+):\s+([0-9a-f]+)", text))
    # uid 0 gets its permitted and effective capabilities from the bounding set on execve
    assert int(sets["Bnd"], 16) == 0x21 and int(sets["Prm"], 16) == 0x21 and int(sets["Inh"], 16) == 0, sets


def test_ambient_capabilities(t):
    """an ordinary user keeps ambient capabilities over execve"""
    caps = {s: ["CAP_NET_RAW"] for s in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    text = out(t, "grep Cap /proc/self/status", {"process": {"capabilities": caps, "user": {"uid": 1000, "gid": 1000}}})
    sets = dict(re.findall(r"Cap(\w+):\s+([0-9a-f]+)", text))
    assert {int(sets[s], 16) for s in ("Eff", "Prm", "Amb", "Bnd")} == {1 << 13}, sets


def test_no_capabilities_property(t):
    """without process.capabilities there are none"""
    text = out(t, "grep Cap /proc/self/status", {"process": {"capabilities": None}})
    assert set(re.findall(r"Cap\w+:\s+([0-9a-f]+)", text)) == {"0" * 16}


def test_no_new_privileges(t):
    """noNewPrivileges is set, and only when asked for"""
    for wanted in (True, False):
        text = out(t, "grep NoNewPrivs /proc/self/status", {"process": {"noNewPrivileges": wanted}})
        assert text.split()[1] == str(int(wanted))


def test_rlimits(t):
    """rlimits are set; duplicates, unknown ones and soft above hard are errors; what nobody may raise is clamped with a warning"""
    text = out(t, "ulimit -n; ulimit -Hn; ulimit -c", {"process": {"rlimits": [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}})
    assert text.split() == ["100", "200", "0"]
    twice = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2
    assert "process.rlimits[1]" in refused(t, {"process": {"rlimits": twice}})
    assert "RLIMIT_X" in refused(t, {"process": {"rlimits": [{"type": "RLIMIT_X", "soft": 0, "hard": 0}]}})
    assert "soft" in refused(t, {"process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}})
    bundle = t.bundle({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1 << 30, "hard": 1 << 30}]}})
    result = t.runtime("run", "-b", bundle, t.id(), check=False)
    if result.rc == 0 and result.err:  # without CAP_SYS_RESOURCE, or above fs.nr_open
        assert "RLIMIT_NOFILE" in result.err and "CAP_SYS_RESOURCE" in result.err


def test_oom_score_adj(t):
    """oomScoreAdj is set"""
    assert out(t, ["cat", "/proc/self/oom_score_adj"], {"process": {"oomScoreAdj": 500}}) == "500\n"


def test_scheduler_and_io_priority(t):
    """scheduler, ioPriority and personality are the program's"""
    t.need("chrt", "ionice")
    process = {"scheduler": {"policy": "SCHED_BATCH", "nice": 5}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE"}}
    text = out(t, "cat /proc/self/stat; ionice; uname -m", {"process": process, "linux": {"personality": {"domain": "LINUX32"}}})
    fields = text.split("\n")[0].rsplit(")", 1)[1].split()
    assert fields[16] == "5" and fields[38] == "3", text  # nice; policy 3 is SCHED_BATCH
    assert "idle" in text.split("\n")[1], text
    assert text.split("\n")[2] in ("i686", "armv8l", os.uname().machine), text


def test_wrong_properties(t):
    """errors name the property"""
    for overrides, words in (
            ({"process": {"args": []}}, "args"),
            ({"process": {"args": None}}, "process.args"),
            ({"process": {"cwd": "relative"}}, "cwd"),
            ({"process": {"user": {"uid": "x"}}}, "process.user.uid"),
            ({"process": {"user": {"uid": 4294967295}}}, "4294967295"),
            ({"process": {"env": ["NOEQUALS"]}}, "NOEQUALS"),
            ({"process": {"oomScoreAdj": 2000}}, "process.oomScoreAdj"),
            ({"process": {"apparmorProfile": "x"}}, "process.apparmorProfile"),
            ({"ociVersion": "2.0.0"}, "ociVersion"),
            ({"ociVersion": None}, "ociVersion"),
            ({"root": {"path": "/nonexistent"}}, "root.path"),
            ({"mounts": [{"destination": 5}]}, "mounts[0].destination"),
            ({"linux": {"namespaces": [{"type": "magic"}]}}, "linux.namespaces[0]"),
            ({"linux": {"namespaces": [{"type": "pid"}]}}, "mount"),
            ({"linux": {"namespaces": [{"type": "mount"}, {"type": "mount"}]}}, "twice"),
            ({"linux": {"namespaces": [{"type": "mount"}, {"type": "net", "path": "/x"}]}}, "linux.namespaces[1]"),
            ({"linux": {"namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "network", "path": "/proc/self/ns/uts"}]}},
             "is not a network namespace"),
            ({"linux": {"rootfsPropagation": "x"}}, "rootfsPropagation"),
            ({"linux": {"maskedPaths": ["relative"]}}, "maskedPaths"),
            ({"linux": {"sysctl": {"kernel.panic": "1"}}}, "kernel.panic"),
            ({"linux": {"intelRdt": {"closID": "x"}}}, "intelRdt"),
            ({"linux": {"resources": {"pids": {"limit": "x"}}}}, "pids.limit"),
            ({"hooks": {"prestart": [{"path": "relative"}]}}, "hooks.prestart[0]"),
            ({"hooks": {"prestart": [{"path": "/x", "timeout": 0}]}}, "hooks.prestart[0].timeout")):
        text = refused(t, overrides)
        assert words in text, (overrides, text)


# -- namespaces ------------------------------------------------------------------------------------------


def own_cgroup_namespace(spec):
    """What `spec` writes has one only where all control groups are v2, as with runc."""
    if {"type": "cgroup"} not in spec["linux"]["namespaces"]:
        spec["linux"]["namespaces"].append({"type": "cgroup"})


def test_namespaces_are_new(t):
    """every namespace of the list is the container's own, the others are the host's"""
    text = out(t, "cd /proc/self/ns; for n in mnt pid net ipc uts cgroup; do readlink $n; done; hostname", {"hostname": "inside"}, edit=own_cgroup_namespace)
    links = text.split()
    for name, link in zip(("mnt", "pid", "net", "ipc", "uts", "cgroup"), links):
        assert link != os.readlink(f"/proc/self/ns/{name}"), name
    assert links[6] == "inside"
    text = out(t, "readlink /proc/self/ns/net", edit=lambda s: s["linux"]["namespaces"].remove({"type": "network"}))
    assert text.strip() == os.readlink("/proc/self/ns/net")


def test_loopback_is_up(t):
    """a new network namespace has its loopback interface up"""
    assert "127.0.0.1" in out(t, ["ip", "addr", "show", "lo"])


def test_domainname(t):
    """hostname and domainname are set in the new uts namespace"""
    assert out(t, "cat /proc/sys/kernel/domainname", {"domainname": "example.test"}) == "example.test\n"


def test_join_namespaces(t):
    """namespaces with a path are joined: network, ipc, uts and pid of another process"""
    holder = t.start(["unshare", "-n", "-i", "-u", "-p", "-f", "--kill-child", "sleep", "100"])
    t.need("unshare")
    inner = t.wait_for(lambda: (open(f"/proc/{holder.pid}/task/{holder.pid}/children").read().split() or [None])[0])

    def edit(spec):
        for ns in spec["linux"]["namespaces"]:
            name = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}.get(ns["type"])
            if name:
                ns["path"] = f"/proc/{inner}/ns/{name}"
        del spec["hostname"]
    text = out(t, "cd /proc/self/ns; for n in net ipc uts pid; do readlink $n; done; echo pid $$", edit=edit).split()
    assert text[:4] == [os.readlink(f"/proc/{inner}/ns/{n}") for n in ("net", "ipc", "uts", "pid")], text
    assert text[5] != "1", text


def test_time_namespace(t):
    """a time namespace has its offsets"""
    if not os.path.exists("/proc/self/ns/time"):
        t.skip("no time namespaces")

    def edit(spec):
        spec["linux"]["namespaces"].append({"type": "time"})
        spec["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}, "monotonic": {"secs": 5, "nanosecs": 7}}
    assert float(out(t, ["cat", "/proc/uptime"], edit=edit).split()[0]) > 1000000
    assert "timeOffsets" in refused(t, {"linux": {"timeOffsets": {"boottime": {"secs": 1}}}})


def userns(spec):
    spec["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        spec["linux"][key] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def open_to_all(t):
    """The mapped root must be able to walk to the bundle."""
    for d in (t.tmp, *t.tmp.parents):
        if d != d.parent and os.stat(d).st_uid == 0 and str(d).startswith(("/tmp/", "/var/tmp/")):
            os.chmod(d, 0o755)


def test_user_namespace(t):
    """a new user namespace has its maps, root inside, and devices bound from the host"""
    text = out(t, "cat /proc/self/uid_map; id -u; echo x > /dev/null && ls -ln /dev/zero; touch /tmp/f && echo made; grep CapEff /proc/self/status",
               edit=userns)
    assert text.split()[:4] == ["0", "100000", "65536", "0"], text
    assert "1,   5" in text and "made" in text, text


def test_user_namespace_in_private_directory(t):
    """the container's root need not be reachable for its mapped users: mounts are made on fds"""
    t.tmp.chmod(0o700)
    assert out(t, ["id", "-u"], edit=userns) == "0\n"


def test_exec_in_user_namespace(t):
    """exec joins a user namespace and is root in it"""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", t.bundle(args=["sleep", "100"], edit=userns), name, stdout=null, stderr=null)
    assert t.runtime("exec", name, "sh", "-c", "id -u; cat /proc/self/uid_map").out.split()[:3] == ["0", "0", "100000"]


# -- mounts ----------------------------------------------------------------------------------------------


def mount_options(text, point):
    for line in text.splitlines():
        fields = line.split()
        if fields[4] == point:
            return fields
    raise AssertionError(f"no mount on {point} in\n{text}")


def test_default_mounts(t):
    """the mounts of the default configuration are there, with their options"""
    text = out(t, ["cat", "/proc/self/mountinfo"])
    assert "nosuid" in mount_options(text, "/dev")[5] and mount_options(text, "/sys")[5].startswith("ro")
    for point in ("/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"):
        mount_options(text, point)


def test_bind_mounts(t):
    """files and directories are bound, read-only when asked for, targets are made, and rbind takes submounts along"""
    source = t.tmp / "source"
    source.mkdir()
    (source / "file").write_text("content")
    inside = "cat /made/here/file; cat /file; touch /made/here/x 2>&1; touch /rw/x && echo written"

    def edit(spec):
        spec["mounts"] += [
            {"destination": "/made/here", "type": "bind", "source": str(source), "options": ["bind", "ro"]},
            {"destination": "/file", "type": "none", "source": str(source / "file"), "options": ["rbind"]},
            {"destination": "/rw", "source": str(source), "options": ["rbind", "nosuid", "rprivate"]}]
    text = out(t, inside, edit=edit)
    assert text.startswith("contentcontent") and "Read-only" in text and "written" in text, text
    assert (source / "x").exists()


def test_bind_relative_source(t):
    """a relative source of a bind mount is below the bundle"""
    bundle = t.bundle(args=["cat", "/f"], edit=mount("/f", "bind", "beside", "bind"))
    (bundle / "beside").write_text("yes")
    assert t.runtime("run", "-b", bundle, t.id(), cwd="/").out == "yes"


def test_bind_missing_source(t):
    """a missing source is an error that names it"""
    assert "/nonexistent" in refused(t, edit=mount("/mnt", "bind", "/nonexistent", "bind"))


def test_recursive_attributes(t):
    """rro makes submounts read-only too, ro only the top one"""
    t.need("unshare", "mount")
    source = t.tmp / "tree"
    (source / "sub").mkdir(parents=True)
    for option, want in (("ro", "0"), ("rro", "1")):
        bundle = t.bundle(args=["sh", "-c", "touch /m/sub/x 2>/dev/null; echo $?"], edit=mount("/m", "bind", str(source), "rbind", option))
        script = f"mount -t tmpfs x {source}/sub && exec \"$@\""
        result = t.run(["unshare", "-m", "sh", "-c", script, "sh", *t.runtime_args("run", "-b", bundle, t.id())])
        assert result.out.strip() == want, (option, result)


def test_tmpfs_options(t):
    """options that are not the runtime's go to the file system; wrong ones are errors with the kernel's reason"""
    text = out(t, ["cat", "/proc/self/mountinfo"], edit=mount("/t", "tmpfs", "tmpfs", "size=64k", "mode=1700", "noexec", "noatime"))
    fields = mount_options(text, "/t")
    assert "noexec" in fields[5] and "noatime" in fields[5] and "size=64k" in fields[-1] and "mode=1700" in fields[-1], fields
    assert "size" in refused(t, edit=mount("/t", "tmpfs", "tmpfs", "size=huge"))
    assert "nofs" in refused(t, edit=mount("/t", "nofs"))


def test_tmpcopyup(t):
    """tmpcopyup fills the tmpfs with what it covers"""
    rootfs = t.busybox_rootfs()
    (rootfs / "data/sub").mkdir(parents=True)
    (rootfs / "data/sub/f").write_text("copied")
    os.symlink("sub/f", rootfs / "data/link")
    os.chown(rootfs / "data/sub/f", 7, 8)
    text = out(t, "cat /data/link; stat -c %u:%g /data/sub/f; echo z > /data/new", rootfs=rootfs,
               edit=mount("/data", "tmpfs", "tmpfs", "tmpcopyup"))
    assert text == "copied7:8\n" and not (rootfs / "data/new").exists()


def test_remount(t):
    """a remount changes an earlier mount's attributes"""
    source = t.tmp / "s"
    source.mkdir()

    def edit(spec):
        mount("/m", "bind", str(source), "bind")(spec)
        mount("/m", "bind", str(source), "bind", "remount", "ro")(spec)
    assert "Read-only" in out(t, "touch /m/x 2>&1; true", edit=edit)


def test_idmapped_mount(t):
    """an idmapped mount shows other owners"""
    source = t.tmp / "owned"
    source.mkdir()
    (source / "f").write_text("")
    os.chown(source / "f", 1000, 1000)
    maps = [{"containerID": 0, "hostID": 5000, "size": 65536}]

    def edit(spec):
        spec["mounts"].append({"destination": "/m", "type": "bind", "source": str(source), "options": ["bind", "idmap"],
                               "uidMappings": maps, "gidMappings": maps})
    result = t.runtime("run", "-b", t.bundle(args=["stat", "-c", "%u:%g", "/m/f"], edit=edit), t.id(), check=False)
    if "does its file system support" in result.err:
        t.skip("the file system here has no idmapped mounts")
    assert result.out == "6000:6000\n", result


def test_propagation(t):
    """what a container mounts below a bind of a shared mount does not appear on the host, unless it is bound shared"""
    t.need("unshare", "mount")
    source = t.tmp / "shared"
    source.mkdir()
    for option, want in (("rslave", 0), ("rprivate", 0), (None, 0), ("rshared", 1)):
        options = ["rbind"] + ([option] if option else [])
        bundle = t.bundle({"process": all_caps("CAP_SYS_ADMIN"), "linux": {"seccomp": None}},
                          args=["sh", "-c", "mkdir -p /m/sub && mount -t tmpfs x /m/sub"], edit=mount("/m", "bind", str(source), *options))
        script = (f"mount -t tmpfs x {source} && mount --make-shared {source} && \"$@\"; grep -c ' {source}/sub ' /proc/self/mountinfo")
        result = t.run(["unshare", "-m", "sh", "-c", script, "sh", *t.runtime_args("run", "-b", bundle, t.id())], check=False)
        assert result.out.strip() == str(want), (option, result)


def test_rootfs_propagation(t):
    """rootfsPropagation is the root mount's"""
    for value, tag in (("rshared", "shared:"), ("rprivate", ""), ("unbindable", "unbindable")):
        fields = mount_options(out(t, ["cat", "/proc/self/mountinfo"], {"linux": {"rootfsPropagation": value}}), "/")
        optional = " ".join(fields[6:fields.index("-")])
        assert tag in optional and (tag or not optional), (value, fields)


def test_readonly_root(t):
    """root.readonly makes the root, and not what is mounted in it, read-only"""
    text = out(t, "touch /x 2>&1; touch /dev/shm/y && echo shm", {"root": {"readonly": True}})
    assert "Read-only" in text and "shm" in text


def test_masked_and_readonly_paths(t):
    """masked files are empty devices, masked directories are empty and read-only; readonly paths cannot be written"""
    rootfs = t.busybox_rootfs()
    (rootfs / "secret").mkdir()
    (rootfs / "secret/f").write_text("x")
    (rootfs / "secret.txt").write_text("x")
    text = out(t, "ls /secret; cat /secret.txt; touch /secret/n 2>&1; touch /etc/n 2>&1; ls -l /secret.txt", rootfs=rootfs,
               overrides={"linux": {"maskedPaths": ["/secret", "/secret.txt", "/not/there"], "readonlyPaths": ["/etc", "/absent"]}})
    assert text.count("Read-only") == 2 and "1,   3" in text and text.startswith("touch"), text


def test_no_pivot(t):
    """--no-pivot makes the root without pivot_root"""
    assert t.runtime("run", "--no-pivot", "-b", t.bundle(args=["ls", "/bin/sh"]), t.id()).out == "/bin/sh\n"


# -- devices, sysctls, cgroups ---------------------------------------------------------------------------


def test_default_devices(t):
    """the default devices and links are there and work"""
    text = out(t, "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; head -c 3 /dev/zero | wc -c; "
                  "readlink /dev/fd; readlink /dev/ptmx; echo x > /dev/null")
    assert text.split() == ["3", "/proc/self/fd", "pts/ptmx"], text


def test_listed_devices(t):
    """linux.devices are made with their modes and owners; a FIFO is one of them"""
    devices = [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
               {"path": "/sub/dir/pipe", "type": "p", "fileMode": 0o600}]
    text = out(t, "stat -c '%F %t,%T %a %u:%g' /dev/mine /sub/dir/pipe", {"linux": {"devices": devices}})
    assert text == "character special file 1,5 640 3:4\nfifo 0,0 600 0:0\n", text


def test_sysctl(t):
    """namespaced sysctls are set, others are refused"""
    text = out(t, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni", {"linux": {"sysctl": {
        "net.ipv4.ip_forward": "1", "kernel.shmmni": "4000"}}})
    assert text.split() == ["1", "4000"]
    assert "vm.swappiness" in refused(t, {"linux": {"sysctl": {"vm.swappiness": "1"}}})

    def without_net(spec):
        spec["linux"]["namespaces"].remove({"type": "network"})
        spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert "network namespace" in refused(t, edit=without_net)


def test_cgroup_mount(t):
    """the container sees its own group as the root of /sys/fs/cgroup, and cannot write to it"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    text = out(t, "cat /proc/self/cgroup; find /sys/fs/cgroup -name cgroup.procs | head -1 | xargs cat; "
                  "find /sys/fs/cgroup -name cgroup.procs | head -1 | while read f; do echo 0 > $f; done 2>&1; true", edit=own_cgroup_namespace)
    assert all(line.endswith(":/") for line in text.splitlines() if re.match(r"\d+:", line)), text
    assert "Read-only" in text and "\n1\n" in text, text


def test_limits_hold(t):
    """linux.resources hold for the program: a process limit"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    text = out(t, "(for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1; wait) 2>&1; true", {"linux": {"resources": {"pids": {"limit": 4}}}})
    assert "fork" in text or "temporarily" in text, text


def test_no_cgroup(t):
    """--cgroup-manager disabled makes none"""
    bundle = t.bundle(edit=lambda s: s["mounts"].pop())
    t.run([t.bin / "havre-runtime", "--root", t.runtime_root, "--cgroup-manager", "disabled", "run", "-b", bundle, t.id()])


def test_seccomp(t):
    """a filter is in force, with and without no_new_privs"""
    for nnp in (True, False):
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}
        text = out(t, "mkdir /tmp/d 2>&1; grep Seccomp: /proc/self/status", {"process": {"noNewPrivileges": nnp},
                                                                         "linux": {"seccomp": seccomp}})
        assert "Seccomp:\t2" in text and "annot assign requested address" in text, text


def test_seccomp_in_exec(t):
    """exec loads the container's filter"""
    name = t.id()
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", t.bundle({"linux": {"seccomp": seccomp}}, args=["sleep", "100"]), name, stdout=null, stderr=null)
    assert "Seccomp:\t2" in t.runtime("exec", name, "grep", "Seccomp:", "/proc/self/status").out


def test_net_devices(t):
    """netDevices moves an interface in under its new name, with its address"""
    t.need("ip", "unshare")
    bundle = t.bundle({"linux": {"netDevices": {"dummy7": {"name": "inner0"}}}}, args=["ip", "addr"])
    script = "ip link add dummy7 type veth peer name peer7 && ip addr add 10.9.8.7/24 dev dummy7 && exec \"$@\""
    result = t.run(["unshare", "-n", "sh", "-c", script, "sh", *t.runtime_args("run", "-b", bundle, t.id())], check=False)
    if "Unknown device type" in result.err:
        t.skip("no veth interfaces in this kernel")
    assert "inner0" in result.out and "10.9.8.7/24" in result.out and result.rc == 0, result
    missing = refused(t, {"linux": {"netDevices": {"nope7": {}}}})
    assert "nope7" in missing


# -- hooks -----------------------------------------------------------------------------------------------


def hook(t, name, exit_code=0, sleep=0):
    path = t.tmp / f"hook-{name}"
    path.write_text(f"#!/bin/sh\nstate=$(cat)\necho \"{name} $state\" >> {t.tmp}/hooks.log\n[ {sleep} = 0 ] || exec sleep {sleep}\n[ {exit_code} = 0 ] || echo broken hook >&2\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def test_hooks_in_order(t):
    """every kind of hook runs at its time, in order, with the state on stdin"""
    rootfs = t.busybox_rootfs()
    inside = rootfs / "hook"
    inside.write_text("#!/bin/sh\ncat > /tmp/inside\n")
    inside.chmod(0o755)
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    hooks = {kind: [{"path": str(hook(t, kind)), "env": ["PATH=/bin:/usr/bin"]}] for kind in kinds}
    hooks["startContainer"] = [{"path": "/hook", "args": ["hook"], "env": ["PATH=/bin"]}]
    name = t.id()
    t.runtime("run", "-b", t.bundle({"hooks": hooks, "annotations": {"k": "v"}}, rootfs=rootfs, args=["true"]), name)
    lines = (t.tmp / "hooks.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == list(kinds), lines
    states = [json.loads(line.split(" ", 1)[1]) for line in lines]
    assert [s["status"] for s in states] == ["creating", "creating", "creating", "running", "stopped"], states
    assert all(s["id"] == name and s["annotations"] == {"k": "v"} for s in states)
    # in the runtime's namespaces its pid as the runtime sees it, in the container's as the container does
    assert states[0]["pid"] == states[3]["pid"] > 1 and states[2]["pid"] == 1 and states[4]["pid"] == 0, states
    started = json.loads((rootfs / "tmp/inside").read_text())
    assert started["status"] == "created" and started["pid"] == 1, started


def test_failing_hook(t):
    """a failing hook of creation stops it, says why, and nothing remains"""
    for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart"):
        path = hook(t, kind, 3)
        text = refused(t, {"hooks": {kind: [{"path": "/bin/false" if kind == "startContainer" else str(path),
                                             "env": ["PATH=/bin:/usr/bin"]}]}}, args=["sleep", "1"])
        assert kind in text and ("status 3" in text or "status 1" in text), text


def test_hook_timeout(t):
    """a hook that takes too long is killed"""
    text = refused(t, {"hooks": {"createRuntime": [{"path": str(hook(t, "slow", sleep=60)), "timeout": 1, "env": ["PATH=/bin"]}]}})
    assert "time-out" in text, text
