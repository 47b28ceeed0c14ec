# SPDX-License-Identifier: Apache-2.0
"""Containers of ordinary users, and of root in a user namespace."""

import json
import os
import shutil
from pathlib import Path

from user_fixture import LIBC, SUBIDS, UID, User

def namespaces(spec, *without, **more):
    kept = [n for n in spec["linux"]["namespaces"] if n["type"] not in without]
    spec["linux"]["namespaces"] = kept + [{"type": k, **v} for k, v in more.items()]


def maps(spec, *lines):
    for key in ("uidMappings", "gidMappings"):
        spec["linux"][key] = [{"containerID": a, "hostID": b, "size": c} for a, b, c in lines]


def test_spec_rootless(t):
    """what spec --rootless prints runs for an ordinary user, who is root inside and sees the host's network"""
    user = User(t)
    out = user.output("id -u; cat /proc/self/uid_map; readlink /proc/self/ns/net; cat /sys/class/net/lo/address", rootless=True).out
    lines = out.split("\n")
    assert lines[0] == "0" and lines[1].split() == ["0", str(UID), "1"], out
    assert lines[2] == os.readlink("/proc/self/ns/net") and lines[3] == "00:00:00:00:00:00", out


def test_spec_rootless_is_runc_s(t):
    """spec --rootless says what runc's says: namespaces, mappings, mounts, no limits"""
    t.need("runc")
    user = User(t)
    ours, theirs = user.home / "ours", user.home / "theirs"
    for d in (ours, theirs):
        d.mkdir()
        os.chown(d, UID, UID)
    a = user.spec(ours, "--rootless")
    user.run("runc", "spec", "--rootless", "--bundle", theirs)
    b = json.loads((theirs / "config.json").read_text())
    assert a["mounts"] == b["mounts"]
    for key in ("uidMappings", "gidMappings", "maskedPaths", "readonlyPaths"):
        assert set(map(str, a["linux"][key])) >= set(map(str, b["linux"][key])), key
    assert "resources" not in a["linux"] and "resources" not in b["linux"]
    # Newer ones of runc add a cgroup namespace, as we do.
    assert {n["type"] for n in a["linux"]["namespaces"]} - {"cgroup"} == {n["type"] for n in b["linux"]["namespaces"]} - {"cgroup"}


def test_user_namespace_is_added(t):
    """a configuration for root runs for an ordinary user, too: it gets a user namespace with the caller as root"""
    user = User(t)
    out = user.output("id -u; cat /proc/self/uid_map; echo x >/dev/null; head -c1 /dev/zero | wc -c; ls /dev/pts; ls /dev/mqueue").out
    assert out.split("\n")[0] == "0" and out.split("\n")[1].split() == ["0", str(UID), "1"] and "\n1\nptmx" in out, out
    assert "only one user id" in user.log.read_text() and "/etc/subuid" in user.log.read_text()


