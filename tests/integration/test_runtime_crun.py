# SPDX-License-Identifier: Apache-2.0
"""havre-runtime in crun's place: what crun's users rely on where runc and the specification say nothing, or less."""
import json
import os
import socket
import stat
import subprocess


def run(t, args=("true",), edit=None, rootfs=None, **kw):
    return t.runtime("run", "-b", t.bundle(args=list(args), edit=edit, rootfs=rootfs), t.id(), **kw)


def mount(destination, **m):
    return lambda spec: spec["mounts"].append({"destination": destination, **m})


def test_dangling_target(t):
    """a file is bound on a symlink that leads nowhere yet: what it names is made, inside the root"""
    (t.tmp / "file").write_text("content")
    rootfs = t.busybox_rootfs()
    (rootfs / "a").symlink_to("../../b")
    (rootfs / "b").symlink_to("/made/here")
    (rootfs / "loop").symlink_to("loop")

    def bundle(at):
        return t.bundle(args=["cat", "/made/here"], rootfs=rootfs, edit=mount(at, type="bind", source=str(t.tmp / "file"), options=["bind"]))
    assert t.runtime("run", "-b", bundle("/a"), t.id()).out == "content"
    assert (rootfs / "made/here").read_text() == "" and not os.path.exists("/made/here")
    wrong = t.runtime("run", "-b", bundle("/loop"), t.id(), check=False)
    assert wrong.rc == 1 and "/loop" in wrong.err and "symbolic links" in wrong.err, wrong


