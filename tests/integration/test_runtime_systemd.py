# SPDX-License-Identifier: Apache-2.0
"""The systemd cgroup driver against a systemd of the tests' own making: what it asks for, and what it does when that one misbehaves."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib import system
from systemd_fixture import FakeSystemd

UNIT_EXISTS = "error org.freedesktop.systemd1.UnitExists"
NO_SUCH_UNIT = "error org.freedesktop.systemd1.NoSuchUnit"
DENIED = "error org.freedesktop.DBus.Error.AccessDenied"


def own_slice():
    """Each test is a process: a slice that nobody else makes or removes."""
    return f"havretest{os.getpid()}.slice"


def driver(t, fake, *args, driver="--systemd-cgroup", **kw):
    """A command of the runtime where `fake` is systemd. Create has a container that holds on to its pipes: no pipes for that."""
    err = t.tmp / f"err{t.id()}"
    with open(os.devnull, "wb") as null, open(err, "wb") as f:
        done = t.run(fake.command(*t.runtime_args(*([driver] if driver else []), *args)), stdout=null, stderr=f, check=False, **kw)
    done.err = err.read_text(errors="replace")
    return done


def bundle(t, cid, config=None, args=("sleep", "1000"), path=None):
    config = config or {}
    config.setdefault("linux", {})["cgroupsPath"] = path if path is not None else f"{own_slice()}:hv:{cid}"
    return t.bundle(config, args=list(args))


def make(t, fake, config=None, **kw):
    cid = t.id()
    b = bundle(t, cid, config, **kw)
    t.defer(driver, t, fake, "delete", "-f", cid)
    done = driver(t, fake, "create", "-b", b, cid)
    assert done.rc == 0, done
    return cid


def left_of(t, cid):
    left = [str(p) for p in t.runtime_root.iterdir() if p.name == cid]
    left += [d for d in system.cgroup_directories() if cid in d]
    return left


def groups_of(pid):
    """Paths of the process's groups, one for each hierarchy that is mounted where we look."""
    return {line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()}


def properties(call):
    found = {}
    for name, value in call[2]:
        found[name] = found[name] + value if name in found and isinstance(value, list) else value
    return found


def test_calls(t):
    """one call makes the scope, with the process and every limit that systemd has a word for; delete stops it"""
    v2 = t.cgroup_mode() == "v2"
    fake = FakeSystemd(t)
    cid = make(t, fake, {
        "linux": {"resources": {
            "memory": {"limit": 64 << 20, "reservation": 32 << 20}, "cpu": {"shares": 1024, "quota": 25000, "period": 100000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 50}, "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
                                               {"allow": True, "type": "b", "major": 7, "access": "r"}]}},
        "annotations": {"org.systemd.property.TimeoutStopSec": "1.5", "org.systemd.property.CollectMode": "'inactive'",
                        "org.systemd.property.After": "['a.service', \"b.service\"]", "org.systemd.property.RuntimeMaxUSec": "@t 5",
                        "org.systemd.property.Nice": "int16 -3", "org.systemd.property.SendSIGHUP": "true", "other": "x"}})
    assert [name for name, _ in fake.calls] == ["Get", "StartTransientUnit"]
    (start,) = fake.called("StartTransientUnit")
    pid = json.loads(t.runtime("state", cid).out)["pid"]
    assert start[0] == f"hv-{cid}.scope" and start[1] == "fail" and start[3] == []
    got = properties(start)
    common = {
        "Slice": own_slice(), "Delegate": True, "PIDs": [pid], "Description": f"havre container {cid}", "DefaultDependencies": False,
        "CPUAccounting": True, "MemoryAccounting": True, "TasksAccounting": True, "CollectMode": "inactive", "TimeoutStopUSec": 1500000,
        "After": ["a.service", "b.service"], "RuntimeMaxUSec": 5, "Nice": -3, "SendSIGHUP": True, "TasksMax": 50, "AllowedCPUs": [1],
        "AllowedMemoryNodes": [1], "CPUQuotaPeriodUSec": 100000, "CPUQuotaPerSecUSec": 250000, "DevicePolicy": "strict"}
    if v2:
        common |= {"IOAccounting": True, "MemoryMax": 64 << 20, "MemoryLow": 32 << 20, "CPUWeight": got["CPUWeight"]}
        assert 30 < got["CPUWeight"] < 110
    else:
        common |= {"BlockIOAccounting": True, "MemoryLimit": 64 << 20, "CPUShares": 1024}
    devices = dict(got.pop("DeviceAllow"))
    assert devices["/dev/char/10:200"] == "rw" and devices["/dev/char/1:3"] == "rwm" and devices["char-pts"] == "rwm", devices
    assert devices["char-*"] == devices["block-*"] == "m" and devices.get("block-loop", "r") == "r", devices
    assert got == common, (got, common)
    assert f"/{own_slice()}/hv-{cid}.scope" in groups_of(pid)
    fake.calls.clear()
    assert driver(t, fake, "delete", "-f", cid).rc == 0
    assert fake.calls == [("StopUnit", [f"hv-{cid}.scope", "replace"]), ("ResetFailedUnit", [f"hv-{cid}.scope"])], fake.calls
    assert not left_of(t, cid)


