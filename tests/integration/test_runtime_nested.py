# SPDX-License-Identifier: Apache-2.0
"""havre-runtime inside a container of havre-runtime: with a cgroup namespace of its own and without, control groups read-write."""
import json
import re


def held_capabilities():
    """All that we have ourselves, by the names of `features`."""
    return int(re.search(r"CapEff:\s*(\w+)", open("/proc/self/status").read())[1], 16)


def outer(t, script, cgroup_namespace, inner):
    """Runs `script` in a container that may do what the host's root may, with the runtime at /rt and the bundle `inner` at /inner."""
    known = json.loads(t.runtime("features").out)["linux"]["capabilities"]
    held = held_capabilities()
    capabilities = [name for i, name in enumerate(known) if held >> i & 1]

    def edit(spec):
        spec["process"].update(capabilities={s: capabilities for s in ("bounding", "effective", "permitted")}, noNewPrivileges=False)
        for mount in spec["mounts"]:
            if mount["destination"] in ("/sys", "/sys/fs/cgroup"):
                mount["options"].remove("ro")
        spec["mounts"] += [{"destination": "/rt", "type": "bind", "source": str(t.bin), "options": ["bind", "ro"]},
                           {"destination": "/inner", "type": "bind", "source": str(inner), "options": ["bind"]},
                           {"destination": "/run", "type": "tmpfs", "source": "tmpfs"}]
        linux = spec["linux"]
        linux.update(maskedPaths=[], readonlyPaths=[], resources={"devices": [{"allow": True, "access": "rwm"}]})
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "cgroup"] + [{"type": "cgroup"}] * cgroup_namespace
    return t.runtime("run", "-b", t.bundle(args=["sh", "-c", script], edit=edit), t.id(), check=False)


def test_nested(t):
    """a whole life inside: run with a limit, exec, pause, and delete leaves no group; the limit holds, the groups are below the outer ones"""
    if t.cgroup_mode() == "none":
        t.skip("no cgroups")
    life = """set -e
        [ -e /sys/fs/cgroup/cgroup.procs ] && mkdir /sys/fs/cgroup/init && echo 0 > /sys/fs/cgroup/init/cgroup.procs
        rt() { /rt/havre-runtime --root /run/rt "$@"; }
        rt run -d -b /inner inner < /dev/null > /dev/null
        rt exec inner cat /proc/self/cgroup
        rt events --stats inner
        rt pause inner; rt state inner | grep '"status"'; rt resume inner
        rt exec inner echo resumed
        rt delete -f inner
        echo left: $(find /sys/fs/cgroup -name inner)
        """
    for cgroup_namespace in (True, False):
        inner = t.bundle({"linux": {"resources": {"pids": {"limit": 33}}}}, args=["sleep", "1000"])
        result = outer(t, life, cgroup_namespace, inner)
        assert result.rc == 0, result
        lines = result.out.splitlines()
        assert any('"status": "paused"' in line for line in lines) and "resumed" in lines and lines[-1] == "left:", result
        stats = json.loads(next(line for line in lines if line.startswith('{"type"')))
        assert stats["data"]["pids"]["limit"] == 33, stats


def test_nested_beside_processes(t):
    """in a v2 group that has processes, which can have no sub-groups with controllers: a container without limits runs, one with a
    limit is refused with the remedy, and neither makes the group a threaded one"""
    if t.cgroup_mode() != "v2":
        t.skip("v1 allows both")
    script = """/rt/havre-runtime --root /run/rt run -b /inner inner; echo status $?
        cat /sys/fs/cgroup/cgroup.type; echo enabled: $(cat /sys/fs/cgroup/cgroup.subtree_control)"""
    free = outer(t, script, True, t.bundle(args=["echo", "ran"], edit=lambda s: s["linux"].update(resources={})))
    assert free.out.split("\n")[:-1] == ["ran", "status 0", "domain", "enabled:"], free
    limited = outer(t, script, True, t.bundle(args=["echo", "ran"], edit=lambda s: s["linux"].update(resources={"pids": {"limit": 33}})))
    assert limited.out.split("\n")[:-1] == ["status 1", "domain", "enabled:"] and "move them to a sub-group" in limited.err, limited


test_nested_beside_processes.asan = test_nested.asan = False  # what is bound at /rt is a static program
test_nested.timeout = 120
