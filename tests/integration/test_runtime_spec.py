# SPDX-License-Identifier: Apache-2.0
"""Properties of runtime-spec 1.3 beyond the everyday ones of test_runtime_config.py."""

import json
import os
import re
import subprocess

VM = False  # asks for what the newest kernels have, and little of it depends on control groups


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


def running(t, overrides=None, edit=None, **kw):
    """The id of a container that sleeps."""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name, check=False)
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", t.bundle(overrides, args=["sleep", "100"], edit=edit, **kw), name, stdout=null, stderr=null)
    return name


# -- process ---------------------------------------------------------------------------------------------


def test_process_is_optional_until_start(t):
    """a container can be created without a process; only start needs one, and its refusal changes nothing"""
    bundle = t.bundle({"process": None})
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name, check=False)
    with open(os.devnull, "w") as null:
        t.runtime("create", "-b", bundle, name, stdout=null, stderr=null)
    result = t.runtime("start", name, check=False)
    assert result.rc == 1 and "process" in result.err, result
    assert json.loads(t.runtime("state", name).out)["status"] == "created"
    t.runtime("delete", name)
    assert "process" in refused(t, {"process": None})


def test_capabilities_that_cannot_be_granted_warn(t):
    """capabilities that are unknown, or that the runtime itself has not, are warned of and do not fail"""
    t.need("setpriv")
    caps = {s: ["CAP_CHOWN", "CAP_AUDIT_READ", "CAP_FUTURE"] for s in ("bounding", "effective", "permitted")}
    bundle = t.bundle({"process": {"capabilities": caps}}, args=["grep", "CapBnd", "/proc/self/status"])
    result = t.run(["setpriv", "--bounding-set", "-audit_read", "--inh-caps", "-audit_read",
                    *t.runtime_args("--log", t.tmp / "log", "run", "-b", bundle, t.id())])
    assert int(result.out.split()[1], 16) == 1, result
    log = (t.tmp / "log").read_text()
    assert "CAP_FUTURE" in log and "CAP_AUDIT_READ" in log and "CAP_CHOWN" not in log, log
    t.runtime("--log", t.tmp / "quiet", "run", "-b", t.bundle(args=["true"]), t.id())
    assert (t.tmp / "quiet").read_text() == ""


def test_console_size_is_ignored_without_terminal(t):
    """consoleSize counts only with a terminal, and then it is the terminal's size"""
    wrong = {"terminal": False, "consoleSize": {"height": -1}}
    assert out(t, ["echo", "x"], {"process": wrong}) == "x\n"
    assert "process.consoleSize.height" in refused(t, {"process": dict(wrong, terminal=True)})
    size = {"terminal": True, "consoleSize": {"height": 31, "width": 97}}
    assert out(t, ["stty", "size"], {"process": size}).strip() == "31 97"


def test_umask_default(t):
    """without user.umask it is 0022 whatever the caller's is, as with runc"""
    args = t.runtime_args("run", "-b", t.bundle(args=["sh", "-c", "umask"]), t.id())
    assert t.run(["sh", "-c", 'umask 077; exec "$@"', "sh", *args]).out == "0022\n"


def test_oom_score_adj_untouched(t):
    """oom_score_adj stays the caller's when oomScoreAdj is not set"""
    args = t.runtime_args("run", "-b", t.bundle({"process": {"oomScoreAdj": None}}, args=["cat", "/proc/self/oom_score_adj"]), t.id())
    assert t.run(["sh", "-c", 'echo 123 > /proc/self/oom_score_adj; exec "$@"', "sh", *args]).out == "123\n"