def test_subordinate_ids(t):
    """with ranges in /etc/subuid the container has many ids: other users, groups and owners work"""
    t.need("newuidmap", "newgidmap")
    user = User(t, SUBIDS)

    def edit(spec):
        spec["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [2000, 3000]}
        spec["process"]["capabilities"] = {k: ["CAP_CHOWN"] for k in ("bounding", "permitted", "effective", "inheritable", "ambient")}
    out = user.output("id -u; id -G; cat /proc/self/uid_map; touch /dev/shm/f; chown 7:8 /dev/shm/f; stat -c %u:%g /dev/shm/f", edit).out
    lines = out.split("\n")
    assert lines[0] == "1000" and lines[1].split() == ["1000", "2000", "3000"], out
    assert lines[2].split() == ["0", str(UID), "1"] and lines[3].split() == ["1", str(SUBIDS[0]), str(SUBIDS[1])], out
    assert lines[4] == "7:8", out
    assert "only one" not in user.log.read_text()


def test_terminal_group(t):
    """with many ids the terminals belong to the container's group 5, with one to the user"""
    t.need("newuidmap", "newgidmap")
    assert "gid=5" in User(t, SUBIDS).output("grep devpts /proc/mounts").out.replace(f"gid={SUBIDS[0] + 4}", "gid=5")
    assert "gid=" not in User(t).output("grep devpts /proc/mounts").out


def test_given_mappings(t):
    """mappings of several ranges that the configuration gives are used; those that are not the user's are refused with newuidmap's words"""
    t.need("newuidmap", "newgidmap")
    user = User(t, SUBIDS)

    def several(spec):
        maps(spec, (0, UID, 1), (1, SUBIDS[0], 10), (100, SUBIDS[0] + 10, 10))
    out = user.output("cat /proc/self/uid_map", several, rootless=True).out
    assert [line.split() for line in out.splitlines()] == [
        ["0", str(UID), "1"], ["1", str(SUBIDS[0]), "10"], ["100", str(SUBIDS[0] + 10), "10"]], out

    def foreign(spec):
        maps(spec, (0, UID, 1), (1, 100, 10))
    wrong = user.output("true", foreign, rootless=True, check=False)
    assert wrong.rc == 1 and "linux.uidMappings" in wrong.err and "newuidmap" in wrong.err and "not allowed" in wrong.err, wrong
    assert not os.listdir(user.states), "nothing is left of it"


def test_mappers_missing(t):
    """without newuidmap one id is mapped, and said; mappings that the configuration demands are an error that names the package"""
    user = User(t, SUBIDS)
    empty = {"PATH": user.home / "empty"}
    out = user.output("cat /proc/self/uid_map", env=empty).out
    assert out.split() == ["0", str(UID), "1"], out
    assert "newuidmap is not in PATH (package uidmap)" in user.log.read_text()

    def several(spec):
        maps(spec, (0, UID, 1), (1, SUBIDS[0], 10))
    wrong = user.output("true", several, rootless=True, env=empty, check=False)
    assert wrong.rc == 1 and "linux.uidMappings" in wrong.err and "package uidmap" in wrong.err, wrong


def test_mappers_not_allowed(t):
    """a newuidmap that fails (here: not privileged) leaves one id, with its words in the warning"""
    t.need("newuidmap", "newgidmap")
    user = User(t, SUBIDS)
    tools = user.home / "tools"
    tools.mkdir()
    for name in ("newuidmap", "newgidmap"):
        shutil.copy(shutil.which(name), tools / name)
        (tools / name).chmod(0o755)
    out = user.output("cat /proc/self/uid_map; id -u", lambda s: s["process"].update(user={"uid": 7, "gid": 7}),
                      env={"PATH": tools}).out
    assert out.split() == ["7", str(UID), "1", "7"], out
    assert "only one user id is mapped" in user.log.read_text()


def test_no_root_inside(t):
    """a mapping without 0 works when the process's user is in it"""
    user = User(t)

    def edit(spec):
        maps(spec, (1000, UID, 1))
        spec["process"]["user"] = {"uid": 1000, "gid": 1000}
    assert user.output("id -u; touch /dev/shm/x && echo made", edit, rootless=True).out == "1000\nmade\n"


def test_groups_are_refused(t):
    """additionalGids that cannot be had are an error that says what to do"""
    wrong = User(t).output("true", lambda s: s["process"]["user"].update(additionalGids=[10]), check=False)
    assert wrong.rc == 1 and "process.user.additionalGids" in wrong.err and "/etc/subgid" in wrong.err, wrong


def test_setgroups_is_denied(t):
    """one mapped id means that groups cannot be dropped inside, which would get around files that deny a group"""
    assert User(t).output("cat /proc/self/setgroups").out == "deny\n"


def test_life(t):
    """create, start, state, list, exec, ps, kill and delete of a rootless container without control groups"""
    user = User(t)
    name, bundle = t.id(), user.bundle(["sh", "-c", "sleep 1000 & sleep 1000; true"])
    t.defer(user.runtime, "delete", "--force", name)
    user.detached("create", "--bundle", bundle, name)
    assert json.loads(user.runtime("state", name).out)["status"] == "created"
    pid = json.loads(user.runtime("state", name).out)["pid"]
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0, "the waiting process is not dumpable"
    user.runtime("start", name)
    assert name in user.runtime("list").out
    assert user.runtime("exec", name, "id", "-u").out == "0\n"
    pids = t.wait_for(lambda: (p := json.loads(user.runtime("ps", "--format", "json", name).out)) and len(p) == 3 and p)
    assert pid in pids, pids
    assert user.runtime("exec", name, "sh", "-c", "exit 5", check=False).rc == 5
    refused = user.runtime("pause", name, check=False)
    assert refused.rc == 1 and "no cgroup" in refused.err, refused
    assert "no control group" in user.log.read_text()
    user.runtime("kill", "--all", name, "KILL")
    t.wait_for(lambda: json.loads(user.runtime("state", name).out)["status"] == "stopped")
    user.runtime("delete", name)
    assert not os.listdir(user.states)


def test_shared_pid_namespace(t):
    """with the host's PID namespace ps and delete find what descends from the first process, and nothing else"""
    user = User(t)
    name = user.container(user.bundle(["sh", "-c", "sleep 1000 & sleep 1000; true"], lambda s: (
        namespaces(s, "pid"), [m.update(type="bind", source="/proc", options=["rbind"]) for m in s["mounts"] if m["destination"] == "/proc"])))
    pids = t.wait_for(lambda: (p := json.loads(user.runtime("ps", "--format", "json", name).out)) and len(p) == 3 and p)
    user.runtime("delete", "--force", name)
    t.wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids))


