# SPDX-License-Identifier: Apache-2.0
"""The systemd cgroup driver under a real systemd: in the virtual machine, or wherever systemd is PID 1."""

import json
import os
from pathlib import Path

from user_fixture import UID, User

GROUP = Path("/sys/fs/cgroup")


def systemctl(t, *args, **kw):
    return t.run(["systemctl", *args], **kw).out


def show(t, unit, *names):
    out = systemctl(t, "show", unit, *(f"-p{n}" for n in names))
    return dict(line.split("=", 1) for line in out.splitlines())


def driver(t, *args, **kw):
    return t.runtime("--systemd-cgroup", *args, **kw)


def slice_of(t):
    """A slice of the test's own; stopped at its end, for systemd keeps it, and the slices below it, as long as nobody says so."""
    name = f"havretest{os.getpid()}.slice"
    if not getattr(t, "slice_stops", False):
        t.slice_stops = True
        t.defer(t.run, ["systemctl", "stop", name], check=False)
    return name


def make(t, config, args=("sleep", "1000"), start=True):
    """A container that runs, its id and its scope's name."""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    cid = t.id()
    config.setdefault("linux", {}).setdefault("cgroupsPath", f"{slice_of(t)}:hv:{cid}")
    bundle = t.bundle(config, args=list(args))
    t.defer(t.runtime, "delete", "-f", cid, check=False)
    with open(os.devnull) as null:
        driver(t, "create", "-b", bundle, cid, stdout=null, stderr=None)
    if start:
        t.runtime("start", cid)
    return cid, f"hv-{cid}.scope"


def group_of(t, cid):
    pid = json.loads(t.runtime("state", cid).out)["pid"]
    return GROUP / Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")


def gone(t, unit):
    return show(t, unit, "LoadState")["LoadState"] == "not-found"


LIMITS = {
    "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20},
    "cpu": {"shares": 2048, "quota": 45000, "period": 90000, "cpus": "0-1", "mems": "0"},
    "pids": {"limit": 77}, "blockIO": {"weight": 100}, "unified": {"memory.high": str(48 << 20)},
}


def test_life(t):
    """a scope holds the container, with the limits as properties and in the files, is updated, and goes with the container"""
    cid, unit = make(t, {"linux": {"resources": LIMITS}, "annotations": {
        "org.systemd.property.TimeoutStopSec": "int32 7", "org.systemd.property.CollectMode": "'inactive'"}})
    group = group_of(t, cid)
    assert group == GROUP / slice_of(t) / unit
    shown = show(t, unit, "ControlGroup", "Slice", "Delegate", "MemoryMax", "MemoryLow", "MemorySwapMax", "MemoryHigh", "CPUWeight",
                 "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes", "TasksMax", "DevicePolicy",
                 "DefaultDependencies", "MemoryAccounting", "TasksAccounting", "Description", "TimeoutStopUSec", "CollectMode", "ActiveState")
    assert shown == {
        "ControlGroup": f"/{slice_of(t)}/{unit}", "Slice": slice_of(t), "Delegate": "yes", "MemoryMax": str(64 << 20),
        "MemoryLow": str(32 << 20), "MemorySwapMax": str(32 << 20), "MemoryHigh": str(48 << 20), "CPUWeight": (group / "cpu.weight").read_text().strip(),
        "CPUQuotaPerSecUSec": "500ms", "CPUQuotaPeriodUSec": "90ms", "AllowedCPUs": "0-1", "AllowedMemoryNodes": "0", "TasksMax": "77",
        "DevicePolicy": "strict", "DefaultDependencies": "no", "MemoryAccounting": "yes", "TasksAccounting": "yes",
        "Description": f"havre container {cid}", "TimeoutStopUSec": "7s", "CollectMode": "inactive", "ActiveState": "active"}, shown
    files = {"memory.max": 64 << 20, "memory.low": 32 << 20, "pids.max": 77, "cpu.max": "45000 90000", "memory.high": 48 << 20}
    for name, value in files.items():
        assert (group / name).read_text().strip() == str(value), name
    assert t.runtime("exec", cid, "cat", "/proc/self/cgroup").out == "0::/\n"

    t.runtime("update", "--memory", str(128 << 20), "--memory-swap", str(128 << 20), "--cpu-quota", "18000", "--pids-limit", "55", cid)
    systemctl(t, "daemon-reload")  # which writes everything that systemd knows again
    assert show(t, unit, "MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "TasksMax") == {
        "MemoryMax": str(128 << 20), "MemorySwapMax": "0", "CPUQuotaPerSecUSec": "200ms", "TasksMax": "55"}
    for name, value in {"memory.max": 128 << 20, "memory.swap.max": 0, "pids.max": 55, "cpu.max": "18000 90000"}.items():
        assert (group / name).read_text().strip() == str(value), name

    t.runtime("pause", cid)
    assert json.loads(t.runtime("state", cid).out)["status"] == "paused"
    t.runtime("resume", cid)
    t.runtime("delete", "-f", cid)
    assert gone(t, unit) and not group.exists()


