# SPDX-License-Identifier: Apache-2.0
"""The holes that other runtimes had, one by one. Each test names its CVE."""

import errno
import json
import os
import pathlib
import threading


def run(t, bundle, check=False):
    return t.runtime("run", "-b", bundle, t.id(), check=check)


def waiting(t, **kw):
    """A created, not started container: its name and its process."""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("create", "-b", t.bundle(**kw), name, stdout=null, stderr=null)
    return name, json.loads(t.runtime("state", name).out)["pid"]


def bind(spec, source, destination, *options):
    spec["mounts"].append({"destination": destination, "type": "bind", "source": str(source), "options": ["bind", *options]})


def test_cve_2016_9962_init_is_not_dumpable(t):
    """the waiting first process cannot be looked into from inside: its fds and its root are closed to the container's root"""
    name, _ = waiting(t, args=["sleep", "1"])
    result = t.runtime("exec", name, "sh", "-c", "id -u; ls /proc/1/root/ 2>&1; cat /proc/1/fd/0 2>&1", check=False)
    assert result.out.startswith("0\n") and result.out.count("ermission denied") == 2, result


def test_cve_2016_9962_no_host_fds(t):
    """a process in the container has no fds but its own three, whatever its maker had open"""
    leak = os.open("/", os.O_RDONLY)
    t.defer(os.close, leak)
    os.set_inheritable(leak, True)
    bundle = t.bundle(args=["sh", "-c", "ls -l /proc/self/fd"])
    result = t.run(t.runtime_args("run", "-b", bundle, t.id()), pass_fds=(leak,), check=False)
    assert len([line for line in result.out.splitlines() if line.startswith("l")]) == 4, result  # and the listed directory


def test_cve_2019_5736_executable_is_read_only(t):
    """the runtime's executable as a container sees it lies on a read-only mount or in a sealed file"""
    if t.sanitized:
        t.skip("sanitizers")
    name, pid = waiting(t, args=["sleep", "5"])
    exe = f"/proc/{pid}/exe"
    assert os.readlink(exe) != str(t.bin / "havre-runtime") or os.statvfs(exe).f_flag & os.ST_RDONLY, os.readlink(exe)
    try:
        os.close(os.open(exe, os.O_WRONLY | os.O_APPEND))
        raise AssertionError("opened for writing")
    except OSError as e:
        assert e.errno in (errno.EROFS, errno.EPERM, errno.ETXTBSY), e
    # Nor does anything that is mapped lead to a writable file: not even busy text is left to the kernel's refusal.
    mapped = list(pathlib.Path(f"/proc/{pid}/map_files").iterdir())
    assert mapped
    for path in mapped:
        assert os.statvfs(path).f_flag & os.ST_RDONLY or os.readlink(path).startswith("/memfd:"), os.readlink(path)


def test_cve_2019_5736_exec_of_self(t):
    """a container that executes /proc/self/exe, directly or as an interpreter, cannot write to what it gets"""
    if t.sanitized:
        t.skip("sanitizers")
    before = (t.bin / "havre-runtime").stat()
    rootfs = t.busybox_rootfs()
    script = rootfs / "bin/evil"
    script.write_text("#!/proc/self/exe --version\n")
    script.chmod(0o755)
    for args in (["/proc/self/exe", "--version"], ["/bin/evil"]):
        run(t, t.bundle(args=args, rootfs=rootfs))
    # A parent that holds the executable of a child which became the runtime.
    attack = ("(exec /proc/self/exe true) & for i in 1 2 3 4 5 6 7 8; do for p in /proc/[0-9]*/exe; do "
              "( : >> $p ) 2>/dev/null; done; done; true")
    run(t, t.bundle(args=["sh", "-c", attack], rootfs=rootfs))
    after = (t.bin / "havre-runtime").stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def test_cve_2019_19921_symlinked_proc(t):
    """/proc, /sys and /dev of an image that are symlinks are refused (also CVE-2023-27561, CVE-2023-28642, CVE-2026-41579)"""
    for name in ("proc", "sys", "dev"):
        rootfs = t.busybox_rootfs()
        (rootfs / name).rmdir()
        (rootfs / "elsewhere").mkdir()
        os.symlink("/elsewhere", rootfs / name)
        result = run(t, t.bundle(rootfs=rootfs))
        assert result.rc == 1 and "symlink" in result.err, (name, result)