def test_limits_hold(t):
    """the limits are in the group's files too, and exec enters the group"""
    fake = FakeSystemd(t)
    cid = make(t, fake, {"linux": {"resources": {"pids": {"limit": 11}}}})
    pid = json.loads(t.runtime("state", cid).out)["pid"]
    top = "/sys/fs/cgroup" + ("" if t.cgroup_mode() == "v2" else "/pids")
    assert Path(f"{top}/{own_slice()}/hv-{cid}.scope/pids.max").read_text() == "11\n"
    assert driver(t, fake, "start", cid).rc == 0
    inside = t.runtime("exec", cid, "cat", "/proc/self/cgroup").out
    assert set(line.split(":", 2)[2] for line in inside.splitlines()) == {"/"} or f"hv-{cid}.scope" in inside
    assert groups_of(pid)


def test_update(t):
    """update tells systemd before it writes, completes what a property says in one, and fails when systemd refuses"""
    fake = FakeSystemd(t)
    cid = make(t, fake, {"linux": {"resources": {"cpu": {"quota": 25000, "period": 50000}}}})
    fake.calls.clear()
    assert driver(t, fake, "update", "--cpu-quota", "5000", "--pids-limit", "-1", cid, driver=None).rc == 0
    ((unit, runtime_only, changed),) = fake.called("SetUnitProperties")
    assert (unit, runtime_only) == (f"hv-{cid}.scope", True)
    assert dict(changed) == {"CPUQuotaPeriodUSec": 50000, "CPUQuotaPerSecUSec": 100000, "TasksMax": 2**64 - 1}, changed
    fake.answers["SetUnitProperties"] = "error org.freedesktop.systemd1.NoSuchUnit"
    refused = driver(t, fake, "update", "--pids-limit", "7", cid, driver=None)
    assert refused.rc == 1 and "SetUnitProperties" in refused.err and "told to fail" in refused.err, refused


def test_bus(t):
    """without the private socket the bus is used: hello, a match for the jobs, and a destination"""
    fake = FakeSystemd(t, bus=True)
    cid = make(t, fake)
    assert [name for name, _ in fake.calls] == ["Hello", "Get", "AddMatch", "StartTransientUnit"]
    assert "member='JobRemoved'" in fake.called("AddMatch")[0][0]
    assert driver(t, fake, "delete", "-f", cid).rc == 0 and not left_of(t, cid)