def test_reload_keeps_devices(t):
    """after daemon-reload a container has the devices that it had, and not more"""
    cid, unit = make(t, {"linux": {
        "devices": [{"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}],
        "resources": {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]}}})

    def access():
        t.runtime("exec", cid, "sh", "-c", "echo x >/dev/null && head -c 1 /dev/zero >/dev/null")
        wrong = t.runtime("exec", cid, "sh", "-c", "mknod /tmp/k c 1 11 && : </tmp/k; rm -f /tmp/k", check=False)
        assert wrong.rc != 0 or "not permitted" in wrong.err, wrong
        allowed = t.runtime("exec", cid, "sh", "-c", ": </dev/mine", check=False)  # no such driver is not a refusal
        assert "not permitted" not in allowed.err, allowed
    access()
    for _ in range(2):
        systemctl(t, "daemon-reload")
        access()
    t.runtime("update", "-r", "-", cid, input=json.dumps({"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]}))
    access()
    systemctl(t, "daemon-reload")
    access()
    t.runtime("delete", "-f", cid)
    assert gone(t, unit)


def test_slices_and_subgroup(t):
    """nested slices are where systemd puts them, and crun's annotation makes the container's group one below the scope"""
    top = slice_of(t).removesuffix(".slice")
    cid, unit = make(t, {"linux": {"cgroupsPath": f"{top}-one-two.slice::inner", "resources": {"pids": {"limit": 9}}},
                         "annotations": {"run.oci.systemd.subgroup": "container"}})
    group = group_of(t, cid)
    assert group == GROUP / f"{top}.slice/{top}-one.slice/{top}-one-two.slice/inner.scope/container"
    assert (group / "pids.max").read_text() == "9\n"
    assert t.runtime("exec", cid, "cat", "/proc/self/cgroup").out == "0::/\n"
    t.runtime("delete", "-f", cid)
    assert gone(t, "inner.scope") and not group.parent.exists()
    cid, unit = make(t, {"linux": {"cgroupsPath": f"-::own{slice_of(t)}"}})
    group = group_of(t, cid)
    assert group == GROUP / f"own{slice_of(t)}"
    t.runtime("delete", "-f", cid)
    assert not group.exists()


def test_name_taken(t):
    """a running unit of the same name is an error that leaves it alone; a failed one that was left behind makes room"""
    cid, unit = make(t, {})
    pid = json.loads(t.runtime("state", cid).out)["pid"]
    other = t.id()
    bundle = t.bundle({"linux": {"cgroupsPath": f"{slice_of(t)}:hv:{cid}"}}, args=["true"])
    refused = driver(t, "create", "-b", bundle, other, check=False)
    assert refused.rc == 1 and unit in refused.err and "already" in refused.err, refused
    assert os.path.isdir(f"/proc/{pid}") and not (t.runtime_root / other).exists()
    t.runtime("delete", "-f", cid)
    failed = f"hv-{other}.scope"
    t.run(["systemd-run", "--scope", "--quiet", "--unit", failed, "-p", "RuntimeMaxSec=1", "sleep", "1000"], check=False)
    t.wait_for(lambda: show(t, failed, "ActiveState")["ActiveState"] == "failed")
    again, unit = make(t, {"linux": {"cgroupsPath": f"{slice_of(t)}:hv:{other}"}})
    assert show(t, failed, "ActiveState", "Description") == {"ActiveState": "active", "Description": f"havre container {again}"}
    t.runtime("delete", "-f", again)
    assert gone(t, failed)


def test_out_of_memory(t):
    """a container that the kernel killed leaves no failed unit behind"""
    cid, unit = make(t, {"linux": {"resources": {"memory": {"limit": 8 << 20, "swap": 8 << 20}}}},
                     args=["sh", "-c", "x=$(tail -c 64m /dev/zero | tr '\\0' x); sleep 1000"])
    t.wait_for(lambda: json.loads(t.runtime("state", cid).out)["status"] == "stopped" or
               "oom_kill 0" not in (GROUP / slice_of(t) / unit / "memory.events").read_text())
    t.runtime("delete", "-f", cid)
    assert gone(t, unit)


def test_killed_maker(t):
    """whatever system call of create the runtime is killed in, delete --force leaves no unit, group, process or state"""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    killpoint = t.build / "tests/tools/killpoint"
    if not killpoint.exists():
        t.skip("killpoint is not built")
    cid = t.id()
    bundle = t.bundle({"linux": {"cgroupsPath": f"{slice_of(t)}:hv:{cid}", "resources": {"pids": {"limit": 9}}}}, args=["sleep", "1000"])
    create = [str(a) for a in t.runtime_args("--systemd-cgroup", "create", "-b", bundle, cid)]

    def kill(n):
        with open(os.devnull, "wb") as null:
            return t.run([killpoint, str(n), *create], check=False, stdout=null, stderr=null).rc
    killed, n = 0, 20
    while kill(n) == 99:
        t.runtime("delete", "-f", cid, check=False)
        t.wait_for(lambda: gone(t, f"hv-{cid}.scope"))
        assert not (GROUP / f"{slice_of(t)}/hv-{cid}.scope").exists() and not (t.runtime_root / cid).exists(), n
        killed, n = killed + 1, n + 30
    t.runtime("delete", "-f", cid)
    assert killed > 4 and gone(t, f"hv-{cid}.scope")


test_killed_maker.timeout = 200


def test_force_v1(t):
    """crun's annotation gives a container the v1 hierarchy that an old systemd needs, and says how to mount it when it is not there"""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    where = t.tmp / "v1"
    where.mkdir()
    annotations = {"run.oci.systemd.force_cgroup_v1": str(where)}
    cgroup = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    cid = t.id()
    bundle = t.bundle({"annotations": annotations}, args=["true"])
    refused = driver(t, "create", "-b", bundle, cid, check=False)
    assert refused.rc == 1 and "mount -t cgroup" in refused.err, refused
    t.run(["mount", "-t", "cgroup", "-o", "none,name=systemd,xattr", "cgroup", where])
    t.defer(t.run, ["umount", where])
    config = {"annotations": annotations, "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, cgroup]}
    cid, unit = make(t, config)
    pid = json.loads(t.runtime("state", cid).out)["pid"]
    lines = Path(f"/proc/{pid}/cgroup").read_text().split()
    assert f"1:name=systemd:/{slice_of(t)}/{unit}" in lines and f"0::/{slice_of(t)}/{unit}" in lines, lines
    assert t.runtime("exec", cid, "ls", "/sys/fs/cgroup").out == "systemd\n"
    assert t.runtime("exec", cid, "cat", "/sys/fs/cgroup/systemd/cgroup.procs").out.split()[0] == "1"
    t.runtime("delete", "-f", cid)
    assert gone(t, unit) and not (where / slice_of(t) / unit).exists()


def test_user(t):
    """without a session an ordinary user is told what is missing"""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    cid = t.id()
    bundle = t.bundle({}, args=["true"])
    done = t.run(["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", t.bin / "havre-runtime", "--root", "/tmp/user-state",
                  "--systemd-cgroup", "create", "-b", bundle, cid], check=False)
    assert done.rc == 1 and ("XDG_RUNTIME_DIR" in done.err or "cannot" in done.err), done


class SessionUser(User):
    """A user with a systemd of its own, in a group that the machine's has delegated to it; its programs run beside that."""

    def __init__(self, t):
        super().__init__(t)
        unit = t.id("session")
        self.group = GROUP / "system.slice" / f"{unit}.service"
        variables = [f"--setenv={name}={value}" for name, value in self.env.items()]
        # The user is in no passwd(5) that systemd reads: the ids are changed and the group is given away as it would do it.
        script = f"""cd /sys/fs/cgroup$(sed s/^0::// /proc/self/cgroup) && chown {UID}:{UID} . cgroup.procs cgroup.subtree_control cgroup.threads &&
            exec setpriv --reuid={UID} --regid={UID} --clear-groups /lib/systemd/systemd --user --unit=basic.target >{self.home}/log 2>&1"""
        t.run(["systemd-run", "--quiet", f"--unit={unit}", "-pDelegate=yes", "-pDefaultDependencies=no", "-pSlice=system.slice", *variables,
               "/bin/sh", "-c", script])
        t.defer(t.run, ["systemctl", "stop", unit], check=False)
        t.wait_for(lambda: (self.home / "run/systemd/private").exists())
        self.own = self.group / "own"
        self.own.mkdir()
        for path in (self.own, self.own / "cgroup.procs"):
            os.chown(path, UID, UID)

    def become(self):
        (self.own / "cgroup.procs").write_text("0")
        super().become()


def test_user_session(t):
    """an ordinary user's container is in a scope of the user's own systemd, with its limits; exec, pause, update and delete are there for it"""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    user = SessionUser(t)
    cid, bundle = t.id(), t.bundle({"linux": {"resources": {"pids": {"limit": 33}}}}, args=["sleep", "1000"])
    t.run(["chown", "-R", f"{UID}:{UID}", bundle])
    t.defer(user.runtime, "delete", "--force", cid, check=False)
    user.detached("--systemd-cgroup", "run", "--detach", "-b", bundle, cid)
    group = group_of_user(user, cid)
    assert group == user.group / f"user.slice/havre-{cid}.scope" and (group / "pids.max").read_text() == "33\n", group
    seen = user.runtime("exec", cid, "sh", "-c", "cat /proc/self/cgroup; id -u")
    assert seen.out == "0::/\n0\n", seen
    status = user.runtime("exec", cid, "sh", "-c", "exit 9", check=False)
    assert status.rc == 9, status
    user.runtime("update", "--pids-limit", "44", cid)
    assert (group / "pids.max").read_text() == "44\n"
    user.runtime("pause", cid)
    assert json.loads(user.runtime("state", cid).out)["status"] == "paused"
    user.runtime("resume", cid)
    user.runtime("delete", "--force", cid)
    t.wait_for(lambda: not group.exists())


def group_of_user(user, cid):
    pid = json.loads(user.runtime("state", cid).out)["pid"]
    return GROUP / Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")


test_user_session.timeout = 120


def test_systemd_engine(t):
    """havre's containers are scopes where systemd runs: limits, update, stats, --cgroup-parent, and another driver by the configuration file"""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "box", "--memory", "64m", "--pids-limit", "50", image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "box")
    cid = t.havre("inspect", "-f", "{{.Id}}", "box").out.strip()
    unit = f"havre-{cid}.scope"
    assert t.havre("info", "--format", "{{.CgroupDriver}}").out.strip() == "systemd"
    assert show(t, unit, "Slice", "MemoryMax", "TasksMax") == {"Slice": "system.slice", "MemoryMax": str(64 << 20), "TasksMax": "50"}
    group = GROUP / "system.slice" / unit
    assert (group / "memory.max").read_text().strip() == str(64 << 20)
    t.havre("update", "--memory", "80m", "box")
    assert (group / "memory.max").read_text().strip() == str(80 << 20)
    assert "80MiB" in t.havre("stats", "--no-stream", "--format", "{{.MemUsage}}", "box").out
    t.havre("pause", "box")
    assert t.havre("inspect", "-f", "{{.State.Status}}", "box").out == "paused\n"
    t.havre("unpause", "box")
    t.havre("exec", "box", "true")
    t.havre("stop", "-t", "0", "box")
    t.wait_for(lambda: gone(t, unit), what="the scope is gone")
    name = slice_of(t)
    t.havre("run", "-d", "--name", "below", "--cgroup-parent", name, image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "below")
    assert show(t, f"havre-{t.havre('inspect', '-f', '{{.Id}}', 'below').out.strip()}.scope", "Slice") == {"Slice": name}
    wrong = t.havre("run", "--rm", "--cgroup-parent", "/some/where", image, "true", check=False)
    assert wrong.rc == 125 and "NAME.slice" in wrong.err, wrong
    config = t.tmp / "havre.toml"
    config.write_text('[cgroup]\ndriver = "cgroupfs"\n')
    t.havre("run", "--rm", "--cgroup-parent", "/havre/some", image, "true", env={"HAVRE_CONFIG": str(config)})


def test_systemd_crun(t):
    """crun under the engine, where the machine has cgroup v2: a whole life"""
    if not os.path.isdir("/run/systemd/system"):
        t.skip("systemd is not running here")
    t.need("crun")
    from test_other_runtimes import life
    image = t.busybox_image()
    life(t, "crun", image)
    t.havre("run", "-d", "--name", "big", "--runtime", "crun", "--network", "none", "--memory", "48m", image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "big")
    assert "sleep 1000" in t.havre("top", "big").out
    assert "/ 48MiB" in t.havre("stats", "--no-stream", "--format", "{{.MemUsage}}", "big").out


test_systemd_crun.timeout = test_systemd_engine.timeout = 180
