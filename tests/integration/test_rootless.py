# SPDX-License-Identifier: Apache-2.0
"""havre for an ordinary user: images, containers, volumes, without root and without a daemon."""

import os
import re
import shutil
import threading
import urllib.request

from user_fixture import SUBIDS, UID, User


def user(t, subids=SUBIDS, tun=False):
    """An ordinary user who has busybox:test; all that it has is removed at the end."""
    u = User(t, subids, tun)
    u.havre("load", "-q", "-i", t.busybox_archive())
    t.defer(lambda: [u.havre("rm", "-f", c) for c in u.havre("ps", "-aq").out.split()])
    return u


def test_life(t):
    """run, exec, logs, top, stop, start, kill and rm; everything is below the user's home, and nothing of it is root's"""
    u = user(t)
    assert u.havre("run", "--rm", "busybox:test", "id", "-u").out == "0\n"
    name = t.id()
    u.havre("run", "-d", "--name", name, "--user", "5", "busybox:test", "sh", "-c", "echo hello; exec sleep 1000")
    t.wait_for(lambda: u.havre("logs", name).out == "hello\n")
    assert u.havre("exec", name, "id", "-u").out == "5\n"
    assert u.havre("exec", "-u", "0", name, "sh", "-c", "echo x >/made && chown 7 /made && stat -c %u /made").out == "7\n"
    pid = u.havre("inspect", "--format", "{{.State.Pid}}", name).out.strip()
    assert os.stat(f"/proc/{pid}").st_uid == SUBIDS[0] + 4
    assert "sleep 1000" in u.havre("top", name).out
    assert u.havre("diff", name).out == "A /made\n"
    assert u.havre("stop", "-t", "0", name).out == name + "\n"
    u.havre("start", name)
    assert u.havre("exec", name, "cat", "/made").out == "x\n"
    u.havre("kill", name)
    t.wait_for(lambda: "Exited (137)" in u.havre("ps", "-a").out)
    u.havre("rm", name)
    root = u.havre("info", "--format", "{{.DockerRootDir}}").out.strip()
    assert root == str(u.home / ".local/share/havre")
    for directory, names, files in os.walk(root):
        for n in names + files:
            assert os.lstat(os.path.join(directory, n)).st_uid != 0, (directory, n)
    assert u.havre("unshare", "cat", "/proc/self/uid_map").out.split()[:3] == ["0", str(UID), "1"]
    u.havre("system", "reset", "-f")
    assert os.listdir(root) == [] and u.havre("images", "-q").out == ""