def test_terminal(t):
    """run and exec on a terminal work for an ordinary user"""
    user = User(t)
    bundle = user.bundle(["sh", "-c", "tty; sleep 1000"], lambda s: s["process"].update(terminal=True))
    name = t.id()
    t.defer(user.runtime, "delete", "--force", name)
    t.need("setpriv")
    drop = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
    terminal = t.terminal([*drop, user.bin, "--log", user.log, "run", "--bundle", bundle, name], env=user.env)
    terminal.expect("/dev/pts/0")
    other = t.terminal([*drop, user.bin, "--log", user.log, "exec", "--tty", name, "sh", "-c", "tty; exit 3"], env=user.env)
    other.expect("/dev/pts/1")
    assert other.wait() == 3


def test_state_directory(t):
    """states are below XDG_RUNTIME_DIR; without it the error says what to set"""
    user = User(t)
    name = user.container(user.bundle(["sleep", "1000"]))
    assert os.listdir(user.states) == [name]
    if os.stat("/run").st_mode & 2:
        t.skip("everybody may make directories in /run here")
    wrong = user.output("true", env={"XDG_RUNTIME_DIR": None}, check=False)
    assert wrong.rc == 1 and "XDG_RUNTIME_DIR" in wrong.err, wrong
    assert user.runtime("list", "--quiet", env={"XDG_RUNTIME_DIR": None}).out == ""


def test_rootless_flag(t):
    """--rootless=false keeps the configuration as it is, and other words are refused"""
    user = User(t)
    wrong = user.runtime("--rootless", "false", "--cgroup-manager", "disabled", "run", "--bundle", user.bundle(), t.id(), check=False)
    assert wrong.rc == 1 and "CAP_SYS_ADMIN" in wrong.err, wrong
    assert user.runtime("--rootless", "true", "run", "--bundle", user.bundle(), t.id()).rc == 0
    assert user.runtime("--rootless", "auto", "run", "--bundle", user.bundle(), t.id()).rc == 0
    wrong = t.runtime("--rootless", "maybe", "list", check=False)
    assert wrong.rc == 1 and "--rootless is true, false or auto" in wrong.err, wrong


def test_impossible_limit(t):
    """a limit that no control group can hold is an error that names it, the reason, and leaves nothing"""
    user = User(t)
    wrong = user.output("true", lambda s: s["linux"].update(resources={"pids": {"limit": 10}}), check=False)
    assert wrong.rc == 1 and "linux.resources.pids.limit" in wrong.err and "cannot m" in wrong.err, wrong
    assert not os.listdir(user.states)


def test_process_properties(t):
    """OOM score and rlimits of an ordinary user's container: raised and lowered as far as the kernel lets it"""
    user = User(t)

    def edit(spec):
        spec["process"]["oomScoreAdj"] = 500
        spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    name = user.container(user.bundle(["sleep", "1000"], edit))
    assert user.runtime("exec", name, "cat", "/proc/1/oom_score_adj").out == "500\n"
    limits = user.runtime("exec", name, "grep", "open files", "/proc/1/limits").out.split()
    assert limits[3:5] == ["100", "200"], limits
    assert "oomScoreAdj" not in user.log.read_text()
    user.output("true", lambda s: s["process"].update(oomScoreAdj=-1000))
    assert "oomScoreAdj -1000 is not set" in user.log.read_text()