def test_names(t):
    """the unit and its place follow from cgroupsPath"""
    fake = FakeSystemd(t, root="/outer")
    for path, unit, group in (("", "havre-{}.scope", "/outer/system.slice/havre-{}.scope"),
                              ("a-b.slice:p:x{}", "p-x{}.scope", "/outer/a.slice/a-b.slice/p-x{}.scope"),
                              ("-::x{}", "x{}.scope", "/outer/x{}.scope"),
                              ("-::x{}@+", "x{}@\\x2b.scope", "/outer/x{}@\\x2b.scope")):
        cid = t.id()
        b = bundle(t, cid, path=path.format(cid))
        t.defer(driver, t, fake, "delete", "-f", cid)
        fake.calls.clear()
        done = driver(t, fake, "create", "-b", b, cid)
        assert done.rc == 0, (path, done)
        assert fake.called("StartTransientUnit")[0][0] == unit.format(cid)
        pid = json.loads(t.runtime("state", cid).out)["pid"]
        assert group.format(cid) in groups_of(pid), (path, groups_of(pid))
        assert driver(t, fake, "delete", "-f", cid).rc == 0 and not left_of(t, cid)


def test_wrong_names(t):
    """what is no cgroupsPath of a unit is refused by name, before systemd is asked"""
    fake = FakeSystemd(t)
    for path in ("/a/b", "a.slice:b", "a.slice:b:c:d", "a.slice:b:", "a/b.slice:c:d", "a:b:c", "-a.slice:b:c", "a--b.slice:c:d", "a-.slice:c:d",
                 "a.slice:b:" + "x" * 250):
        cid = t.id()
        done = driver(t, fake, "create", "-b", bundle(t, cid, path=path), cid)
        assert done.rc == 1 and "cgroupsPath" in done.err and not left_of(t, cid), (path, done)
    assert not fake.calls


test_wrong_names.vm = False  # nothing in it depends on the kind of control groups


def test_annotations(t):
    """an annotation that is no property or no value is refused by its name, before systemd is asked"""
    fake = FakeSystemd(t)
    for name, value, word in (("X", "1", "not the name"), ("Nice3", "1", "not the name"), ("Slice", "'a.slice'", "cgroupsPath"),
                              ("PIDs", "[1]", "cgroupsPath"), ("Nice", "'open", "end"), ("Nice", "uint16 -1", "range"), ("Nice", "byte 256", "range"),
                              ("Nice", "", "number"), ("Nice", "[1, 'a']", "type"), ("Nice", "[]", "@as"), ("Nice", "('a', 1)", "number"),
                              ("Nice", "1 2", "unexpected"), ("TimeoutSec", "'5'", "seconds"), ("Nice", "boolean 5", "type")):
        cid = t.id()
        done = driver(t, fake, "create", "-b", bundle(t, cid, {"annotations": {f"org.systemd.property.{name}": value}}), cid)
        assert done.rc == 1 and f"org.systemd.property.{name}" in done.err and word in done.err and not left_of(t, cid), (name, value, done)
    assert not fake.calls


test_annotations.vm = False


def test_name_taken(t):
    """a unit that failed and was left behind is reset; one that runs is an error, and stays"""
    fake = FakeSystemd(t, {"StartTransientUnit": [UNIT_EXISTS]})
    cid = make(t, fake)
    assert [name for name, _ in fake.calls] == ["Get", "StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"]
    assert driver(t, fake, "delete", "-f", cid).rc == 0
    fake = FakeSystemd(t, {"StartTransientUnit": UNIT_EXISTS})
    cid = t.id()
    done = driver(t, fake, "create", "-b", bundle(t, cid), cid)
    assert done.rc == 1 and f"hv-{cid}.scope" in done.err and not left_of(t, cid), done
    assert not fake.called("StopUnit")


def test_gone_before_delete(t):
    """delete works when systemd has forgotten the unit, and when there is no systemd any more"""
    fake = FakeSystemd(t, {"StopUnit": NO_SUCH_UNIT})
    cid = make(t, fake)
    assert driver(t, fake, "delete", "-f", cid).rc == 0 and not left_of(t, cid)
    cid = make(t, fake)
    fake.close()
    assert t.runtime("delete", "-f", cid).rc == 0 and not left_of(t, cid)


