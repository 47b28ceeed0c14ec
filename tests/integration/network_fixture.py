# SPDX-License-Identifier: Apache-2.0
"""A network of the test's own: the test process moves into a fresh network namespace, so that bridges, rules and published ports never touch
the machine's. Everything ends with the namespace."""

import ctypes
import os

CLONE_NEWNET = 0x40000000
OUTSIDE = "192.0.2.2"  # a neighbour on the wire
MACHINE = "192.0.2.1"  # what it calls us


def isolate(t):
    """From here on this test and all it starts live in a network namespace of their own, with the default network of havre. Without nftables
    or bridges in the kernel the test is skipped."""
    t.need("ip")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        t.skip(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
    t.env.pop("HAVRE_NETWORK", None)
    t.run(["ip", "link", "set", "lo", "up"])
    if t.run(["ip", "link", "add", "probe0", "type", "bridge"], check=False).rc != 0:
        t.skip("this kernel has no bridges")
    t.run(["ip", "link", "del", "probe0"])
    return t.busybox_image()


class Outside:
    """A second machine, connected to ours by a cable: run() executes there."""

    def __init__(self, t):
        self.t = t
        self.process = t.start(["unshare", "-n", "sleep", "600"])
        own = os.readlink("/proc/self/ns/net")
        t.wait_for(lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != own)
        t.run(["ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1", "netns", str(self.process.pid)])
        t.run(["ip", "addr", "add", MACHINE + "/24", "dev", "wire0"])
        t.run(["ip", "link", "set", "wire0", "up"])
        self.run("ip", "addr", "add", OUTSIDE + "/24", "dev", "wire1")
        self.run("ip", "link", "set", "wire1", "up")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *args, **kw):
        return self.t.run(["nsenter", "-t", str(self.process.pid), "-n", *args], **kw)


SERVER = "while :; do nc -l -p {port} -e echo {text}; done"


def serve(t, name, *flags, text=None, port=80, image="busybox:test"):
    """A container whose port answers with its name."""
    t.havre("run", "-d", "--name", name, *flags, image, "sh", "-c", SERVER.format(port=port, text=text or name))
    t.defer(t.havre, "rm", "-f", name)


def ask(t, host, port, run=None, timeout=2):
    """What the server at an address says; "" when it cannot be reached."""
    run = run or (lambda *a, **k: t.run(list(a), **k))
    return run(t.busybox(), "nc", "-w", str(timeout), host, str(port), check=False, input="").out.strip()


def address(t, name, network="bridge"):
    return t.havre("inspect", "-f", "{{(index .NetworkSettings.Networks \"%s\").IPAddress}}" % network, name).out.strip()