def test_cve_2019_16884_mounts_over_proc(t):
    """nothing is mounted inside a procfs but on a few files, and a fake /proc is refused"""
    fake = t.tmp / "fake"
    (fake / "self/attr").mkdir(parents=True)
    for destination in ("/proc/self/attr", "/proc/sys", "/proc/1"):
        result = run(t, t.bundle(edit=lambda s: bind(s, fake, destination)))
        assert result.rc == 1 and "proc" in result.err, (destination, result)

    def only_fake(spec):
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/proc"]
        bind(spec, fake, "/proc")
    result = run(t, t.bundle(edit=only_fake))
    assert result.rc == 1 and "not a proc file system" in result.err, result

    def written(destination, kind):
        """Other spellings of /proc, a symlink of the image's that leads to it, other file systems than a bind."""
        def edit(spec):
            if kind == "bind":
                bind(spec, fake, destination)
            else:
                spec["mounts"].append({"destination": destination, "type": kind, "source": kind})
        return edit
    rootfs = t.busybox_rootfs()
    os.symlink("proc", rootfs / "alias")
    for destination in ("/proc", "proc", "/proc/", "//proc", "/./proc/.", "/alias", "/bin/../proc"):
        for kind in ("bind", "tmpfs"):
            result = run(t, t.bundle(rootfs=rootfs, edit=written(destination, kind)))
            assert result.rc == 1 and "not a proc file system" in result.err, (destination, kind, result)
    uptime = t.tmp / "uptime"
    uptime.write_text("1 1\n")
    assert run(t, t.bundle(args=["cat", "/proc/uptime"], edit=lambda s: bind(s, uptime, "/proc/uptime"))).out == "1 1\n"


def test_cve_2019_18837_targets_stay_inside(t):
    """mount targets that lead out of the root by symlinks are resolved inside it"""
    outside = t.tmp / "outside"
    outside.mkdir()
    rootfs = t.busybox_rootfs()
    os.symlink(str(outside), rootfs / "absolute")
    os.symlink("../../../../../../../.." + str(outside), rootfs / "relative")
    source = t.tmp / "source"
    source.mkdir()
    (source / "mark").write_text("")
    for link in ("absolute", "relative"):
        result = run(t, t.bundle(args=["ls", f"/{link}/made"], rootfs=rootfs, edit=lambda s: bind(s, source, f"/{link}/made")))
        assert result.out == "mark\n", result
    assert os.listdir(outside) == [] and (rootfs / str(outside)[1:] / "made").is_dir()


def test_cve_2021_30465_target_swapped(t):
    """a target that is swapped for a symlink while mounts are made never leads outside (also CVE-2024-45310)"""
    outside = t.tmp / "outside"
    outside.mkdir()
    rootfs = t.busybox_rootfs()
    source = t.tmp / "source"
    source.mkdir()
    (rootfs / "dir").mkdir()
    os.symlink(str(outside), rootfs / "link")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            for a, b in (("dir", "old"), ("link", "dir"), ("dir", "link"), ("old", "dir")):
                try:
                    os.rename(rootfs / a, rootfs / b)
                except OSError:
                    pass
    thread = threading.Thread(target=swap)
    thread.start()

    def edit(spec):
        for i in range(10):
            bind(spec, source, f"/dir/{i}")
            bind(spec, t.tmp / "f", f"/dir/deep/{i}")
    (t.tmp / "f").write_text("")
    bundle = t.bundle(rootfs=rootfs, edit=edit)
    try:
        for _ in range(20):
            run(t, bundle)
    finally:
        stop.set()
        thread.join()
    assert os.listdir(outside) == []


