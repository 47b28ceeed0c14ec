# SPDX-License-Identifier: Apache-2.0
"""What a container may do with its own control group: cgroup ownership of the specification, and run.oci.delegate-cgroup."""

import json
import os
from pathlib import Path

HOST_ROOT, IDS = 100000, 65536
CGROUP = Path("/sys/fs/cgroup")


def writable(spec):
    """The three conditions of the specification, but for v2."""
    for m in spec["mounts"]:
        if m["destination"] == "/sys/fs/cgroup":
            m["options"] = [o for o in m["options"] if o != "ro"]
    if not any(n["type"] == "cgroup" for n in spec["linux"]["namespaces"]):
        spec["linux"]["namespaces"].append({"type": "cgroup"})


def mapped(spec):
    maps = [{"containerID": 0, "hostID": HOST_ROOT, "size": IDS}]
    spec["linux"].update(uidMappings=maps, gidMappings=maps)
    spec["linux"]["namespaces"].append({"type": "user"})


def started(t, *edits, args=("sleep", "1000"), annotations=None):
    """A running container; its name and the directory of its first process's v2 group."""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name, check=False)
    bundle = t.bundle({"annotations": annotations or {}}, args=args, edit=lambda spec: [e(spec) for e in edits])
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", bundle, name, stdout=null, stderr=null)
    pid = json.loads(t.runtime("state", name).out)["pid"]
    path = next(line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))[3:]
    top = CGROUP if t.cgroup_mode() == "v2" else CGROUP / "unified"
    return name, Path(f"{top}{path}")


def owned(group, uid):
    """The names in the group, and "." for itself, that belong to the user."""
    return {p.name if p != group else "." for p in (group, *group.iterdir()) if p.stat().st_uid == uid}


def given(group):
    try:
        names = Path("/sys/kernel/cgroup/delegate").read_text().split()
    except FileNotFoundError:
        names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
    return {".", *(n for n in names if (group / n).exists())}


def test_cgroup_ownership(t):
    """root of a user namespace owns its v2 group, only what the kernel lists of it: it makes sub-groups and moves processes, and cannot
    lift its limits; all of it goes with the container"""
    if t.cgroup_mode() != "v2":
        t.skip("needs a machine whose control groups are all v2")
    name, group = started(t, writable, mapped, lambda s: s["linux"].update(resources={"pids": {"limit": 50}}))
    assert owned(group, HOST_ROOT) == given(group)
    script = ("cd /sys/fs/cgroup && mkdir -p a/b && for p in $(cat cgroup.procs); do echo $p >a/b/cgroup.procs; done; cat a/b/cgroup.procs | wc -l; "
              "{ echo max >pids.max; } 2>/dev/null && echo lifted; cat pids.max")
    count, limit = t.runtime("exec", name, "sh", "-c", script).out.split()
    assert int(count) >= 2 and limit == "50"
    assert group.joinpath("a/b/cgroup.procs").read_text().split() == [str(json.loads(t.runtime("state", name).out)["pid"])]
    # Divided, with controllers: nothing may run in the group itself, so exec goes where the first process is.
    t.runtime("exec", name, "sh", "-c", "echo +pids >/sys/fs/cgroup/cgroup.subtree_control")
    assert t.runtime("exec", name, "cat", "/proc/self/cgroup").out == "0::/a/b\n"
    t.runtime("delete", "--force", name)
    assert not group.exists()


def test_cgroup_ownership_of_the_process(t):
    """the owner is process.user.uid, with and without a user namespace"""
    if t.cgroup_mode() != "v2":
        t.skip("needs a machine whose control groups are all v2")
    _, group = started(t, writable, mapped, lambda s: s["process"].update(user={"uid": 7, "gid": 7}))
    assert owned(group, HOST_ROOT + 7) == given(group) and owned(group, HOST_ROOT) == set()
    _, group = started(t, writable, lambda s: s["process"].update(user={"uid": 1234, "gid": 1234}))
    assert owned(group, 1234) == given(group)


