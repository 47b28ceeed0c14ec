# SPDX-License-Identifier: Apache-2.0
"""`t`, the context every test function gets. tests/README.md is the guide."""

import copy
import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import time
import traceback
from io import BytesIO
from pathlib import Path

from lib import system

EXIT_SKIP = 77
SLOWNESS = int(os.environ.get("HAVRE_TEST_SLOWNESS", "1"))  # in an emulated machine every limit is longer


class Skip(Exception):
    """Raised by t.skip."""


class TimedOut(Exception):
    """Raised inside a test by its time limit, so that its cleanups run."""


class Result:
    """How a program ended: rc (negative: by that signal), out, err, seconds."""

    def __init__(self, command, rc, out, err, seconds):
        self.command, self.rc, self.out, self.err, self.seconds = command, rc, out, err, seconds

    def __repr__(self):
        return (f"command: {self.command}\nexit status: {self.rc}  ({self.seconds:.2f} s)\n"
                f"--- out\n{self.out}\n--- err\n{self.err}\n---")


class Terminal:
    """A program on a pseudo-terminal: expect() output, send() keys, resize()."""

    def __init__(self, args, env, cwd, rows=24, columns=80):
        self.output = ""  # everything it has printed so far
        self.position = 0  # expect() has consumed up to here
        master, slave = pty.openpty()
        self.master = master
        self.resize(rows, columns)
        self.process = subprocess.Popen(args, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=cwd,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def read(self, timeout=0.1):
        """Reads what there is within timeout; False at the end of the output."""
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.output += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern, timeout=20):
        """Waits until the regular expression appears in new output; returns the match."""
        deadline = time.monotonic() + timeout * SLOWNESS
        more = True
        while True:
            match = re.search(pattern, self.output[self.position:])
            if match:
                self.position += match.end()
                return match
            assert more, f"output ended before /{pattern}/: {self.output!r}"
            assert time.monotonic() < deadline, f"no /{pattern}/ within {timeout} s in: {self.output!r}"
            more = self.read()

    def wait(self, timeout=20):
        """Reads to the end and returns the exit status."""
        deadline = time.monotonic() + timeout * SLOWNESS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"did not end within {timeout} s; output: {self.output!r}"
            if not self.read():
                time.sleep(0.02)
        while self.read(0.05) and select.select([self.master], [], [], 0.05)[0]:
            pass
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


