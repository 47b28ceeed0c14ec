# SPDX-License-Identifier: Apache-2.0
"""An ordinary user for tests."""

import ctypes
import json
import os
import shutil
import stat

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
UID = 61234
SUBIDS = (720000, 65536)


class User:
    """A user that exists only in the mount namespace of the programs that it runs, with or without subordinate ids."""

    def __init__(self, t, subids=None, tun=False):
        self.t, self.files = t, {}
        self.home = t.tmp / f"user{t.id()}"
        self.home.mkdir()
        for directory in [t.tmp, *t.tmp.parents]:
            if directory.stat().st_uid == 0 and not directory.stat().st_mode & 1:
                directory.chmod(directory.stat().st_mode | 0o111)
        self.bin = self.home / "havre-runtime"
        for program in ("havre", "havre-init", "havre-monitor", "havre-runtime", "havre-transfer"):
            if (t.bin / program).exists():
                shutil.copy(t.bin / program, self.home / program)  # the build may lie where others may not look
        for name, line in (("passwd", f"havretest:x:{UID}:{UID}::/:/bin/sh\n"), ("group", f"havretest:x:{UID}:\n"),
                           ("subuid", f"havretest:{subids[0]}:{subids[1]}\n" if subids else ""),
                           ("subgid", f"havretest:{subids[0]}:{subids[1]}\n" if subids else "")):
            self.files[name] = self.home / name
            self.files[name].write_text(line)
        self.tun = self.home / "tun" if tun else None  # a device that everybody may use, as most machines have it
        if tun:
            os.mknod(self.tun, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
            self.tun.chmod(0o666)
        self.log = self.home / "log"
        self.log.touch()
        run = self.home / "run"
        run.mkdir()
        self.states = run / "havre-runtime"
        self.env = {"XDG_RUNTIME_DIR": run, "HOME": self.home}
        os.chown(self.home, UID, UID)
        os.chown(run, UID, UID)
        os.chown(self.log, UID, UID)

    def become(self):
        """In the child: the user's files under /etc, and its ids."""
        if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
            raise OSError(ctypes.get_errno(), "mount namespace")
        for name, path in self.files.items():
            if os.path.exists(f"/etc/{name}") and LIBC.mount(bytes(path), f"/etc/{name}".encode(), None, MS_BIND, None):
                raise OSError(ctypes.get_errno(), name)
        if self.tun and LIBC.mount(bytes(self.tun), b"/dev/net/tun", None, MS_BIND, None):
            raise OSError(ctypes.get_errno(), "tun")
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)

    def run(self, *args, env=None, **kw):
        return self.t.run(args, env={**self.env, **(env or {})}, preexec_fn=self.become, **kw)

    def runtime(self, *args, **kw):
        return self.run(self.bin, "--log", self.log, *args, **kw)

    def havre_args(self, *args):
        return [self.home / "havre", *args]

    def havre(self, *args, **kw):
        return self.run(*self.havre_args(*args), **kw)

    def detached(self, *args, **kw):
        """Runs what leaves a container behind, which keeps the output's files open: so these are no pipes."""
        with open(self.home / "out", "w+") as out:
            result = self.runtime(*args, stdout=out, stderr=out, check=False, **kw)
            out.seek(0)
            assert result.rc == 0, out.read()

    def spec(self, path, *args):
        self.runtime("spec", "--bundle", path, *args)
        return json.loads((path / "config.json").read_text())

    def bundle(self, args=None, edit=None, rootless=False):
        """A bundle of the user's own with what its `spec` (or `spec --rootless`) prints."""
        path = self.home / self.t.id("bundle")
        path.mkdir()
        self.t.busybox_rootfs(path / "rootfs")
        for directory, names, files in os.walk(path):
            for name in [directory, *(os.path.join(directory, n) for n in names + files)]:
                os.lchown(name, UID, UID)
        spec = self.spec(path, *(["--rootless"] if rootless else []))
        spec["process"]["terminal"] = False
        spec["process"]["args"] = args or ["true"]
        spec["root"]["readonly"] = False
        if edit:
            edit(spec)
        (path / "config.json").write_text(json.dumps(spec))
        return path

    def container(self, bundle):
        """A running container; it is removed at the end."""
        name = self.t.id()
        self.t.defer(self.runtime, "delete", "--force", name)
        self.detached("run", "--detach", "--bundle", bundle, name)
        return name

    def output(self, script, edit=None, rootless=False, **kw):
        return self.runtime("run", "--bundle", self.bundle(["sh", "-c", script], edit, rootless), self.t.id(), **kw)