def test_mount_over_the_root(t):
    """a mount on / becomes the root: a bind, and a tmpfs that is filled from what it covers"""
    other = t.busybox_rootfs()
    (other / "who").write_text("other")

    def first(m):
        return lambda spec: spec["mounts"].insert(0, {"destination": "/", **m})
    assert run(t, ["cat", "/who"], first({"type": "bind", "source": str(other), "options": ["bind"]})).out == "other"
    copied = run(t, ["sh", "-c", "touch /new && stat -f -c %T / && ls /proc/self/exe"], first({"type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}))
    assert "tmpfs" in copied.out and "/proc/self/exe" in copied.out, copied
    wrong = run(t, edit=first({"type": "bind", "source": "/etc/passwd", "options": ["bind"]}), check=False)
    assert wrong.rc == 1 and "root itself" in wrong.err, wrong


def test_user_namespace_without_mappings(t):
    """root's user namespace without mappings gets root's own id, and those of /etc/subuid"""
    result = run(t, ["sh", "-c", "cat /proc/self/uid_map; id -u"], lambda s: s["linux"]["namespaces"].append({"type": "user"}))
    lines = result.out.split("\n")
    assert lines[0].split() == ["0", str(os.geteuid()), "1"] and lines[-2] == "0", result


def test_missing_cwd_of_a_readonly_root(t):
    """a working directory that is missing is made before the root is read-only"""
    def edit(spec):
        spec["root"]["readonly"] = True
        spec["process"]["cwd"] = "/missing/deep"
    assert run(t, ["pwd"], edit).out == "/missing/deep\n"


def test_device_with_a_slash(t):
    """a slash at the end of a device's path is no directory of that name"""
    bundle = t.bundle({"linux": {"devices": [{"path": "/mnt2/node/", "type": "c", "major": 1, "minor": 3}]}}, args=["true"])
    t.runtime("run", "-b", bundle, t.id())
    assert stat.S_ISCHR((bundle / "rootfs/mnt2/node").stat().st_mode)


def test_device_in_a_user_namespace(t):
    """root's container with a user namespace gets devices that the host has not, with owner and mode; an owner that is not mapped is the host's"""
    def edit(spec):
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"].update(uidMappings=[{"containerID": 0, "hostID": 3000, "size": 100}], gidMappings=[{"containerID": 0, "hostID": 4000, "size": 100}])
        device = {"type": "c", "major": 1, "minor": 5}
        spec["linux"]["devices"] = [{"path": "/dev/mine", "fileMode": 0o157, "uid": 10, "gid": 11, **device}, {"path": "/dev/zero", "uid": 5000, **device}]
        spec["linux"]["resources"] = {}
    bundle = t.bundle(args=["sh", "-c", "stat -c '%a %u:%g %t:%T' /dev/mine; head -c 3 /dev/mine | wc -c; head -c 2 /dev/zero | wc -c; "
                                        "grep -c ' - tmpfs devices ' /proc/self/mountinfo"], edit=edit)
    os.chown(bundle / "rootfs", 3000, 4000)
    for path in [bundle / "rootfs", *(bundle / "rootfs").rglob("*")]:
        os.chown(path, 3000, 4000, follow_symlinks=False)
    result = t.runtime("run", "-b", bundle, t.id(), check=False)
    assert result.out.split() == ["157", "10:11", "1:5", "3", "2", "1"], result


def test_bundle_keeps_its_name(t):
    """hooks and state name the bundle as the caller does, through its symlink"""
    link = t.tmp / "link"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {t.tmp}/state"]}
    link.symlink_to(t.bundle({"hooks": {"createRuntime": [hook]}}, args=["true"]))
    t.runtime("run", "--keep", "-b", link, name := t.id())
    t.defer(t.runtime, "delete", name)
    assert json.loads((t.tmp / "state").read_text())["bundle"] == str(link)
    assert json.loads(t.runtime("state", name).out)["bundle"] == str(link)


def test_poststop_after_a_failed_create(t):
    """the poststop hooks run although a createRuntime hook failed, every one of them, and failures are said"""
    touch = {"path": "/bin/touch", "args": ["touch", str(t.tmp / "ran")]}
    hooks = {"createRuntime": [{"path": "/bin/false"}], "poststop": [{"path": "/bin/false"}, touch]}
    failed = t.runtime("create", "-b", t.bundle({"hooks": hooks}), t.id(), check=False)
    assert failed.rc == 1 and "createRuntime hook #0" in failed.err and (t.tmp / "ran").exists(), failed
    ended = t.runtime("run", "-b", t.bundle({"hooks": {"poststop": [{"path": "/bin/false"}]}}, args=["true"]), t.id())
    assert "poststop hook failed with exit code" in ended.err, ended


def test_start_container_hook_environment(t):
    """a startContainer hook without env has the environment of the container's process"""
    def edit(spec):
        spec["process"]["env"].append("OF=container")
        spec["hooks"] = {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo $OF$HOME > /seen"]}]}
    bundle = t.bundle(args=["cat", "/seen"], edit=edit)
    assert t.runtime("run", "-b", bundle, t.id(), env={**os.environ, "OF": "host"}).out == "container/root\n"


def test_listener_without_a_rule(t):
    """an agent that is there is sent the listener of a filter that never asks it; one that is not is ignored"""
    path = t.tmp / "agent"
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(path)}
    bundle = t.bundle({"linux": {"seccomp": seccomp}}, args=["true"])
    t.runtime("run", "-b", bundle, t.id())
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen(1)
        s.settimeout(20)
        t.runtime("run", "-b", bundle, t.id())
        message, fds, _, _ = socket.recv_fds(s.accept()[0], 65536, 4)
    assert len(fds) == 1 and json.loads(message)["state"]["status"] == "creating", message
    os.close(fds[0])


def test_listen_fds_that_are_not_there(t):
    """announced descriptors that the caller did not open are announced on, and nothing of ours is in their place"""
    env = {**os.environ, "LISTEN_FDS": "1"}
    env.pop("LISTEN_PID", None)
    result = run(t, ["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; ls -l /proc/1/fd/3"], env=env, check=False)
    assert result.out == "1 1\n" and "/proc/1/fd/3" in result.err, result


def test_frozen_in_a_foreign_group(t):
    """delete --force ends a container whose process somebody moved into a frozen v1 group"""
    if not os.path.exists("/sys/fs/cgroup/freezer/tasks"):
        t.skip("there is no v1 freezer here")
    name, group = t.id(), f"/sys/fs/cgroup/freezer/{t.id('foreign')}"

    def end():
        with open(f"{group}/freezer.state", "w") as f:
            f.write("THAWED")
        t.wait_for(lambda: not open(f"{group}/tasks").read())
        os.rmdir(group)
    os.mkdir(group)
    t.defer(end)
    t.runtime("run", "-d", "-b", t.bundle(args=["sleep", "100"]), name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.defer(t.runtime, "delete", "--force", name)
    with open(f"{group}/tasks", "w") as f:
        f.write(str(json.loads(t.runtime("state", name).out)["pid"]))
    with open(f"{group}/freezer.state", "w") as f:
        f.write("FROZEN")
    t.runtime("delete", "--force", name)


def test_words(t):
    """the words that crun's callers look for"""
    def scheduler(**s):
        return lambda spec: spec["process"].update(scheduler={"policy": "SCHED_DEADLINE", **s})

    def sysctl(name):
        return lambda spec: spec["linux"].update(sysctl={name: "1"})
    rootfs = t.busybox_rootfs()
    for edit, words in ((scheduler(deadline=9, period=9), "sched_setattr: `SCHED_DEADLINE` requires `runtime`"),
                        (scheduler(runtime=9, period=9), "sched_setattr: `SCHED_DEADLINE` requires `deadline`"),
                        (scheduler(runtime=0, deadline=9), "runtime must be greater than 0"),
                        (scheduler(runtime=1023, deadline=4000), "must be between"),
                        (scheduler(runtime=5000, deadline=4000), "runtime 5000 must be <= deadline 4000"),
                        (scheduler(runtime=2000, deadline=4000, period=3000), "deadline 4000 must be <= period 3000"),
                        (sysctl("net/../kernel/sysrq"), "contains an invalid path"), (sysctl(".net.ipv4.ip_forward"), "contains an invalid path"),
                        (sysctl("kernel.hostname"), 'conflicts with the OCI "hostname" field')):
        result = run(t, edit=edit, rootfs=rootfs, check=False)
        assert result.rc == 1 and words in result.err, (words, result)
    result = t.runtime("state", "a/b", check=False)
    assert result.rc == 1 and "invalid character in container ID" in result.err, result
    assert run(t, edit=lambda s: s.update(annotations={"run.oci.handler": ""})).rc == 0


test_words.asan = False


def test_runc_words(t):
    """runc's words for a topic that it does not know; and what spec writes has a cgroup namespace only where all groups are v2"""
    for args in (["foo", "-h"], ["foo"]):
        result = t.runtime(*args, check=False)
        assert result.rc == 1 and "No help topic for 'foo'" in result.err, result
    t.runtime("spec", "-b", t.tmp)
    namespaces = [n["type"] for n in json.loads((t.tmp / "config.json").read_text())["linux"]["namespaces"]]
    assert ("cgroup" in namespaces) == (t.cgroup_mode() == "v2"), namespaces


def test_unified_words(t):
    """crun's words for keys of linux.resources.unified that cannot be: of no controller, of no form, of no file"""
    rootfs = t.busybox_rootfs()
    for key, words in (("NOT-A-VALID-KEY", "the specified key has not the form CONTROLLER.VALUE `NOT-A-VALID-KEY`"),
                       ("foo.bar", "the requested cgroup controller `foo` is not available"), ("memory.DOESNTEXIST", "no such file or directory")):
        if t.cgroup_mode() != "v2" and "." in key:
            continue
        result = run(t, edit=lambda s: s["linux"].update(resources={"unified": {key: "1"}}), rootfs=rootfs, check=False)
        assert result.rc == 1 and words in result.err, (key, result)


# None of these depends on the version of the control groups: the emulated machine is spared them.
for test in (test_words, test_mount_over_the_root, test_poststop_after_a_failed_create, test_bundle_keeps_its_name, test_listen_fds_that_are_not_there,
             test_dangling_target, test_device_with_a_slash, test_listener_without_a_rule, test_missing_cwd_of_a_readonly_root,
             test_user_namespace_without_mappings, test_start_container_hook_environment):
    test.vm = False
del test