def test_cve_2021_43784_lengths(t):
    """CVE-2021-43784: values whose length does not fit into 16 bits, or the kernel's limits, arrive whole or are refused, never cut off"""
    long = "x" * 70000

    def refused(word, **linux):
        result = run(t, t.bundle({"linux": linux}))
        assert result.rc == 1 and word in result.err and len(result.err) < 2000, (word, result)
    for name in ("x" * 16, "x" * 255, long):
        refused("netDevices", netDevices={"lo": {"name": name}})
        refused("netDevices", netDevices={name: {}})
    refused("sysctl", sysctl={"net.ipv4.ip_forward": long})
    refused("sysctl", sysctl={"net." + long: "1"})
    result = run(t, t.bundle({"hostname": long}))
    assert result.rc == 1 and "hostname" in result.err, result

    env = t.bundle(args=["/bin/sh", "-c", "echo ${#LONG}; id -G | wc -w"],
                   overrides={"process": {"env": ["PATH=/bin", "LONG=" + long], "user": {"additionalGids": list(range(1000, 21000))}}})
    assert run(t, env).out == "70000\n20001\n"

    def maps(n):
        def edit(spec):
            spec["linux"]["namespaces"].append({"type": "user"})
            each = [{"containerID": i, "hostID": i, "size": 1} for i in range(n)]
            spec["linux"]["uidMappings"] = each
            spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
        return t.bundle(args=["wc", "-l", "/proc/self/uid_map"], edit=edit)
    result = run(t, maps(340))
    assert result.out.startswith("340 "), result
    result = run(t, maps(5000))
    assert result.rc == 1 and result.err, result


def test_cve_2022_29162_inheritable_capabilities(t):
    """exec --cap adds no inheritable capabilities (also CVE-2022-27650, CVE-2022-24769)"""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", t.bundle(args=["sleep", "100"]), name, stdout=null, stderr=null)
    text = t.runtime("exec", "--cap", "CAP_NET_RAW", name, "grep", "Cap", "/proc/self/status").out
    sets = dict(line.split() for line in text.splitlines())
    assert int(sets["CapInh:"], 16) == 0 and int(sets["CapEff:"], 16) & 1 << 13, text


def test_cve_2024_21626_cwd_through_a_leaked_fd(t):
    """a cwd through an fd of the runtime's is refused, at run and at exec"""
    for n in range(3, 12):
        result = run(t, t.bundle({"process": {"cwd": f"/proc/self/fd/{n}"}}, args=["pwd"]))
        assert result.rc == 1 and "process.cwd" in result.err, (n, result)
    rootfs = t.busybox_rootfs()
    os.symlink("/proc/self/fd/7/../../../..", rootfs / "sneaky")
    result = run(t, t.bundle({"process": {"cwd": "/sneaky"}}, args=["pwd"], rootfs=rootfs))
    assert result.rc == 1 and "process.cwd" in result.err, result
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", t.bundle(args=["sleep", "100"]), name, stdout=null, stderr=null)
    for n in range(3, 12):
        result = t.runtime("exec", "--cwd", f"/proc/self/fd/{n}", name, "pwd", check=False)
        assert result.rc == 255 and "process.cwd" in result.err, (n, result)


def test_cve_2025_31133_dev_null_of_the_image(t):
    """masking does not use the image's /dev/null, and what is at that name is replaced by the device"""
    rootfs = t.busybox_rootfs()
    (rootfs / "victim").write_text("victim")
    os.symlink("/proc/sys/kernel/core_pattern", rootfs / "dev/null")

    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/dev")]
        spec["linux"]["maskedPaths"] = ["/victim"]
    result = run(t, t.bundle(args=["sh", "-c", "stat -c '%F %t,%T' /victim /dev/null"], rootfs=rootfs, edit=edit))
    assert result.out == "character special file 1,3\n" * 2, result


