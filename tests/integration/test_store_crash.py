# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of pull, load, commit, prune and rmi: the store is whole, nothing that was committed is lost, nothing leaks.

HAVRE_CRASH_ROUNDS=1000 does as many rounds by hand; HAVRE_CRASH_SEED=N repeats a run."""

import json
import os
import random
import signal
import subprocess
import time

from layers_fixture import entry, make_tar, write_layout
from registry_fixture import FaultServer

VM = False
SECONDS = 40


class Round:
    """One store that is damaged again and again."""

    def __init__(self, t, seed, driver):
        self.t, self.random, self.driver = t, random.Random(seed), driver
        self.server = FaultServer(t)
        base = os.urandom(200_000)
        for n in range(3):
            self.server.add_image(f"app{n}", "v1", [{"base": base}, {"own": bytes([n]) * 40_000}])
        layout = t.tmp / "layout"
        layout.mkdir()
        write_layout(layout, [make_tar(entry("a", data=base[:50_000])), make_tar(entry("b", data=b"b" * 30_000))])
        self.archive = t.tmp / "archive.tar"
        t.run(["tar", "-C", layout, "-cf", self.archive, "."])
        self.committed = set()  # names that must be there
        self.havre("load", "-q", "-i", t.busybox_archive())
        self.havre("run", "--name", "user", "--network", "none", "busybox:test", "sh", "-c", "cp -r /etc /etc2; rm /etc/group; echo x >/x")
        self.took = {}

    def args(self, *args):
        return self.t.havre_args("--storage-driver", self.driver, *args)

    def havre(self, *args, **kw):
        return self.t.run(self.args(*args), **kw)

    def names(self):
        return set(self.havre("images", "--format", "{{.Repository}}:{{.Tag}}").out.split()) - {"busybox:test", "<none>:<none>"}

    def choose(self):
        """A command, with what it makes sure of and what it may take away."""
        name = f"{self.server.host}/app{self.random.randrange(3)}:v1"
        return self.random.choice([
            (("pull", "-q", name), {name}, set()),
            (("load", "-q", "-i", str(self.archive)), set(), set()),
            (("commit", "-q", "user", "committed:v1"), {"committed:v1"}, set()),
            (("rmi", name), set(), {name}) if name in self.committed else (("pull", "-q", name), {name}, set()),
            (("image", "prune", "-f"), set(), set()),
            (("image", "prune", "-af"), set(), set(self.committed)),
            (("system", "check", "--quick", "--repair"), set(), set()),
        ])

    def run(self):
        """One command, killed somewhere in it. Whatever it did, what was there before and was not its business is there."""
        args, adds, takes = self.choose()
        kind = args[:2]
        limit = self.took.get(kind, 0.5)
        p = subprocess.Popen(self.args(*args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        try:
            p.wait(self.random.uniform(0, limit * 1.1))
            self.took[kind] = time.monotonic() - began
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
            p.wait()
            self.took[kind] = limit * 1.03  # so that the ends are met too
        now = self.names()
        lost = self.committed - takes - now
        assert not lost, f"{args} killed: {lost} lost"
        if p.returncode == 0:
            assert adds <= now and (args[0] != "rmi" or not takes & now), f"{args} ended well: {now}"
        self.committed = now

    def judge(self):
        """What is recorded is whole (without any repair); repair finds leftovers only, and leaves nothing wrong."""
        report = json.loads(self.havre("system", "check", "--format", "json", check=False).out)
        wrong = [p for p in report["Problems"] if not p["Object"].startswith(("leftover ", "file index.json"))]
        assert not wrong, wrong
        self.havre("system", "check", "--quick", "--repair")
        assert self.havre("system", "check").out.endswith("Nothing is wrong.\n")

    def empty(self):
        """With everything removed nothing is left: no blob, no layer, no snapshot."""
        self.havre("rm", "user")
        self.havre("image", "prune", "-af")
        root = self.t.root / "images"
        left = [p for d in ("blobs/sha256", "layers", "snapshots") for p in (root / d).iterdir()]
        assert not left, left
        kept = [p.name for p in (root / "ingest").iterdir() if not p.name.startswith("sha256-")]
        assert not kept, kept


def crash(t, driver):
    rounds, seed = int(os.environ.get("HAVRE_CRASH_ROUNDS", "0")), int(os.environ.get("HAVRE_CRASH_SEED", "0")) or random.randrange(1 << 30)
    r = Round(t, seed, driver)
    end, done = time.monotonic() + SECONDS, 0
    try:
        while done < (rounds or 50) or (not rounds and time.monotonic() < end and done < 200):
            r.run()
            done += 1
            if done % 10 == 0:
                r.judge()
        r.judge()
        r.empty()
    except AssertionError as e:
        raise AssertionError(f"HAVRE_CRASH_SEED={seed}, round {done}: {e}") from None


def test_overlay(t):
    """At least 50 rounds with unpacked layers."""
    crash(t, "overlay")


def test_erofs(t):
    """At least 50 rounds with layers that stay tar files."""
    if [int(n) for n in os.uname().release.split(".")[:2]] < [6, 15]:
        t.skip("overlayfs takes a detached EROFS mount of a file from Linux 6.15 on")
    crash(t, "erofs")


test_overlay.timeout = test_erofs.timeout = 3600 if os.environ.get("HAVRE_CRASH_ROUNDS") else 300