def test_host_network(t):
    """with the host's network a sysfs cannot be mounted: the host's is bound, read-only all over"""
    user = User(t)
    out = user.output("cat /sys/class/net/lo/address; grep ' /sys' /proc/mounts", lambda s: namespaces(s, "network")).out
    assert out.startswith("00:00:00:00:00:00"), out
    below = [line.split() for line in out.splitlines()[1:]]
    assert below and all("ro" in fields[3].split(",") for fields in below), out


def test_binds(t):
    """binds of the user's own files, absolute and relative to the bundle, files and directories; idmapped ones are refused"""
    user = User(t)
    (user.home / "data").mkdir()
    (user.home / "data/file").write_text("hello")

    def edit(spec):
        spec["mounts"] += [{"destination": "/a", "type": "bind", "source": str(user.home / "data"), "options": ["rbind", "ro"]},
                           {"destination": "/b", "type": "bind", "source": "../data/file", "options": ["bind"]}]
    assert user.output("cat /a/file /b; touch /a/x 2>/dev/null || echo ro", edit).out == "hellohelloro\n"

    def idmap(spec):
        spec["mounts"].append({"destination": "/a", "type": "bind", "source": str(user.home / "data"), "options": ["rbind", "idmap"]})
    wrong = user.output("true", idmap, check=False)
    assert wrong.rc == 1 and "only root can map the ids" in wrong.err, wrong


def test_joins_network_namespace(t):
    """a network namespace of the user's own is joined together with the user namespace that owns it"""
    user = User(t)
    holder = user.t.start(["unshare", "--user", "--map-root-user", "--net", "sleep", "1000"], preexec_fn=user.become)
    t.wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net")
               and os.path.exists(f"/proc/{holder.pid}/exe") and "sleep" in os.readlink(f"/proc/{holder.pid}/exe"))

    def edit(spec):
        namespaces(spec, "network", user={"path": f"/proc/{holder.pid}/ns/user"}, network={"path": f"/proc/{holder.pid}/ns/net"})
    out = user.output("readlink /proc/self/ns/net; readlink /proc/self/ns/user; id -u", edit).out
    assert out.split() == [os.readlink(f"/proc/{holder.pid}/ns/net"), os.readlink(f"/proc/{holder.pid}/ns/user"), "0"], out


def in_user_namespace(user, *args, **kw):
    return user.run("unshare", "--user", "--map-root-user", user.bin, "--log", user.log, *args, **kw)


def test_root_in_a_user_namespace(t):
    """root of a user namespace, without a mount namespace of its own, makes containers: with one more user namespace, and without"""
    user = User(t)
    plain = user.bundle(["sh", "-c", "id -u; cat /proc/self/uid_map; head -c1 /dev/zero | wc -c"])
    out = in_user_namespace(user, "run", "--bundle", plain, t.id()).out
    assert out.split() == ["0", "0", str(UID), "1", "1"], out
    assert os.path.isdir(user.states), "its states are the user's"

    def nested(spec):
        namespaces(spec, user={})
        maps(spec, (0, 0, 1))
        spec["process"]["oomScoreAdj"] = 300
    deep = user.bundle(["sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/oom_score_adj"], nested)
    out = in_user_namespace(user, "run", "--bundle", deep, t.id()).out
    assert out.split() == ["0", "0", "0", "1", "300"], out


def test_masked_proc(t):
    """where a part of /proc is masked a new one cannot be mounted: the error says so"""
    user = User(t)
    outer = user.bundle(["sh", "-c", "/havre-runtime --root /tmp/r run --bundle /inner x 2>&1; echo $?"], lambda s: s["mounts"].append(
        {"destination": "/havre-runtime", "type": "bind", "source": str(user.bin), "options": ["bind", "ro"]}))
    inner = user.bundle(edit=lambda s: (namespaces(s, user={}), maps(s, (0, 0, 1))))
    spec = json.loads((outer / "config.json").read_text())
    spec["mounts"].append({"destination": "/inner", "type": "bind", "source": str(inner), "options": ["rbind"]})
    spec["process"]["capabilities"] = {k: ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT", "CAP_NET_ADMIN", "CAP_SETFCAP"]
                                       for k in ("bounding", "permitted", "effective")}
    (outer / "config.json").write_text(json.dumps(spec))
    out = user.runtime("run", "--bundle", outer, t.id()).out
    assert "part of /proc masked" in out and out.endswith("1\n"), out