def test_cve_2025_52565_console_of_the_image(t):
    """/dev/console of an image that is a symlink is not mounted through"""
    rootfs = t.busybox_rootfs()
    (rootfs / "target").write_text("")
    os.symlink("/target", rootfs / "dev/console")

    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] not in ("/dev", "/dev/shm", "/dev/mqueue")]
        spec["process"]["terminal"] = True
    terminal = t.terminal(t.runtime_args("run", "-b", t.bundle(args=["true"], rootfs=rootfs, edit=edit), t.id()))
    terminal.expect("/dev/console")
    assert terminal.wait() == 1


def test_cve_2025_52881_writes_to_a_fake_proc(t):
    """sysctls are written through the host's procfs, not to what the image has at their place"""
    rootfs = t.busybox_rootfs()
    path = rootfs / "proc/sys/net/ipv4"
    path.mkdir(parents=True)
    (path / "ip_forward").write_text("untouched")

    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/proc"]
        spec["linux"]["maskedPaths"] = spec["linux"]["readonlyPaths"] = []
        spec["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert run(t, t.bundle(args=["cat", "/proc/sys/net/ipv4/ip_forward"], rootfs=rootfs, edit=edit)).out == "untouched"


def test_cve_2026_30892_strict_users(t):
    """exec --user takes numbers, whole and in range; the group stays the container's when none is given"""
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    bundle = t.bundle({"process": {"user": {"uid": 7, "gid": 8}}}, args=["sleep", "100"])
    with open(os.devnull, "w") as null:
        t.runtime("run", "-d", "-b", bundle, name, stdout=null, stderr=null)
    assert t.runtime("exec", "-u", "1", name, "sh", "-c", "id -u; id -g").out == "1\n8\n"
    assert t.runtime("exec", "-u", "1:2", name, "sh", "-c", "id -u; id -g").out == "1\n2\n"
    for bad in ("", ":", "1:", ":1", "-1", "+1", "1x", "0x1", " 1", "root", "4294967295", "4294967296", "18446744073709551616"):
        result = t.runtime("exec", "-u", bad, name, "id", check=False)
        assert result.rc == 255 and "--user" in result.err, (bad, result)


def test_cve_2026_47766_ptmx_of_the_image(t):
    """a terminal comes from the container's devpts: /dev/pts/ptmx must be a multiplexer and no symlink"""
    rootfs = t.busybox_rootfs()
    (rootfs / "dev/pts").mkdir()
    os.symlink("/dev/zero", rootfs / "dev/pts/ptmx")

    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/dev")]
        spec["process"]["terminal"] = True
    terminal = t.terminal(t.runtime_args("run", "-b", t.bundle(args=["true"], rootfs=rootfs, edit=edit), t.id()))
    terminal.expect("devpts")
    assert terminal.wait() == 1


def test_device_instead_of_symlink(t):
    """an image whose /dev/full is a symlink gets the device, not a change behind the symlink"""
    rootfs = t.busybox_rootfs()
    (rootfs / "file").write_text("kept")
    os.symlink("/file", rootfs / "dev/full")

    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/dev")]
    assert run(t, t.bundle(args=["cat", "/file"], rootfs=rootfs, edit=edit)).out == "kept"
    assert not (rootfs / "dev/full").is_symlink()


def test_passwd_of_the_image(t):
    """an /etc/passwd that is a FIFO, a device or a directory does not block or break the start (CVE-2024-9676)"""
    for kind in ("fifo", "directory", "symlink"):
        rootfs = t.busybox_rootfs()
        path = rootfs / "etc/passwd"
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        else:
            os.symlink("/dev/zero", path)
        result = t.runtime("run", "-b", t.bundle(args=["sh", "-c", "echo $HOME"], rootfs=rootfs), t.id(), timeout=20)
        assert result.out == "/\n", (kind, result)
