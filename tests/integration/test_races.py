# SPDX-License-Identifier: Apache-2.0
"""Attacks on the runtime by a second process that swaps paths of the root file system while a container is made. Whatever a run
ends in, nothing outside of the root changes and what the container sees is confined. Each test names its CVEs. Not named test_runtime_…: in
the emulated machine of ../vm a run is so slow against the swaps that hardly one would come up."""

import os
import re
import stat

from swapping import swapping

# In slow motion each of these waits before it begins: the gap between a check and what relies on it becomes wide enough to be hit.
RACY = "openat,openat2,open_tree,move_mount,mkdirat,mknodat,symlinkat,unlinkat,newfstatat,fstat,fchmodat,fchownat,chmod,chown,mount_setattr"


def run(t, bundle, slow=False, **kw):
    command = t.runtime_args("run", "-b", bundle, t.id())
    if slow:
        t.need("strace")
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={RACY}", "-e", f"inject={RACY}:delay_enter=300", *command]
    result = t.run(command, check=False, **kw)
    # Refusing is fine, being surprised is not: no crash, and an error says what it is about.
    assert result.rc in (0, 1) and (result.rc == 0 or result.err.strip()), result
    return result


def outside(t):
    """A directory of the host's with a file that only root may read."""
    path = t.tmp / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    (path / "secret").chmod(0o600)
    return path


def untouched(path):
    """Nothing was made in it, changed or given another mode."""
    assert os.listdir(path) == ["secret"], os.listdir(path)
    st = os.stat(path / "secret")
    assert (path / "secret").read_text() == "secret" and stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == 0, oct(st.st_mode)


def bind(spec, source, destination, *options):
    spec["mounts"].append({"destination": destination, "type": "bind", "source": str(source), "options": ["bind", *options]})


def without_dev(spec):
    """/dev is the root file system's own directory, where the image has a say."""
    spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/dev")]


def link_to(rootfs, name, target):
    os.symlink(str(target), rootfs / name)
    return rootfs / name


def test_mount_target(t):
    """CVE-2021-30465, CVE-2024-45310: the directory above mount targets is swapped for a symlink to a directory of the host:
    nothing is mounted or made there, and the container never sees it."""
    host, rootfs, source = outside(t), t.busybox_rootfs(), t.tmp / "source"
    source.mkdir()
    (source / "mark").write_text("mark")
    (rootfs / "dir").mkdir()
    link = link_to(rootfs, "link", host)

    def edit(spec):
        for i in range(6):
            bind(spec, source, f"/dir/{i}")
            bind(spec, source / "mark", f"/dir/deep/{i}")
    script = "cat /dir/secret /link/secret; cat /dir/0/mark /link/0/mark"
    bundle = t.bundle(rootfs=rootfs, edit=edit, args=["sh", "-c", script])
    good = 0
    with swapping(t, (rootfs / "dir", link)) as attack:
        for n in attack:
            result = run(t, bundle, slow=n % 3 == 0)
            assert "secret" not in result.out, result
            good += "mark" in result.out
            untouched(host)
    assert good, "no container came up in spite of the race: the test shows nothing"


def test_symlinked_parents(t):
    """CVE-2019-18837, CVE-2024-45310: directories on the way to a target that are missing are made while a component is swapped
    for a symlink that climbs out with dots."""
    host, rootfs = outside(t), t.busybox_rootfs()
    (rootfs / "a").mkdir()
    link = link_to(rootfs, "up", "../../../../../../../../../.." + str(host))
    (t.tmp / "f").write_text("")
    with swapping(t, (rootfs / "a", link), pause_us=50) as attack:
        for n in attack:
            bundle = t.bundle(rootfs=rootfs, edit=lambda s, n=n: [bind(s, t.tmp / "f", f"/a/x{n}/y{i}/z") for i in range(4)])
            run(t, bundle, slow=n % 3 == 0)
            untouched(host)


def test_proc_and_masks(t):
    """CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2019-16884: /proc is swapped for a symlink to a fake one while masks and
    read-only paths are laid over it: the container never gets a procfs without them, under whatever name."""
    rootfs = t.busybox_rootfs()
    (rootfs / "fake/self/attr").mkdir(parents=True)
    (rootfs / "fake/sys").mkdir()
    link = link_to(rootfs, "swapped", "/fake")
    # The procfs is at one of the two names, at any moment the other one is the symlink.
    script = ("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cd /proc; [ -e self/status ] || cd /swapped; [ -e self/status ] && break; cd /; done;"
              "[ -e self/status ] || exit 0; stat -c %t,%T keys; (: >> sys/kernel/core_pattern) 2>/dev/null && echo writable; true")
    bundle = t.bundle(rootfs=rootfs, args=["/bin/sh", "-c", script])
    masked = 0
    with swapping(t, (rootfs / "proc", link), pause_us=400, rounds=80) as attack:
        for n in attack:
            result = run(t, bundle, slow=n % 3 == 0)
            assert result.out in ("", "1,3\n"), result
            masked += result.out == "1,3\n"
    assert masked, "no container came up in spite of the race: the test shows nothing"


