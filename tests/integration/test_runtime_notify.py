# SPDX-License-Identifier: Apache-2.0
"""NOTIFY_SOCKET: what a container says with sd_notify(3) reaches the service manager of whoever started it."""

import json
import os
import signal
import socket
import subprocess
import sys

SLEEP = ["sh", "-c", "echo $NOTIFY_SOCKET; while :; do sleep 0.05; done"]
USERNS = {"linux": {"namespaces": [{"type": kind} for kind in ("user", "mount", "pid", "ipc", "uts")],
                    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
                    "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}}
# Joins the container's user and mount namespace, becomes a user there, and sends what it is given, with a file descriptor along.
SENDER = """
import array, ctypes, os, socket, sys
pid, uid = sys.argv[1:3]
libc = ctypes.CDLL(None, use_errno=True)
fds = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
pipe = os.pipe()
for fd, flag in zip(fds, (0x10000000, 0x20000)):
    if flag == 0x20000 or os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        if libc.setns(fd, flag) < 0:
            raise OSError(ctypes.get_errno(), "setns")
os.setresuid(int(uid), int(uid), int(uid))
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/notify/notify.sock")
for message in sys.argv[3:]:
    s.sendmsg([message.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pipe[0]]))])
"""


class Manager:
    """The host's side, as a service manager has it: it receives, and closes what comes with BARRIER=1."""

    def __init__(self, t, abstract=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(20)
        t.defer(self.socket.close)
        if abstract:
            self.address = f"@havre-test-{t.id()}"
            self.socket.bind("\0" + self.address[1:])
            return
        directory = os.open(t.tmp, os.O_PATH)  # the path may be longer than an address
        self.address = t.tmp / "manager.sock"
        self.socket.bind(f"/proc/self/fd/{directory}/manager.sock")
        os.close(directory)

    def next(self):
        message, fds, *_ = socket.recv_fds(self.socket, 4096, 4)
        for fd in fds:
            os.close(fd)
        return message.decode(), len(fds)

    def silent(self):
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(4096)
        except BlockingIOError:
            return True


def pid_of(t, name):
    return json.loads(t.runtime("state", name).out)["pid"]


def send(t, name, *messages, uid=0, check=True):
    return t.run([sys.executable, "-c", SENDER, pid_of(t, name), uid, *messages], check=check)


def status(t, name):
    return json.loads(t.runtime("state", name).out)["status"]


def create(t, manager, overrides=None):
    name, bundle = t.id(), t.bundle(overrides, args=SLEEP)
    if overrides:
        t.run(["chown", "-R", "100000:100000", bundle / "rootfs"])
        for path in (t.case_dir, t.tmp, bundle):
            path.chmod(0o755)
    t.defer(t.runtime, "delete", "--force", name)
    with open(t.tmp / "out", "w") as out:
        t.runtime("create", "-b", bundle, name, stdout=out, stderr=out, env={"NOTIFY_SOCKET": manager.address})
    return name


def start(t, manager, name):
    """start, which waits now; and the container runs."""
    process = t.start(t.runtime_args("start", name), env={"NOTIFY_SOCKET": manager.address})
    t.wait_for(lambda: status(t, name) == "running" and (t.tmp / "out").read_text().endswith("\n"))
    assert process.poll() is None
    return process


def test_start_waits_for_ready(t):
    """start returns after READY=1, which arrives with the container's pid; other words and file descriptors stay inside"""
    manager = Manager(t)
    name = create(t, manager)
    process = start(t, manager, name)
    assert (t.tmp / "out").read_text() == "/run/notify/notify.sock\n"
    send(t, name, "STATUS=warming up", "MAINPID=1", "FDSTORE=1\nFDNAME=x", "XREADY=1", "READY=10", "")
    assert process.poll() is None and manager.silent()
    manager.socket.settimeout(20)
    send(t, name, "STATUS=done\nREADY=1\nMAINPID=1")
    assert manager.next() == (f"MAINPID={pid_of(t, name)}\nREADY=1\n", 0)
    assert manager.next() == ("BARRIER=1\n", 1)
    assert process.wait(20) == 0
    mount = t.runtime("exec", name, "grep", " /run/notify ", "/proc/self/mountinfo").out.split()
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mount[5].split(",")), mount
    assert t.runtime("exec", name, "touch", "/run/notify/x", check=False).rc != 0
    assert send(t, name, "READY=1", check=False).rc != 0, "nobody listens any more"


def test_user_namespace_and_other_users(t):
    """any user of a container with a user namespace may say it; the address may be an abstract one"""
    manager = Manager(t, abstract=True)
    name = create(t, manager, USERNS)
    process = start(t, manager, name)
    send(t, name, "READY=1", uid=1000)
    assert manager.next()[0].endswith("\nREADY=1\n") and manager.next()[1] == 1
    assert process.wait(20) == 0


def test_end_without_ready(t):
    """start ends with a container that never became ready, and can be repeated after it was killed"""
    manager = Manager(t)
    name = create(t, manager)
    process = start(t, manager, name)
    t.runtime("kill", name, "KILL")
    assert process.wait(20) == 0 and manager.silent()


def test_run_in_front_and_detached(t):
    """run hands READY=1 on while it stays in front, without a MAINPID; run --detach waits, and the configuration's own is replaced"""
    manager = Manager(t)
    bundle = t.bundle({"process": {"env": ["PATH=/bin", "NOTIFY_SOCKET=/elsewhere"]}}, args=SLEEP)
    name = t.id()
    with open(t.tmp / "out", "w") as out:
        process = t.start(t.runtime_args("run", "-b", bundle, name), env={"NOTIFY_SOCKET": manager.address}, stdout=out)
    t.wait_for(lambda: (t.tmp / "out").read_text().endswith("\n"))
    assert (t.tmp / "out").read_text() == "/run/notify/notify.sock\n"
    send(t, name, "WATCHDOG=1", "READY=1")
    assert manager.next() == ("READY=1\n", 0) and manager.silent()
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    t.runtime("kill", name, "KILL", check=False)
    process.wait(20)
    manager.socket.settimeout(20)
    name = t.id()
    t.defer(t.runtime, "delete", "--force", name)
    process = t.start(t.runtime_args("run", "-d", "-b", bundle, name), env={"NOTIFY_SOCKET": manager.address}, stdout=subprocess.DEVNULL)
    t.wait_for(lambda: t.runtime("state", name, check=False).rc == 0 and status(t, name) == "running")
    send(t, name, "READY=1")
    assert manager.next()[0] == f"MAINPID={pid_of(t, name)}\nREADY=1\n" and manager.next()[0] == "BARRIER=1\n"
    assert process.wait(20) == 0


def test_wrong_addresses_and_none(t):
    """an address that cannot be used is named before anything starts; a container made without has none of it"""
    manager = Manager(t)
    for address, why in (("relative", "absolute path"), ("/no/such/socket", "no such file"), ("@", "empty")):
        name, bundle = t.id(), t.bundle()
        result = t.runtime("run", "-b", bundle, name, check=False, env={"NOTIFY_SOCKET": address})
        assert result.rc == 1 and f"NOTIFY_SOCKET={address}" in result.err and why in result.err, result
        assert t.runtime("state", name, check=False).rc == 1
    result = t.runtime("run", "-b", t.bundle(args=["sh", "-c", "echo x$NOTIFY_SOCKET; test ! -e /run/notify"]), t.id(), env={"NOTIFY_SOCKET": ""})
    assert result.out == "x\n", result
    name, bundle = t.id(), t.bundle(args=SLEEP)
    t.defer(t.runtime, "delete", "--force", name)
    with open(os.devnull, "w") as null:
        t.runtime("create", "-b", bundle, name, stdout=null, stderr=null)
    t.runtime("start", name, env={"NOTIFY_SOCKET": manager.address})
    assert manager.silent()


def test_start_again_after_a_kill(t):
    """a start that was killed before the container ran leaves its socket, which the next one replaces, also when it is a symlink"""
    manager = Manager(t)
    name = create(t, manager)
    directory = t.runtime_root / name / "notify"
    victim = t.tmp / "victim"
    victim.write_text("kept")
    mode = victim.stat().st_mode
    (directory / "notify.sock").symlink_to(victim)
    process = start(t, manager, name)
    send(t, name, "READY=1")
    assert manager.next()[0].endswith("READY=1\n") and manager.next()[1] == 1
    assert process.wait(20) == 0
    assert victim.read_text() == "kept" and victim.stat().st_mode == mode