def test_schedulers(t):
    """every policy with its parameters and flags reaches the program"""
    cases = (({"policy": "SCHED_OTHER", "nice": 7}, 0, 7), ({"policy": "SCHED_BATCH", "nice": 3}, 3, 3), ({"policy": "SCHED_IDLE"}, 5, None),
             ({"policy": "SCHED_FIFO", "priority": 3}, 1, None),
             ({"policy": "SCHED_RR", "priority": 9, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, 2, None),
             ({"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 10000000, "period": 10000000,
               "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, 6, None))
    for scheduler, policy, nice in cases:
        bundle = t.bundle({"process": {"scheduler": scheduler}}, args=["cat", "/proc/self/stat"])
        result = t.runtime("run", "-b", bundle, t.id(), check=False)
        if result.rc and policy in (1, 2, 6):  # a kernel, or a cgroup, without real-time scheduling says so by name
            assert "process.scheduler" in result.err, result
            continue
        fields = result.out.rsplit(")", 1)[1].split()
        assert fields[38] == str(policy) and (nice is None or fields[16] == str(nice)), (scheduler, result)
    for flag in ("SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX", "SCHED_FLAG_KEEP_PARAMS"):
        bundle = t.bundle({"process": {"scheduler": {"policy": "SCHED_OTHER", "flags": [flag]}}}, args=["true"])
        result = t.runtime("run", "-b", bundle, t.id(), check=False)
        assert result.rc == 0 or "process.scheduler" in result.err, result


def test_io_priority_classes(t):
    """each I/O class and its level is the program's, and inherited by its children"""
    t.need("ionice")
    for name, level, words in (("BE", 6, "best-effort: prio 6"), ("IDLE", 0, "idle"), ("RT", 2, "realtime: prio 2")):
        text = out(t, "ionice", {"process": {"ioPriority": {"class": f"IOPRIO_CLASS_{name}", "priority": level}}})
        assert text.strip().startswith(words), (name, text)


def test_exec_cpu_affinity(t):
    """execCPUAffinity: final is the new process's, initial is not kept, and neither touches the first process"""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        t.skip("one CPU only")
    show = ["grep", "Cpus_allowed_list", "/proc/self/status"]
    name = running(t, {"process": {"execCPUAffinity": {"initial": str(cpus[0]), "final": str(cpus[1])}}})
    first = re.search(r"Cpus_allowed_list:\s+(\S+)", t.runtime("exec", name, "cat", "/proc/1/status").out).group(1)
    assert t.runtime("exec", name, *show).out.split()[1] == str(cpus[1])
    assert first not in (str(cpus[0]), str(cpus[1])), first

    def with_process(affinity):
        process = json.loads((t.runtime_root / name / "config.json").read_text())["process"]
        process.update(args=show, execCPUAffinity=affinity)
        path = t.tmp / "process.json"
        path.write_text(json.dumps(process))
        return t.runtime("exec", "--process", path, name, check=False)
    assert with_process({"initial": str(cpus[0])}).out.split()[1] == first, "initial is only for the way there"
    assert with_process({}).out.split()[1] == first
    assert with_process({"initial": "", "final": f"{cpus[0]},{cpus[1]}"}).rc == 0
    result = with_process({"initial": "1023"})
    assert result.rc != 0 and "execCPUAffinity.initial" in result.err, result
    assert "execCPUAffinity.final" in with_process({"final": "x"}).err


def test_windows_properties_are_ignored(t):
    """what is for other platforms is ignored, like every unknown property; vm, which promises another kind of isolation, is refused"""
    overrides = {"process": {"commandLine": "cmd.exe", "user": {"uid": 0, "gid": 0, "username": "x"}, "unknown": {"a": 1}}, "windows": {"layerFolders": 5},
                 "solaris": {"milestone": "x"}, "zos": [], "freebsd": {}, "unknown": None, "linux": {"unknown": [1]}}
    assert out(t, ["echo", "fine"], overrides) == "fine\n"
    assert "vm" in refused(t, {"vm": {"kernel": {"path": "/x"}}})


def test_versions(t):
    """every 1.x version in SemVer form is read"""
    for version in ("1.0.0", "1.0.2-dev", "1.3.0", "1.99.7-rc.1+build.5"):
        assert out(t, ["echo", "x"], {"ociVersion": version}) == "x\n"


def test_security_modules_missing(t):
    """labels for a security module that this kernel has not are refused by name"""
    if not os.path.exists("/sys/module/apparmor"):
        assert "process.apparmorProfile" in refused(t, {"process": {"apparmorProfile": "p"}})
    if not os.path.exists("/sys/fs/selinux/enforce"):
        assert "process.selinuxLabel" in refused(t, {"process": {"selinuxLabel": "u:r:t:s0"}})
        assert "linux.mountLabel" in refused(t, {"linux": {"mountLabel": "u:r:t:s0"}})


# -- linux -----------------------------------------------------------------------------------------------


def test_sysctl_of_the_host(t):
    """a sysctl of a namespace that is joined by path, but is the host's own, is refused"""
    before = open("/proc/sys/net/ipv4/ip_forward").read()

    def edit(spec):
        for ns in spec["linux"]["namespaces"]:
            if ns["type"] == "network":
                ns["path"] = "/proc/self/ns/net"
        spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "0" if before.strip() == "1" else "1"}
    assert "linux.sysctl" in refused(t, edit=edit)
    assert open("/proc/sys/net/ipv4/ip_forward").read() == before


def test_sysctl_wrong_value(t):
    """a value that the kernel refuses is an error with the sysctl's name"""
    text = refused(t, {"linux": {"sysctl": {"net.ipv4.ip_forward": "maybe"}}})
    assert "linux.sysctl" in text and "ip_forward" in text
    assert "no/such" in refused(t, {"linux": {"sysctl": {"net.no.such": "1"}}})


def test_memory_policy(t):
    """linux.memoryPolicy is the program's"""
    if not os.path.exists("/proc/self/numa_maps"):
        t.skip("a kernel without NUMA")
    for policy, words in (({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"), ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
                          ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "prefer=static:0"),
                          ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "prefer=relative:0"),
                          ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer (many):0"), ({"mode": "MPOL_LOCAL"}, "local"),
                          ({"mode": "MPOL_DEFAULT"}, "default"), ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}, "weighted interleave:0")):
        text = out(t, ["head", "-1", "/proc/self/numa_maps"], {"linux": {"memoryPolicy": policy}})
        assert words in text, (policy, text)


def test_personality(t):
    """both domains"""
    machine = {d: out(t, ["uname", "-m"], {"linux": {"personality": {"domain": d}}}).strip() for d in ("LINUX", "LINUX32")}
    assert machine["LINUX"] == os.uname().machine and (machine["LINUX32"] != machine["LINUX"] or machine["LINUX"] != "x86_64"), machine


def test_pids_limit_values(t):
    """pids.limit: 0 is a limit (1.3), -1 is none, and absent leaves what there is"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    fork = "(sleep 0 & wait) 2>&1; true"
    assert "fork" in t.runtime("run", "-b", t.bundle({"linux": {"resources": {"pids": {"limit": 0}}}}, args=["sh", "-c", fork]), t.id(), check=False).err
    for pids in ({"limit": -1}, {}, {"limit": None}, None):
        assert out(t, fork, {"linux": {"resources": {"pids": pids}}}) == "", pids


def test_rdt_without_resctrl(t):
    """linux.intelRdt without a mounted resctrl file system is refused, and says what to mount"""
    if " - resctrl " in open("/proc/self/mountinfo").read():
        t.skip("this machine has it")
    text = refused(t, {"linux": {"intelRdt": {"closID": "x", "schemata": ["L3:0=f"], "enableMonitoring": True}}})
    assert "linux.intelRdt" in text and "mount -t resctrl" in text


def test_rdt_update(t):
    """update --l3-cache-schema names what is missing: linux.intelRdt of the container, or resctrl on the machine"""
    name, bundle = t.id(), t.bundle(args=["sleep", "60"])
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("create", "-b", bundle, name, stdout=null, stderr=null)
    result = t.runtime("update", "--l3-cache-schema", "L3:0=f", name, check=False)
    assert result.rc == 1 and "no linux.intelRdt" in result.err, result
    if " - resctrl " in open("/proc/self/mountinfo").read():
        return
    config = t.runtime_root / name / "config.json"
    spec = json.loads(config.read_text())
    spec["linux"]["intelRdt"] = {"l3CacheSchema": "L3:0=ff"}
    config.write_text(json.dumps(spec))
    result = t.runtime("update", "--mem-bw-schema", "L3:0=f", name, check=False)
    assert result.rc == 1 and "linux.intelRdt.memBwSchema: must be one line" in result.err, result
    result = t.runtime("update", "--mem-bw-schema", "MB:0=50", name, check=False)
    assert result.rc == 1 and "mount -t resctrl" in result.err, result


def in_netns(t, script, bundle, check=True):
    t.need("ip", "unshare")
    result = t.run(["unshare", "-n", "sh", "-c", script + ' && exec "$@"', "sh", *t.runtime_args("run", "-b", bundle, t.id())], check=False)
    if "Unknown device type" in result.err:
        t.skip("no veth interfaces in this kernel")
    assert not check or result.rc == 0, result
    return result


def test_net_device_addresses(t):
    """an interface keeps its permanent global addresses with their flags, loses the others, and is up"""
    bundle = t.bundle({"linux": {"netDevices": {"veth7": {"name": "in0"}}}}, args=["ip", "addr", "show", "in0"])
    text = in_netns(t, "ip link add veth7 type veth peer name peer7 && ip addr add 10.9.8.7/24 brd 10.9.8.255 dev veth7 && "
                       "ip addr add 10.9.9.1 peer 10.9.9.2/32 dev veth7 && ip addr add 10.7.7.7/24 valid_lft 1000 preferred_lft 1000 dev veth7 && "
                       "ip addr add 169.254.3.3/16 scope link dev veth7 && ip link set veth7 up && "
                       "(ip addr add fd00:1::5/64 nodad noprefixroute dev veth7 || true)", bundle).out
    assert "10.9.8.7/24 brd 10.9.8.255" in text and "10.9.9.1 peer 10.9.9.2/32" in text, text
    assert "10.7.7.7" not in text and "169.254" not in text and ",UP" in text.split(">")[0] + ",", text
    if os.path.exists("/proc/net/if_inet6"):
        assert "fd00:1::5/64" in text, text


def test_net_device_names(t):
    """the name stays when none is given, %d is completed by the kernel, and a name that is there already is refused"""
    make = "ip link add veth8 type veth peer name peer8"
    show = ["ls", "/sys/class/net"]
    assert "veth8" in in_netns(t, make, t.bundle({"linux": {"netDevices": {"veth8": {}}}}, args=show)).out.split()
    names = in_netns(t, make + " && ip link add veth9 type veth peer name peer9",
                     t.bundle({"linux": {"netDevices": {"veth8": {"name": "eth%d"}, "veth9": {"name": "eth%d"}}}}, args=show)).out.split()
    assert len([n for n in names if re.fullmatch(r"eth\d", n)]) == 2, names
    taken = in_netns(t, make, t.bundle({"linux": {"netDevices": {"veth8": {"name": "lo"}}}}, args=show), check=False)
    assert taken.rc == 1 and "linux.netDevices.veth8" in taken.err and "already" in taken.err, taken


# -- mounts ----------------------------------------------------------------------------------------------


def test_relative_destination(t):
    """a relative destination is below the root"""
    mounts = lambda s: s["mounts"].append({"destination": "rel/ative", "type": "tmpfs", "source": "x"})
    assert out(t, "grep -c ' /rel/ative ' /proc/self/mountinfo", edit=mounts) == "1\n"


def test_every_recursive_option(t):
    """each recursive option is in force on the submount, too, and the last of a pair wins"""
    t.need("unshare", "mount")
    tree = t.tmp / "tree"
    (tree / "sub").mkdir(parents=True)
    cases = {"rro": "ro", "rnosuid": "nosuid", "rnodev": "nodev", "rnoexec": "noexec", "rnoatime": "noatime", "rnodiratime": "nodiratime",
             "rnosymfollow": "nosymfollow", "rrelatime": "relatime"}
    opposites = {"rrw": "ro", "rsuid": "nosuid", "rdev": "nodev", "rexec": "noexec", "rsymfollow": "nosymfollow", "rdiratime": "nodiratime"}

    def sub_options(*options, first="rw"):
        edit = lambda s: s["mounts"].append({"destination": "/m", "source": str(tree), "options": ["rbind", *options]})
        bundle = t.bundle(args=["cat", "/proc/self/mountinfo"], edit=edit)
        script = f'mount -t tmpfs -o {first} x {tree}/sub && exec "$@"'
        text = t.run(["unshare", "-m", "sh", "-c", script, "sh", *t.runtime_args("run", "-b", bundle, t.id())]).out
        return [line.split()[5] for line in text.splitlines() if line.split()[4] == "/m/sub"][0].split(",")
    for option, word in cases.items():
        assert word in sub_options(option), option
    for option, word in opposites.items():
        assert word not in sub_options("r" + word, option, first="rw" if word == "nosymfollow" else word), option
    assert "relatime" not in sub_options("rstrictatime") and "noatime" not in sub_options("rstrictatime")


test_every_recursive_option.timeout = 120


def test_nofollow(t):
    """src-nofollow takes the symlink for what it is, dest-nofollow mounts over one, copy-symlink makes the same one inside"""
    (t.tmp / "file").write_text("content")
    (t.tmp / "link").symlink_to(t.tmp / "file")
    rootfs = t.busybox_rootfs()
    (rootfs / "target").symlink_to("/etc/other")

    def bind(destination, *options):
        return lambda s: s["mounts"].append({"destination": destination, "type": "bind", "source": str(t.tmp / "link"), "options": ["bind", *options]})
    assert out(t, ["cat", "/f"], edit=bind("/f")) == "content"
    result = t.runtime("run", "-b", t.bundle(args=["readlink", "/f"], edit=bind("/f", "src-nofollow")), t.id(), check=False)
    assert result.rc != 0 or result.out.strip() == str(t.tmp / "file"), result
    assert out(t, ["readlink", "/c/l"], edit=bind("/c/l", "copy-symlink")).strip() == str(t.tmp / "file")
    covered = t.runtime("run", "-b", t.bundle(args=["cat", "/target"], rootfs=rootfs, edit=bind("/target", "dest-nofollow")), t.id())
    assert covered.out == "content" and os.readlink(rootfs / "target") == "/etc/other", covered


def test_ridmap(t):
    """idmap maps the owners of the bound mount only, ridmap those of its submounts, too"""
    t.need("unshare", "mount")
    tree = t.tmp / "tree"
    (tree / "sub").mkdir(parents=True)
    maps = [{"containerID": 0, "hostID": 5000, "size": 65536}]
    for option, want in (("idmap", "1000"), ("ridmap", "6000")):
        def edit(spec):
            spec["mounts"].append({"destination": "/m", "source": str(tree), "options": ["rbind", option], "uidMappings": maps, "gidMappings": maps})
        bundle = t.bundle(args=["stat", "-c", "%u", "/m/sub/f"], edit=edit)
        script = f'mount -t tmpfs x {tree}/sub && touch {tree}/sub/f && chown 1000 {tree}/sub/f && exec "$@"'
        result = t.run(["unshare", "-m", "sh", "-c", script, "sh", *t.runtime_args("run", "-b", bundle, t.id())], check=False)
        if "does its file system support" in result.err:
            t.skip("a file system here has no idmapped mounts")
        assert result.out.strip() == want, (option, result)


def test_idmap_inside_an_option(t):
    """crun's idmap=uids=...;gids=... maps the owners that a bind shows"""
    source = t.tmp / "owned"
    source.mkdir()
    (source / "f").write_text("")
    os.chown(source / "f", 1000, 2000)

    def edit(spec):
        spec["mounts"].append({"destination": "/m", "source": str(source), "options": ["rbind", "idmap=uids=0-0-1#1000-7000-5;gids=2000-8000-1"]})
    result = t.runtime("run", "-b", t.bundle(args=["stat", "-c", "%u:%g", "/m/f"], edit=edit), t.id(), check=False)
    if "does its file system support" in result.err:
        t.skip("the file system here has no idmapped mounts")
    assert result.out == "7000:8000\n", result


def test_device_conflict(t):
    """a listed device where something else is in the image is an error"""
    rootfs = t.busybox_rootfs()
    (rootfs / "there").write_text("")
    bundle = t.bundle({"linux": {"devices": [{"path": "/there", "type": "c", "major": 1, "minor": 3}]}}, args=["true"], rootfs=rootfs)
    result = t.runtime("run", "-b", bundle, t.id(), check=False)
    assert result.rc == 1 and "linux.devices[0]" in result.err, result


# -- hooks -----------------------------------------------------------------------------------------------


def reporter(t, name, where):
    """A hook that writes its arguments, working directory and environment."""
    path = where / name
    path.write_text("#!/bin/sh\n/bin/cat > /dev/null\necho \"$0 $*|$(pwd)|$A|$HOME\" >> \"${LOG:-" + str(t.tmp) + "/log}\"\n")
    path.chmod(0o755)
    return path


def test_hook_arguments_and_environment(t):
    """args are argv and env is the whole environment; without env it is the caller's; hooks of the runtime find themselves in the bundle"""
    hook = reporter(t, "report", t.tmp)
    hooks = {"createRuntime": [{"path": str(hook), "args": ["zero", "one"], "env": ["A=x"]}, {"path": str(hook)}, {"path": str(hook), "env": []}],
             "poststart": [{"path": str(hook)}], "poststop": [{"path": str(hook), "args": []}]}
    bundle = t.bundle({"hooks": hooks}, args=["true"])
    t.runtime("run", "-b", bundle, t.id(), env={"A": "callers", "HOME": "/h"}, cwd="/")
    lines = (t.tmp / "log").read_text().splitlines()
    inherited = f"{hook} |{bundle}|callers|/h"
    assert lines == [f"{hook} one|{bundle}|x|", inherited, f"{hook} |{bundle}||", inherited, inherited], lines


def test_hook_order_and_first_failure(t):
    """hooks of a kind run in order; the first failure ends the row"""
    first, second, third = (t.tmp / n for n in ("first", "second", "third"))
    for path, code in ((first, 0), (second, 5), (third, 0)):
        path.write_text(f"#!/bin/sh\necho {path.name} >> {t.tmp}/order\nexit {code}\n")
        path.chmod(0o755)
    text = refused(t, {"hooks": {"createRuntime": [{"path": str(p)} for p in (first, second, third)]}}, args=["true"])
    assert "createRuntime hook #1" in text and (t.tmp / "order").read_text().split() == ["first", "second"]


def test_poststop_only_warns(t):
    """a failing poststop hook is a warning: the container is deleted all the same"""
    bundle = t.bundle({"hooks": {"poststop": [{"path": "/bin/false"}]}}, args=["true"])
    t.runtime("--log", t.tmp / "log", "run", "-b", bundle, t.id())
    log = (t.tmp / "log").read_text()
    assert "poststop hook #0" in log and "warn" in log and os.listdir(t.runtime_root) == [], log


def test_poststart_failure_stops_the_container(t):
    """a failing poststart hook fails start, and the container is stopped, deleted, and its poststop hooks run"""
    name, touch = t.id(), {"path": "/bin/touch", "args": ["touch", str(t.tmp / "stopped")]}
    t.defer(t.runtime, "delete", "--force", name, check=False)
    with open(os.devnull, "w") as null:
        t.runtime("create", "-b", t.bundle({"hooks": {"poststart": [{"path": "/bin/false"}], "poststop": [touch]}}, args=["sleep", "100"]), name, stdout=null, stderr=null)
    assert "poststart hook #0" in t.runtime("start", name, check=False).err
    assert "does not exist" in t.runtime("state", name, check=False).err and (t.tmp / "stopped").exists()


# -- state -----------------------------------------------------------------------------------------------


def test_state_is_of_the_configuration(t):
    """state has the version and annotations of the configuration that the container was made of, whatever becomes of the file"""
    notes = {"a.b/c": "1", "empty": ""}
    bundle = t.bundle({"annotations": notes, "ociVersion": "1.2.1"}, args=["sleep", "100"])
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name, check=False)
    with open(os.devnull, "w") as null:
        t.runtime("create", "-b", bundle, name, stdout=null, stderr=null)
    (bundle / "config.json").write_text("{}")
    state = json.loads(t.runtime("state", name).out)
    assert state["annotations"] == notes and state["ociVersion"] == "1.2.1" and state["bundle"] == str(bundle) and state["pid"] > 0, state
    t.runtime("start", name)


def test_features(t):
    """features has every block of 1.3, says nothing that is not so, and knows no other keys than the specification"""
    f = json.loads(t.runtime("features").out)
    assert set(f) == {"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations", "potentiallyUnsafeConfigAnnotations"}, f.keys()
    linux = f["linux"]
    assert set(linux) == {"namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "memoryPolicy", "mountExtensions",
                          "netDevices"}, linux.keys()
    assert linux["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True} and set(linux["cgroup"]) == {"v1", "v2", "systemd", "systemdUser", "rdma"}
    assert set(linux["seccomp"]) == {"enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"}
    assert set(linux["namespaces"]) == {"user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"} and len(linux["memoryPolicy"]["modes"]) == 7
    assert "run.oci." in f["potentiallyUnsafeConfigAnnotations"] and all(isinstance(v, str) for v in f["annotations"].values())
    for mode in linux["memoryPolicy"]["modes"]:  # what is said to be known is
        nodes = {} if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        result = t.runtime("run", "-b", t.bundle({"linux": {"memoryPolicy": {"mode": mode, **nodes}}}, args=["true"]), t.id(), check=False)
        assert result.rc == 0 or "cannot set it" in result.err, (mode, result)