def test_devices(t):
    """CVE-2026-41579, CVE-2026-88264, CVE-2026-88265: /dev of the image is swapped for a symlink to a directory of the host
    while devices are made: none is made there."""
    host, rootfs = outside(t), t.busybox_rootfs()
    link = link_to(rootfs, "link", host)

    def edit(spec):
        without_dev(spec)
        spec["linux"]["devices"] = [{"path": f"/dev/sub/zero{i}", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666} for i in range(8)]
    bundle = t.bundle(rootfs=rootfs, edit=edit)
    with swapping(t, (rootfs / "dev", link)) as attack:
        for n in attack:
            run(t, bundle, slow=n % 3 == 0)
            untouched(host)


def test_null_device(t):
    """CVE-2025-31133: /dev/null of the image is swapped for a symlink to a file of the host while the runtime gives it its mode and
    masks paths with it: the file keeps its mode, and what is masked is a null device."""
    host, rootfs = outside(t), t.busybox_rootfs()
    for name in ("null", "link"):
        (rootfs / "dev" / name).write_text("")
    (rootfs / "victim").write_text("victim")

    def edit(spec):
        without_dev(spec)
        spec["linux"]["maskedPaths"] = ["/victim"]
    bundle = t.bundle(rootfs=rootfs, edit=edit, args=["stat", "-c", "%t,%T", "/victim"])
    masked = 0
    with swapping(t, (rootfs / "dev/null", rootfs / "dev/link"), pause_us=30, rounds=150) as attack:
        for n in attack:
            for name in ("null", "link"):  # as they were: the runtime replaces what is not the device
                (rootfs / "dev" / name).unlink()
            os.mknod(rootfs / "dev/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
            link_to(rootfs / "dev", "link", host / "secret")
            result = run(t, bundle, slow=n % 3 == 0)
            assert result.out in ("", "1,3\n"), result
            masked += bool(result.out)
            untouched(host)
    assert masked


def test_console(t):
    """CVE-2025-52565, CVE-2026-47766: /dev/console of the image is swapped for a symlink while the terminal is bound on it: the
    symlink's target is not mounted on, and what the container has is its own terminal or nothing."""
    rootfs = t.busybox_rootfs()
    (rootfs / "target").write_text("target")
    (rootfs / "dev/console").write_text("")
    (rootfs / "dev/pts").mkdir()
    link = link_to(rootfs / "dev", "link", "/target")

    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].startswith("/dev") or m["destination"] == "/dev/pts"]
        spec["process"]["terminal"] = True
    bundle = t.bundle(rootfs=rootfs, edit=edit, args=["cat", "/target"])
    good = 0
    with swapping(t, (rootfs / "dev/console", link), rounds=40) as attack:
        for n in attack:
            terminal = t.terminal(t.runtime_args("run", "-b", bundle, t.id()))
            terminal.wait()
            good += terminal.process.returncode == 0
            assert terminal.process.returncode in (0, 1)
            assert terminal.process.returncode or terminal.output == "target", terminal.output
    assert good, "no container came up in spite of the race: the test shows nothing"


def test_cwd(t):
    """CVE-2024-21626, CVE-2026-44517: the working directory is swapped for symlinks to the host and through the runtime's fds: the process
    is never outside of its root, and no directory is made there."""
    host, rootfs = outside(t), t.busybox_rootfs()
    (rootfs / "work").mkdir()
    (rootfs / "work/inside").write_text("inside")
    for target in (str(host), "/proc/self/fd/7", "../../../../../../../.." + str(host)):
        link = rootfs / "link"
        if link.is_symlink() or (rootfs / "work").is_symlink():
            os.unlink(link if link.is_symlink() else rootfs / "work")
            if not (rootfs / "work").is_dir():
                os.rename(rootfs / "link", rootfs / "work")
        os.symlink(target, link)
        plain = t.bundle({"process": {"cwd": "/work"}}, rootfs=rootfs, args=["/bin/sh", "-c", "cat secret; cat inside; cd ..; cat secret; true"])
        deep = t.bundle({"process": {"cwd": "/work/made/here"}}, rootfs=rootfs, args=["/bin/sh", "-c", "cat ../../secret"])
        with swapping(t, (rootfs / "work", link), rounds=20, seconds=4) as attack:
            for n in attack:
                for bundle in (plain, deep):
                    result = run(t, bundle, slow=n % 3 == 0)
                    assert "secret" not in result.out, result
                    untouched(host)


