# SPDX-License-Identifier: Apache-2.0
"""havre-runtime in runc's place: what its callers (podman, containerd, dockerd) rely on, and podman itself."""


def refused_at_create(t, program):
    """What create says about a program; nothing is left."""
    name, bundle = t.id(), t.bundle(args=[program])
    t.defer(t.runtime, "delete", "--force", name)
    result = t.runtime("create", "--bundle", bundle, name, check=False)
    assert result.rc == 1 and "denied: " not in result.err and "directory: " not in result.err, result
    assert t.runtime("state", name, check=False).rc == 1
    return result.err


def test_create_refuses_what_nobody_can_execute(t):
    """callers answer 126 and 127 from create's words; start would be too late for dockerd"""
    bundle = t.bundle()
    assert (bundle / "rootfs").is_dir()
    for program in ("/bin", "/etc"):
        assert "permission denied" in refused_at_create(t, program)
    assert "executable file not found in $PATH" in refused_at_create(t, "no-such-program")
    assert "no such file or directory" in refused_at_create(t, "/no/such/program")


def test_create_refuses_a_plain_file(t):
    """a file without any x bit is refused by create, too"""
    name, bundle = t.id(), t.bundle(args=["/plain"])
    (bundle / "rootfs/plain").write_text("data\n")
    (bundle / "rootfs/plain").chmod(0o644)
    t.defer(t.runtime, "delete", "--force", name)
    result = t.runtime("create", "--bundle", bundle, name, check=False)
    assert result.rc == 1 and "permission denied" in result.err, result


def test_stderr_is_the_container_s(t):
    """without a terminal or a log, warnings stay out of stderr; --log has them"""
    limits = {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1 << 30, "hard": 1 << 30}]}}
    bundle = t.bundle(limits, args=["sh", "-c", "echo mine >&2"])
    result = t.runtime("run", "-b", bundle, t.id(), check=False)
    if result.rc:
        t.skip("the kernel refuses the limit itself: " + result.err)
    assert result.err == "mine\n", result
    log = t.tmp / "log"
    result = t.run([t.bin / "havre-runtime", "--root", t.runtime_root, "--log", log, "run", "-b", bundle, t.id()])
    assert result.err == "mine\n", result
    if log.read_text():
        assert "RLIMIT_NOFILE" in log.read_text()


def test_version_after_global_flags(t):
    """--version and -v are found behind the global flags that callers always give"""
    for flag in ("--version", "-v", "-version"):
        out = t.runtime("--log-format", "json", flag).out
        assert out.startswith("havre-runtime version ") and "\ncommit: " in out, out
    wrong = t.runtime("--nonsense", "--version", check=False)
    assert wrong.rc == 1 and "--nonsense" in wrong.err and wrong.err.startswith("havre-runtime: "), wrong


def test_podman(t):
    """podman runs, executes in, pauses, stops and removes containers with havre-runtime as its runtime"""
    t.need("podman", "conmon")
    root, rootfs = t.tmp / "podman", t.tmp / "rootfs"
    t.busybox_rootfs(rootfs)
    t.run(["tar", "-C", rootfs, "-cf", t.tmp / "root.tar", "."])

    base = ["podman", "--root", root / "root", "--runroot", root / "run", "--tmpdir", root / "tmp", "--storage-driver", "vfs", "--events-backend",
            "none", "--runtime", t.bin / "havre-runtime", "--cgroup-manager", "cgroupfs"]

    def podman(*args, **kw):
        return t.run([*base, *args], **kw)

    root.mkdir()
    if podman("info", check=False).rc:
        t.skip("podman does not work on this machine")
    t.defer(podman, "rm", "--all", "--force", "--time", "0", check=False)
    podman("import", "-q", t.tmp / "root.tar", "bb")
    limits = ["--network", "none", "--ulimit", "nofile=500:500", "--ulimit", "nproc=500:500"]
    ran = podman("run", "--rm", *limits, "bb", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (ran.rc, ran.out, ran.err) == (3, "out\n", "err\n"), ran
    assert podman("run", "--rm", *limits, "bb", "no-such-program", check=False).rc == 127
    assert podman("run", "--rm", *limits, "bb", "/bin", check=False).rc == 126
    podman("run", "-d", "--name", "one", *limits, "bb", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    assert podman("exec", "-u", "5:6", "-w", "/bin", "-e", "A=b", "one", "sh", "-c", "id -u; pwd; echo $A").out == "5\n/bin\nb\n"
    assert podman("exec", "one", "no-such-program", check=False).rc == 127
    terminal = t.terminal([*map(str, base), "exec", "-it", "one", "sh", "-c", "tty; exit 6"])
    terminal.expect("/dev/pts/[0-9]+")
    assert terminal.wait() == 6
    podman("exec", "-d", "one", "sleep", "100")
    assert "sleep 100" in podman("top", "one").out
    if t.cgroup_mode() != "none":
        podman("update", "--memory", "100m", "one")
    podman("pause", "one")
    assert podman("inspect", "--format", "{{.State.Status}}", "one").out == "paused\n"
    podman("unpause", "one")
    podman("stop", "-t", "10", "one")
    assert podman("inspect", "--format", "{{.State.ExitCode}}", "one").out == "5\n"
    podman("start", "one")
    podman("kill", "one")
    assert podman("wait", "one").out == "137\n"
    podman("rm", "one")
    # podman gives the terminal its size when the program runs already
    terminal = t.terminal([*map(str, base), "run", "--rm", "-it", *limits, "bb", "sh", "-c",
                           "until stty size | grep 31; do sleep 0.1; done; exit 4"], rows=31, columns=91)
    terminal.expect("31 91")
    assert terminal.wait() == 4
    assert podman("ps", "-aq").out == ""


test_podman.vm = False  # its storage set-up alone takes minutes on an emulated processor