CGROUP = Path("/sys/fs/cgroup")


def delegated(t):
    """A subtree of every hierarchy that can be made to belong to the user; its directories. v2: with room for the runtime itself."""
    name, made = t.id("delegated"), []
    tops = [CGROUP] if t.cgroup_mode() == "v2" else [p for p in CGROUP.iterdir() if (p / "cgroup.procs").exists() and not p.is_symlink()]
    for top in tops:
        group = top / name
        group.mkdir()
        t.defer(group.rmdir)
        made.append(group)
        if top.name == "cpuset":
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((top / file).read_text())
        for path in (group, *group.iterdir()):
            if path == group or path.name in ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"):
                os.chown(path, UID, UID)
        if (group / "cgroup.subtree_control").exists():
            (group / "own").mkdir()
            t.defer((group / "own").rmdir)
            os.chown(group / "own", UID, UID)
            os.chown(group / "own/cgroup.procs", UID, UID)
    return name, made


class DelegatedUser(User):
    """Its programs run in the delegated groups (v2: in one below, so that there is room for others)."""

    def __init__(self, t):
        super().__init__(t)
        self.name, self.groups = delegated(t)

    def become(self):
        for group in self.groups:
            own = group / "own"
            ((own if own.exists() else group) / "cgroup.procs").write_text("0")
        super().become()


def test_delegated_cgroup(t):
    """where control groups are delegated the container has its own, with limits, pause, and statistics, and they go with it"""
    user = DelegatedUser(t)
    name = user.container(user.bundle(["sleep", "1000"], lambda s: s["linux"].update(resources={"pids": {"limit": 33}})))
    groups = [p for g in user.groups for p in g.rglob(f"*{name}*")]
    pids = [g for g in groups if (g / "pids.max").exists()]
    assert pids and pids[0].joinpath("pids.max").read_text() == "33\n", groups
    assert user.runtime("exec", name, "true").rc == 0
    user.runtime("pause", name)
    assert json.loads(user.runtime("state", name).out)["status"] == "paused"
    user.runtime("resume", name)
    user.runtime("delete", "--force", name)
    assert not [p for g in user.groups for p in g.rglob(f"*{name}*")]
    for group in user.groups:
        if (group / "havre").exists():
            (group / "havre").rmdir()
    assert "no control group" not in user.log.read_text()


def test_cve_2023_25809(t):
    """the user's own control groups, which it may write outside, are not writable from inside through a bound /sys: with a cgroup
    namespace or the host's, and whether /sys is a bind or stands in for a sysfs"""
    user = DelegatedUser(t)
    place = "unified/" if t.cgroup_mode() == "hybrid" else ""
    attack = (f"for d in /sys/fs/cgroup/{place}{user.name} /sys/fs/cgroup/pids/{user.name} /host/fs/cgroup/{place}{user.name} "
              f"/host/fs/cgroup/pids/{user.name}; do mkdir $d/attack 2>/dev/null && echo made $d; done; "
              "for f in $(find /sys/fs/cgroup /host/fs/cgroup -name cgroup.procs 2>/dev/null); do { echo 0 >$f; } 2>/dev/null && echo wrote $f; done; echo end")
    proof = user.run("sh", "-c", f"mkdir {user.groups[0]}/proof && rmdir {user.groups[0]}/proof && echo writable")
    assert proof.out == "writable\n"
    sys_bind = {"destination": "/host", "type": "none", "source": "/sys", "options": ["rbind", "ro"]}

    def bound(*drop, cgroup_mount=True):
        def edit(spec):
            namespaces(spec, *drop)
            spec["mounts"].append(sys_bind)
            if not cgroup_mount:
                spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/sys/fs/cgroup"]
        return edit
    for rootless, edit in ((True, bound("cgroup", cgroup_mount=False)), (True, bound("cgroup")), (True, bound(cgroup_mount=False)),
                           (False, bound("network", "cgroup", cgroup_mount=False)), (False, bound("network", "cgroup"))):
        out = user.output(attack, edit, rootless=rootless).out
        assert out == "end\n", out
    for group in user.groups:
        if (group / "havre").exists():
            (group / "havre").rmdir()


test_masked_proc.asan = False  # runs the program itself inside, where a sanitized one has no libraries