def test_exec_cwd_and_user(t):
    """CVE-2024-21626 at exec: the container itself swaps its directories, and /etc/passwd, while processes are started in it."""
    host, rootfs, name = outside(t), t.busybox_rootfs(), t.id()
    (rootfs / "work").mkdir()
    link = link_to(rootfs, "link", "/proc/self/fd/6/../../../.." + str(host))
    passwd = link_to(rootfs, "etc/other", "/proc/self/fd/0")
    t.defer(t.runtime, "delete", "--force", name)
    t.runtime("run", "-d", "-b", t.bundle(rootfs=rootfs, args=["sleep", "1000"]), name, stdout=None, stderr=None)
    with swapping(t, (rootfs / "work", link), (rootfs / "etc/passwd", passwd), rounds=40) as attack:
        for n in attack:
            result = t.runtime("exec", "--cwd", "/work", "--env", "HOME=", name, "/bin/sh", "-c", "cat secret; pwd; cat /work/secret; true", check=False)
            assert "secret" not in result.out and result.rc in (0, 255), result
            untouched(host)


def test_exec_is_not_looked_into(t):
    """CVE-2016-9962, CVE-2019-5736: a container that looks at every new process, its fds, root and executable, while processes are started
    in it, sees nothing of the host's and cannot write to the runtime."""
    if t.sanitized:
        t.skip("sanitizers")
    name, rootfs = t.id(), t.busybox_rootfs()
    before = (t.bin / "havre-runtime").stat()
    look = ("while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] && continue; ls -l $p/fd $p/ | grep -e ' -> '; "
            "cat $p/root/%s $p/cwd/%s; ( : >> $p/exe ) && echo WROTE $p; done; done 2>/dev/null >> /seen")
    mark = f"havre-mark-{os.getpid()}"
    look = look.replace("%s", mark)
    t.defer(t.runtime, "delete", "--force", name)
    with open("/" + mark, "w") as f:
        f.write("HOST FILE\n")
    t.defer(os.unlink, "/" + mark)
    t.runtime("run", "-d", "-b", t.bundle(rootfs=rootfs, args=["sh", "-c", look]), name, stdout=None, stderr=None)
    for _ in range(60):
        assert t.runtime("exec", name, "/bin/echo", "there", check=False).out == "there\n"
    seen = (rootfs / "seen").read_text(errors="replace")
    targets = {line.split(" -> ", 1)[1] for line in seen.splitlines() if " -> " in line}
    foreign = {target for target in targets if not re.fullmatch(r"/|/bin/busybox|/dev/null|/seen|/proc/\d+.*|pipe:\[\d+\]", target)}
    assert not foreign and "HOST FILE" not in seen and "WROTE" not in seen, foreign
    assert "/bin/busybox" in targets, f"the container saw nothing at all: {seen[:200]}"
    after = (t.bin / "havre-runtime").stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def test_copy_into_tmpfs(t):
    """tmpcopyup of a directory in which files are swapped for devices and symlinks: it ends, and brings nothing from outside of the root."""
    host, rootfs = outside(t), t.busybox_rootfs()
    (rootfs / "data").mkdir()
    for i in range(20):
        (rootfs / f"data/f{i}").write_text("inside")
        os.symlink(str(host / "secret"), rootfs / f"link{i}")
        os.mknod(rootfs / f"zero{i}", stat.S_IFCHR | 0o666, os.makedev(1, 5))

    def edit(spec):
        spec["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "size=1m"]})
    bundle = t.bundle(rootfs=rootfs, edit=edit, args=["sh", "-c", "for f in /data/*; do [ -f $f -a ! -L $f ] && cat $f; done; true"])
    pairs = [(rootfs / f"data/f{i}", rootfs / f"{'link' if i % 2 else 'zero'}{i}") for i in range(20)]
    with swapping(t, *pairs, pause_us=20, rounds=40) as attack:
        for n in attack:
            result = run(t, bundle, slow=n % 3 == 0, timeout=20)
            assert "secret" not in result.out and "\0" not in result.out, result
            untouched(host)