class Case:
    def __init__(self, name, case_dir, shared, source, build, sanitized=False, timeout_s=None):
        self.name = name
        self.case_dir = Path(case_dir)
        self.shared = Path(shared)  # of the whole run: built once, read by many tests
        self.source, self.build = Path(source), Path(build)
        self.bin = self.build / "bin"
        self.sanitized = sanitized
        self.tmp, self.root, self.run_dir = self.case_dir / "tmp", self.case_dir / "root", self.case_dir / "run"
        self.runtime_root = self.case_dir / "runtime"
        for d in (self.tmp, self.root, self.run_dir, self.runtime_root):
            d.mkdir()
        self._cleanups = []
        # Commands end a little before the test does, so that it is a command that is named; cleanups have their own time.
        self._commands_end = time.monotonic() + 0.9 * timeout_s if timeout_s else None
        self._ids = 0
        self._token = f"t{os.getpid():x}{self.case_dir.name}"
        self._note(self._token)
        self.env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.tmp), "LC_ALL": "C.UTF-8", "TERM": "xterm", "TMPDIR": str(self.tmp),
            "HAVRE_NETWORK": "none",  # the machine's own network stays as it is; network_fixture.isolate changes this
        }
        if sanitized:
            logs = self.case_dir / "sanitizer"
            logs.mkdir()
            # Leak checks belong to the unit tests: at the exit of a program that cloned containers they cannot always ptrace.
            self.env["ASAN_OPTIONS"] = f"detect_leaks=0:abort_on_error=0:exitcode=99:log_path={logs}/asan"
            self.env["UBSAN_OPTIONS"] = f"print_stacktrace=1:halt_on_error=1:exitcode=99:log_path={logs}/ubsan"

    # -- flow ---------------------------------------------------------------------------------------------

    def skip(self, why):
        raise Skip(why)

    def defer(self, function, *args, **kw):
        """Calls function at the end of the test, whatever happens; last deferred, first called."""
        self._cleanups.append((function, args, kw))

    def wait_for(self, condition, timeout=20, what=None, every=0.02):
        """Calls condition() until it answers something true, and returns that."""
        deadline = time.monotonic() + timeout * SLOWNESS
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"not within {timeout} s: {what or getattr(condition, '__name__', condition)}"
            time.sleep(every)

    def id(self, hint="c"):
        """A container id nobody else uses. A cgroup left behind under it is found and counts as a failure."""
        self._ids += 1
        return f"{self._token}-{hint}{self._ids}"

    # -- programs -----------------------------------------------------------------------------------------

    def _environment(self, env):
        full = dict(self.env)
        for key, value in (env or {}).items():
            if value is None:
                full.pop(key, None)
            else:
                full[key] = str(value)
        return full

    def run(self, args, check=True, input=None, timeout=60, env=None, cwd=None, text=True, **popen):
        """Runs a program to its end. env is added to the test's environment (None removes a name). With check a non-zero exit
        status fails the test. text=False leaves .out and .err as bytes."""
        args = [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in args]
        shown = shlex.join(args)
        if isinstance(input, str):
            input = input.encode()
        popen.setdefault("stdin", subprocess.DEVNULL if input is None else subprocess.PIPE)
        popen.setdefault("stdout", subprocess.PIPE)
        popen.setdefault("stderr", subprocess.PIPE)
        began = time.monotonic()
        limit = timeout * SLOWNESS
        if self._commands_end and began < self._commands_end:
            limit = min(limit, self._commands_end - began)
        process = subprocess.Popen(args, env=self._environment(env), cwd=cwd or self.tmp, **popen)
        try:
            out, err = process.communicate(input, timeout=limit)
            late = False
        except subprocess.TimeoutExpired:
            late = True
            process.kill()
            try:
                out, err = process.communicate(timeout=2)
            except subprocess.TimeoutExpired as e:  # somebody else still holds the pipes
                out, err = e.stdout or b"", e.stderr or b""
        except BaseException:
            process.kill()
            process.wait()
            raise
        out, err = out or b"", err or b""
        if text:
            out, err = out.decode(errors="replace"), err.decode(errors="replace")
        result = Result(shown, process.returncode, out, err, time.monotonic() - began)
        self._note_containers()
        if late:
            raise AssertionError(f"did not end within {limit:.0f} s\n{result}")
        if check and result.rc != 0:
            raise AssertionError(f"failed\n{result}")
        return result

    def start(self, args, env=None, cwd=None, **popen):
        """Starts a program and returns its Popen; it is killed at the end of the test if it still runs."""
        args = [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in args]
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(args, env=self._environment(env), cwd=cwd or self.tmp, **popen)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.defer(end)
        return process

    def terminal(self, args, env=None, cwd=None, rows=24, columns=80):
        """Starts a program on a pseudo-terminal: see Terminal."""
        args = [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in args]
        terminal = Terminal(args, self._environment(env), cwd or self.tmp, rows, columns)
        self.defer(terminal.close)
        return terminal

    def havre_args(self, *args):
        return [self.bin / "havre", "--root", self.root, "--run", self.run_dir, *args]

    def runtime_args(self, *args):
        return [self.bin / "havre-runtime", "--root", self.runtime_root, *args]

    def havre(self, *args, **kw):
        return self.run(self.havre_args(*args), **kw)

    def runtime(self, *args, **kw):
        return self.run(self.runtime_args(*args), **kw)

    # -- inputs -------------------------------------------------------------------------------------------

    def cgroup_mode(self):
        """'v2', 'hybrid', 'v1' or 'none'."""
        return system.cgroup_mode()

    def need(self, *programs):
        """Skips the test when a program is not installed."""
        for program in programs:
            if not shutil.which(program, path=self.env["PATH"]):
                self.skip(f"{program} is not installed")

    def _once(self, name, make):
        """Makes shared/NAME once for all tests of this run: make(path) writes to a temporary path."""
        final = self.shared / name
        if not final.exists():
            with open(self.shared / (name + ".lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not final.exists():
                    partial = self.shared / (name + ".partial")
                    make(partial)
                    partial.rename(final)
        return final

    def busybox(self):
        """Path of a static busybox on the host."""
        for path in ("/bin/busybox", "/usr/bin/busybox"):
            if os.path.exists(path):
                return path
        self.skip("busybox-static is not installed")

    def busybox_rootfs(self, path=None):
        """A fresh root file system directory with busybox and links for its commands."""
        root = Path(path) if path else self.tmp / f"rootfs{self._next()}"
        for d in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "var"):
            (root / d).mkdir(parents=True, exist_ok=True)
        (root / "tmp").chmod(0o1777)
        shutil.copy(self.busybox(), root / "bin/busybox")
        (root / "bin/busybox").chmod(0o755)
        for applet in self._applets():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        for name, data in self._etc().items():
            (root / "etc" / name).write_text(data)
        return root

    def _next(self):
        self._ids += 1
        return self._ids

    @staticmethod
    def _etc():
        return {
            "passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
            "group": "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
        }

    def _applets(self):
        path = self._once("applets", lambda p: p.write_bytes(subprocess.run(
            [self.busybox(), "--list"], check=True, stdout=subprocess.PIPE).stdout))
        return path.read_text().split()

    def _busybox_layer(self):
        data = BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
            def add(name, kind, mode, content=b"", link=""):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode, entry.size, entry.linkname, entry.mtime = kind, mode, len(content), link, 1700000000
                tar.addfile(entry, BytesIO(content) if content else None)
            for d in ("bin", "dev", "etc", "proc", "root", "sys", "usr", "var"):
                add(d, tarfile.DIRTYPE, 0o755)
            add("tmp", tarfile.DIRTYPE, 0o1777)
            add("bin/busybox", tarfile.REGTYPE, 0o755, Path(self.busybox()).read_bytes())
            for applet in self._applets():
                if applet != "busybox":
                    add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
            for name, text in self._etc().items():
                add(f"etc/{name}", tarfile.REGTYPE, 0o644, text.encode())
        return data.getvalue()

    def busybox_archive(self):
        """A docker-archive (as `docker save` writes it) with the image busybox:test. Made once per run."""
        def make(path):
            import hashlib
            layer = self._busybox_layer()
            digest = hashlib.sha256(layer).hexdigest()
            config = json.dumps({
                "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux",
                "created": "2024-01-01T00:00:00Z",
                "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
                "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "havre tests"}],
            }).encode()
            config_name = hashlib.sha256(config).hexdigest() + ".json"
            manifest = json.dumps([{"Config": config_name, "RepoTags": ["busybox:test"], "Layers": [digest + "/layer.tar"]}]).encode()
            with tarfile.open(path, "w") as tar:
                for name, content in ((config_name, config), (digest + "/layer.tar", layer), ("manifest.json", manifest)):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    tar.addfile(entry, BytesIO(content))
        return self._once("busybox.tar", make)

    def busybox_image(self):
        """Loads a small image with busybox into this test's root; returns its name."""
        self.havre("load", "-i", self.busybox_archive())
        return "busybox:test"

    def bundle(self, overrides=None, rootfs=None, edit=None, args=None):
        """An OCI bundle: the configuration `havre-runtime spec` prints, without a terminal, with a busybox root that can be written.
        overrides is merged in (objects merge, None removes, anything else replaces); edit(spec) may change the rest. Returns its directory."""
        path = self.tmp / f"bundle{self._next()}"
        path.mkdir()
        self.runtime("spec", "--bundle", path)
        spec = json.loads((path / "config.json").read_text())
        spec["process"]["terminal"] = False
        spec["process"]["args"] = list(args) if args else ["true"]
        spec["process"].setdefault("env", ["PATH=/bin"])
        spec["root"] = {"path": str(rootfs) if rootfs else "rootfs", "readonly": False}
        if not rootfs:
            self.busybox_rootfs(path / "rootfs")

        def merge(into, what):
            for key, value in what.items():
                if value is None:
                    into.pop(key, None)
                elif isinstance(value, dict) and isinstance(into.get(key), dict):
                    merge(into[key], value)
                else:
                    into[key] = copy.deepcopy(value)
        merge(spec, overrides or {})
        if edit:
            edit(spec)
        (path / "config.json").write_text(json.dumps(spec, indent=1))
        return path

    def debian_rootfs_tar(self):
        """A real Debian root file system as a tar (mmdebstrap, minbase), made once per machine."""
        from lib import debian
        return debian.rootfs_tar(self)

    debian_image_tar = debian_rootfs_tar

    # -- for the runner -----------------------------------------------------------------------------------

    def _note(self, *ids):
        with open(self.case_dir / "ids", "a") as f:
            f.writelines(i + "\n" for i in ids)

    def _note_containers(self):
        """Remembers the ids of containers that exist now, for the search for cgroups left behind."""
        for d in (self.root / "containers", self.run_dir / "containers"):
            try:
                self._note(*[n for n in os.listdir(d) if re.fullmatch("[0-9a-f]{64}", n)])
            except OSError:
                pass

    def close(self):
        """Runs the deferred cleanups; returns the traces of those that failed."""
        failures = []
        while self._cleanups:
            function, args, kw = self._cleanups.pop()
            try:
                function(*args, **kw)
            except BaseException:
                failures.append(traceback.format_exc())
        self._note_containers()
        return failures


def run_function(case, function):
    """Body of the test process: returns its exit status; the reason of a skip goes to case_dir/skip."""
    def late(*_):
        raise TimedOut("the test's time is up")
    signal.signal(signal.SIGALRM, late)
    status = 0
    try:
        function(case)
    except Skip as skip:
        (case.case_dir / "skip").write_text(str(skip))
        status = EXIT_SKIP
    except BaseException as error:
        trace = traceback.format_exception(type(error), error, error.__traceback__.tb_next or error.__traceback__)
        sys.stdout.write("".join(trace))
        status = 1
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    for failure in case.close():
        print("a cleanup failed:\n" + failure)
        status = 1
    if case.sanitized:
        for report in sorted((case.case_dir / "sanitizer").iterdir()):
            print(f"sanitizer report {report.name}:\n{report.read_text(errors='replace')[:6000]}")
            status = 1
    return status