FAILURES = (
    ("AUTH", "refuse", "refused"), ("Get", "close", "closed"), ("StartTransientUnit", "close", "closed"), ("StartTransientUnit", DENIED, "told to fail"),
    ("StartTransientUnit", "job failed", "failed"), ("StartTransientUnit", "job canceled", "canceled"),
    ("Get", "raw " + "00" * 16, "malformed"), ("Get", "raw 6c020101ffffffff0100000000000000", "more than"),
    ("Get", "raw 6c0201010000000001000000ffffffff", "more than"), ("StartTransientUnit", "raw 6c0201010000000001000000080000000501730000000000", "malformed"),
    ("Get", "raw 6c020101000000000100000007000000050175000100", "closed"),
)


def test_failures(t):
    """a systemd that refuses, breaks off or talks nonsense is one clear error, after which nothing is left"""
    for member, answer, word in FAILURES:
        fake = FakeSystemd(t, {member: answer})
        if answer.startswith("raw") and word != "more than":  # not all of a message: its end is the connection's
            fake.end_after_raw = True
        cid = t.id()
        done = driver(t, fake, "create", "-b", bundle(t, cid), cid)
        assert done.rc == 1 and word in done.err, (member, answer, done)
        assert not left_of(t, cid), (member, answer, left_of(t, cid))


def test_time_limits(t):
    """a systemd that hangs at any step is an error after half a minute at most; delete does not need it"""
    cases = [({}, True), ({"Get": "hang"}, False), ({"StartTransientUnit": "hang"}, False), ({"StartTransientUnit": "job never"}, False)]

    def create(case):
        answers, silent = case
        fake = FakeSystemd(t, answers, silent=silent)
        cid = t.id()
        began = time.monotonic()
        done = driver(t, fake, "create", "-b", bundle(t, cid), cid, timeout=100)
        return case, done, time.monotonic() - began, left_of(t, cid)

    def delete():
        fake = FakeSystemd(t, {"StopUnit": "hang"})
        cid = make(t, fake)
        began = time.monotonic()
        return "delete", driver(t, fake, "delete", "-f", cid), time.monotonic() - began, left_of(t, cid)
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(create, c) for c in cases]
        last = pool.submit(delete)
        for case, done, seconds, left in (r.result() for r in running):
            assert done.rc == 1 and "overloaded" in done.err and "try again" in done.err, (case, done)
            assert 25 < seconds < 80 and not left, (case, seconds, left)
        case, done, seconds, left = last.result()
        assert done.rc == 0 and seconds < 40 and not left, (done, seconds, left)


def test_absent(t):
    """without systemd the error says so, and what to do; nothing is made"""
    cid = t.id()
    empty = t.tmp / "empty"
    empty.mkdir()
    for flag in (["--systemd-cgroup"], ["--cgroup-manager", "systemd"]):
        done = t.run(["unshare", "-m", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', empty,
                      *t.runtime_args(*flag, "create", "-b", bundle(t, cid), cid)], check=False)
        assert done.rc == 1 and "cannot reach systemd" in done.err and "cgroupfs" in done.err and not left_of(t, cid), done


def test_killed(t):
    """kill -9 of create in one system call after another: delete --force leaves nothing"""
    fake = FakeSystemd(t)
    killpoint = t.build / "tests/tools/killpoint"
    killed = 0

    def remove_slice():  # which of its ancestors were its own is what a maker that was killed early has not written down
        for directory in system.cgroup_directories():
            if os.path.basename(directory) == own_slice():
                os.rmdir(directory)
    t.defer(remove_slice)
    for n in range(1, 2000, 7):
        cid = t.id()
        command = fake.command(killpoint, n, *t.runtime_args("--systemd-cgroup", "create", "-b", bundle(t, cid), cid))
        with open(os.devnull, "wb") as null:
            rc = t.run(command, check=False, stdout=null, stderr=null).rc
        driver(t, fake, "delete", "-f", cid)
        t.wait_for(lambda: not left_of(t, cid), what=f"nothing left after a kill in call {n}: {left_of(t, cid)}")
        if rc != 99:
            assert rc == 0 and killed > 20
            return
        killed += 1
    raise AssertionError("still running")


test_killed.asan = False
test_killed.vm = False