def test_cgroup_ownership_needs_all(t):
    """without a cgroup namespace, or with a read-only mount, or none, or with v1, nothing is given away"""
    def without(kind):
        return lambda s: s["linux"].update(namespaces=[n for n in s["linux"]["namespaces"] if n["type"] != kind])

    def read_only(spec):
        for m in spec["mounts"]:
            if m["destination"] == "/sys/fs/cgroup":
                m["options"].append("ro")

    def not_mounted(spec):
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    cases = [(writable, mapped, without("cgroup")), (writable, mapped, read_only), (writable, mapped, not_mounted)]
    if t.cgroup_mode() != "v2":
        cases.append((writable, mapped))
    for edits in cases:
        _, group = started(t, *edits)
        assert group.name != "" and owned(group, HOST_ROOT) == set()


def test_delegate_cgroup(t):
    """run.oci.delegate-cgroup: the processes are in the sub-group, which is the root that they see and own; limits are of the group above,
    out of their sight; exec goes to the sub-group too"""
    if t.cgroup_mode() != "v2":
        t.skip("needs a machine whose control groups are all v2")
    notes = {"run.oci.delegate-cgroup": "payload/inner"}
    name, group = started(t, writable, mapped, lambda s: s["linux"].update(resources={"pids": {"limit": 50}}), annotations=notes)
    outer = group.parent.parent
    assert (group.name, group.parent.name) == ("inner", "payload")
    assert (outer / "pids.max").read_text() == "50\n" and (group / "pids.max").read_text() == "max\n"
    assert "pids" in (group / "cgroup.controllers").read_text()
    assert owned(group, HOST_ROOT) == given(group) and owned(outer, HOST_ROOT) == set() and owned(group.parent, HOST_ROOT) == {"inner"}
    assert t.runtime("exec", name, "cat", "/proc/self/cgroup").out == "0::/\n"
    assert len(json.loads(t.runtime("ps", "--format", "json", name).out)) == 1
    t.runtime("update", "--pids-limit", "60", name)
    assert (outer / "pids.max").read_text() == "60\n"
    t.runtime("pause", name)
    t.runtime("delete", "--force", name)
    assert not outer.exists()


def test_delegate_cgroup_errors(t):
    """run.oci.delegate-cgroup is refused with v1, and must be a path below the group; empty it says nothing"""
    for value, word in (("a/../../b", "must not contain .."), ("/", "name one below it"), ("sub", "")):
        bundle = t.bundle({"annotations": {"run.oci.delegate-cgroup": value}})
        result = t.runtime("run", "-b", bundle, t.id(), check=False)
        if t.cgroup_mode() != "v2":
            word = "needs a machine whose control groups are all v2"
        assert word in result.err and (result.rc == 0) == (not word), result
        assert not word or "run.oci.delegate-cgroup" in result.err
    t.runtime("run", "-b", t.bundle({"annotations": {"run.oci.delegate-cgroup": ""}}), t.id())


def test_exec_into_a_group_given_away(t):
    """exec into a group that belongs to the container's user, and into one that is divided, where it goes to the first process's sub-group"""
    if t.cgroup_mode() not in ("v2", "hybrid"):
        t.skip("needs a cgroup v2 mount")
    name, group = started(t, mapped)
    for path in (group, group / "cgroup.procs"):
        os.chown(path, HOST_ROOT, -1)
    assert t.runtime("exec", name, "echo", "in").out == "in\n"
    inner = group / "inner"
    inner.mkdir()
    (inner / "cgroup.procs").write_text(str(json.loads(t.runtime("state", name).out)["pid"]))
    controllers = (group / "cgroup.controllers").read_text().split()
    if not controllers:  # hybrid: by default the group has none
        above = group.parent
        while above.name not in ("unified", "cgroup"):
            above = above.parent
        for directory in [above, *reversed([p for p in group.parents if above in p.parents])]:
            (directory / "cgroup.subtree_control").write_text("+hugetlb")
        controllers = ["hugetlb"]
    (group / "cgroup.subtree_control").write_text(f"+{controllers[-1]}")
    where = t.runtime("exec", name, "cat", "/proc/self/cgroup").out.splitlines()
    assert any(line.startswith("0::") and line.endswith("/inner") for line in where), where
    t.runtime("delete", "--force", name)
    assert not group.exists()