def test_one_namespace(t):
    """containers that commands made at the same time are in one user namespace, so that any later command reaches all of them"""
    u = user(t)
    names = [t.id() for _ in range(4)]
    threads = [threading.Thread(target=u.havre, args=("run", "-d", "--name", n, "busybox:test", "sleep", "1000"), kwargs={"check": False}) for n in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spaces = set()
    for n in names:
        assert u.havre("exec", n, "id", "-u").out == "0\n"
        pid = u.havre("inspect", "--format", "{{.State.Pid}}", n).out.strip()
        spaces.add(os.readlink(f"/proc/{pid}/ns/user"))
    assert len(spaces) == 1
    u.havre("rm", "-f", *names)
    entries = u.home / "run/havre/userns"
    u.havre("ps")
    assert len(list(entries.iterdir())) <= 2, "a lock, and the command itself"


test_one_namespace.asan = False


def test_one_id(t):
    """without subordinate ids the user is alone inside, and is told so"""
    u = User(t)
    t.defer(u.havre, "system", "prune", "-af")
    loaded = u.havre("load", "-q", "-i", t.busybox_archive())
    assert "only one user id and one group id are mapped: /etc/subuid has no range of this user" in loaded.err
    assert u.havre("run", "--rm", "busybox:test", "cat", "/proc/self/uid_map").out.split() == ["0", str(UID), "1"]
    refused = u.havre("run", "--rm", "--user", "5", "busybox:test", "id", check=False)
    assert refused.rc == 125 and "5" in refused.err


def test_refusals(t):
    """what needs root is refused with the reason"""
    u = user(t)
    limited = u.havre("run", "--rm", "--memory", "64m", "busybox:test", "true", check=False)
    assert limited.rc == 125 and "no control group with the memory controller" in limited.err or limited.rc == 0
    bridged = u.havre("run", "--rm", "--network", "bridge", "busybox:test", "true", check=False)
    assert bridged.rc == 125 and "network bridge needs root" in bridged.err
    made = u.havre("network", "create", "own", check=False)
    assert made.rc == 1 and "networks of several containers need root" in made.err
    assert "name=rootless" in u.havre("info").out


def test_commit(t):
    """a running container is committed without a freezer; pause says that there is none"""
    u = user(t)
    name = t.id()
    u.havre("run", "-d", "--name", name, "busybox:test", "sh", "-c", "echo new >/f; exec sleep 1000")
    t.wait_for(lambda: u.havre("exec", name, "test", "-s", "/f", check=False).rc == 0)
    paused = u.havre("pause", name, check=False)
    assert paused.rc == 0 or "no cgroup to freeze" in paused.err
    if paused.rc == 0:
        u.havre("unpause", name)
    u.havre("commit", name, "made:1")
    assert u.havre("run", "--rm", "made:1", "cat", "/f").out == "new\n"


def test_opaque_directories(t):
    """a directory that was removed and made anew is empty, in the container, in what commit makes of it and in a layer with an opaque marker"""
    u = user(t)
    name = t.id()
    u.havre("run", "--name", name, "busybox:test", "sh", "-c", "mkdir -p /d/sub; echo 1 >/d/sub/old; rm -r /bin/nothing; true", check=False)
    u.havre("commit", name, "first:1")
    again = t.id()
    ran = u.havre("run", "--name", again, "first:1", "sh", "-c", "rm -r /d && mkdir /d && echo 2 >/d/new && ls -R /d")
    assert "old" not in ran.out and "sub" not in ran.out and "new" in ran.out
    u.havre("commit", again, "second:1")
    assert u.havre("run", "--rm", "second:1", "find", "/d").out.split() == ["/d", "/d/new"]
    archive = u.home / "second.tar"
    u.havre("save", "-o", archive, "second:1")
    u.havre("rm", again, name)
    u.havre("rmi", "second:1", "first:1")
    u.havre("load", "-q", "-i", archive)
    assert u.havre("run", "--rm", "second:1", "find", "/d").out.split() == ["/d", "/d/new"]


def test_volumes(t):
    """volumes and binds belong to the user"""
    u = user(t)
    u.havre("run", "--rm", "-v", "data:/d", "busybox:test", "sh", "-c", "echo kept >/d/f; chown 9 /d/f")
    assert u.havre("run", "--rm", "-v", "data:/d", "busybox:test", "stat", "-c", "%u", "/d/f").out == "9\n"
    shared = u.home / "shared"
    shared.mkdir()
    os.chown(shared, UID, UID)
    u.havre("run", "--rm", "-v", f"{shared}:/s", "busybox:test", "touch", "/s/own")
    assert (shared / "own").stat().st_uid == UID
    u.havre("volume", "rm", "data")


def test_pasta(t):
    """the default network is pasta's: ports are published as asked for, reported, free again after the end, and no process stays"""
    t.need("pasta")
    if not os.path.exists("/dev/net/tun"):
        t.skip("no /dev/net/tun here")
    u = user(t, tun=True)
    u.env["HAVRE_NETWORK"] = ""
    name = t.id()
    u.havre("run", "-d", "--name", name, "-p", "127.0.0.1::80", "busybox:test", "sh", "-c",
            "mkdir /w; echo inside >/w/f; exec busybox httpd -f -p 80 -h /w")
    port = int(re.fullmatch(r"80/tcp -> 127.0.0.1:(\d+)\n", u.havre("port", name).out).group(1))
    assert u.havre("inspect", "--format", "{{.HostConfig.NetworkMode}}", name).out == "pasta\n"

    def fetch():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/f", timeout=5).read()
        except OSError:
            return None
    t.wait_for(lambda: fetch() == b"inside\n")
    u.havre("stop", "-t", "0", name)
    t.wait_for(lambda: fetch() is None)
    u.havre("start", name)
    port = int(u.havre("port", name).out.rsplit(":", 1)[1])
    t.wait_for(lambda: fetch() == b"inside\n")
    taken = u.havre("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox:test", "true", check=False)
    assert taken.rc == 125 and "pasta" in taken.err and str(port) in taken.err, taken


def test_no_pasta(t):
    """where pasta cannot be had a container has no network, and the user is told; asked for, it is an error"""
    u = user(t)
    mappers = u.home / "mappers"
    mappers.mkdir()
    for program in ("newuidmap", "newgidmap"):
        (mappers / program).symlink_to(shutil.which(program))
    env = {"PATH": mappers, "HAVRE_NETWORK": ""}
    ran = u.havre("run", "--rm", "busybox:test", "cat", "/proc/net/dev", env=env)
    assert "pasta is not in PATH (package passt)" in ran.err, ran
    assert [line.split(":")[0].strip() for line in ran.out.splitlines()[2:]] == ["lo"], ran
    asked = u.havre("run", "--rm", "--network", "pasta", "busybox:test", "true", env=env, check=False)
    assert asked.rc == 125 and "pasta is not in PATH" in asked.err
