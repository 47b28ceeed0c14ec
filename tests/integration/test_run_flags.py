# SPDX-License-Identifier: Apache-2.0
"""Flags of docker run beyond the daily ones: what they do on this kernel, or why they are refused."""

import json
import os


def inspect(t, name):
    return json.loads(t.havre("inspect", name).out)[0]


def test_volumes_from(t):
    """--volumes-from gives another container's volumes and binds, as they are or read-only; what was shared stays until the last has gone."""
    image = t.busybox_image()
    shared = t.tmp / "shared"
    shared.mkdir()
    t.havre("create", "--name", "data", "-v", "/anonymous", "-v", f"{shared}:/bind", "--tmpfs", "/scratch", image, "true")
    t.havre("run", "--rm", "--volumes-from", "data", image, "sh", "-c", "echo one > /bind/f; echo two > /anonymous/f")
    assert (shared / "f").read_text() == "one\n"
    t.havre("create", "--name", "second", "--volumes-from", "data:ro", image, "sh", "-c", "cat /anonymous/f; echo x > /bind/g")
    got = t.havre("start", "-a", "second", check=False)
    assert "two" in got.out and "Read-only file system" in got.err, got
    assert not any(m["Destination"] == "/scratch" for m in inspect(t, "second")["Mounts"])
    t.havre("rm", "-v", "data")
    assert "two" in t.havre("start", "-a", "second", check=False).out
    t.havre("rm", "-v", "second")
    assert t.havre("volume", "ls", "-q").out == ""
    assert "no such container: nobody" in t.havre("create", "--volumes-from", "nobody", image, "true", check=False).err
    wrong = t.havre("create", "--volumes-from", "nobody:exec", image, "true", check=False)
    assert wrong.rc != 0 and "CONTAINER:ro" in wrong.err


def test_block_io_and_old_limits(t):
    """Block I/O limits and those of cgroup v1 are in the container's groups, or a warning says that the kernel has none."""
    image = t.busybox_image()
    device = next((f"/dev/{d}" for d in sorted(os.listdir("/sys/block")) if os.path.exists(f"/dev/{d}")), None)
    if not device:
        t.skip("no block device")
    with open(f"/sys/class/block/{os.path.basename(device)}/dev") as f:
        number = f.read().strip()
    made = t.havre("run", "-d", "--name", "io", "--blkio-weight", "300", "--device-read-bps", f"{device}:1mb",
                   "--device-write-iops", f"{device}:50", "--memory-swappiness", "0", "--oom-kill-disable", "-m", "64m", image,
                   "sleep", "1000", check=False)
    t.defer(t.havre, "rm", "-f", "io", check=False)
    assert made.rc == 0, made
    host = inspect(t, "io")["HostConfig"]

    def group(controller, name):
        path = f"/sys/fs/cgroup/{controller}/havre/{made.out.strip()}/{name}"
        return open(path).read().split() if os.path.exists(path) else None

    if os.path.exists("/sys/fs/cgroup/blkio"):
        assert [number, "1048576"] == group("blkio", "blkio.throttle.read_bps_device")
        assert [number, "50"] == group("blkio", "blkio.throttle.write_iops_device")
    if os.path.exists("/sys/fs/cgroup/memory"):
        assert host["MemorySwappiness"] == 0 and host["OomKillDisable"]
        assert group("memory", "memory.swappiness") == ["0"]
        assert group("memory", "memory.oom_control")[:2] == ["oom_kill_disable", "1"]
    elif os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        assert "--memory-swappiness is not applied" in made.err and "--oom-kill-disable is not applied" in made.err
    for flags, words in [(("--device-read-bps", "/dev/null:1m"), "is no block device"),
                         (("--device-read-bps", "vda:1m"), "/dev/NAME:SIZE"),
                         (("--blkio-weight", "5"), "between 10 and 1000"),
                         (("--volume-driver", "nfs"), "the only driver is local"),
                         (("--storage-opt", "size=1g"), "needs quotas")]:
        wrong = t.havre("run", "--rm", *flags, image, "true", check=False)
        assert wrong.rc == 125 and words in wrong.err, wrong


test_block_io_and_old_limits.asan = False


def test_joined_namespaces(t):
    """--pid, --ipc and --uts container:NAME share what they say: processes, shared memory, the host name."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "host", "--hostname", "lighthouse", "--ipc", "shareable", "--network", "none", image,
            "sh", "-c", "echo beam > /dev/shm/light; exec sleep 1234")
    t.defer(t.havre, "rm", "-f", "host", check=False)
    t.wait_for(lambda: t.havre("exec", "host", "cat", "/dev/shm/light", check=False).out == "beam\n")
    got = t.havre("run", "--rm", "--network", "none", "--pid", "container:host", "--ipc", "container:host", "--uts", "container:host",
                  image, "sh", "-c", "hostname; cat /dev/shm/light; ps; echo back > /dev/shm/answer")
    assert got.out.startswith("lighthouse\nbeam\n") and "sleep 1234" in got.out, got
    assert t.havre("exec", "host", "cat", "/dev/shm/answer").out == "back\n"
    alone = t.havre("run", "--rm", "--network", "none", image, "sh", "-c", "ls /dev/shm; ps")
    assert "light" not in alone.out and "1234" not in alone.out

    t.havre("create", "--name", "closed", "--network", "none", image, "true")
    for flags, words in [(("--ipc", "container:closed"), "not shareable"), (("--pid", "container:nobody"), "no such container"),
                         (("--pid", "container:closed"), "is not running"),
                         (("--uts", "container:host", "--hostname", "x"), "cannot be combined")]:
        wrong = t.havre("run", "--rm", "--network", "none", *flags, image, "true", check=False)
        assert wrong.rc == 125 and words in wrong.err, wrong
    assert t.havre("ps", "-aq").out.count("\n") == 2
