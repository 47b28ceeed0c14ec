# SPDX-License-Identifier: Apache-2.0
"""A CRIU that works on this kernel: the installed one, or the newest of Debian's unstable suite, unpacked into the tests' cache."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from lib import debian

NAME = "criu-1"  # of the directory in the cache
CONFIGURATION = """Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""
# The program's loader and libraries are newer than the machine's own.
WRAPPER = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""


def complaint(program):
    """Why it cannot work here, or None."""
    try:
        done = subprocess.run([program, "check"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if "Error" in line] or ["no error is said"]
    return f"criu check: {lines[0]}"


def _apt(work, *arguments, cwd=None):
    done = subprocess.run([*arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, cwd=cwd, env={**os.environ, "APT_CONFIG": str(work / "apt.conf")})
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]}: {done.stdout.strip()[-200:]}")
    return done.stdout


def _fetch(final):
    """Unpacks criu and the packages that it needs from the unstable suite of this machine's own mirror."""
    mirror = debian.mirror(debian.suite())
    if not mirror:
        raise RuntimeError("apt has no mirror")
    with tempfile.TemporaryDirectory(dir=final.parent) as directory:
        work, tree = Path(directory), Path(directory) / "tree"
        for name in ("state/lists/partial", "cache/archives/partial", "packages", "tree"):
            (work / name).mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(f"deb {mirror} unstable main\n")
        (work / "apt.conf").write_text(CONFIGURATION.format(work=work))
        _apt(work, "apt-get", "-qq", "update")
        out = _apt(work, "apt-cache", "depends", "--recurse", "--important", "criu")
        names = sorted(set(re.findall(r"^[a-z0-9][a-z0-9.+-]*$", out, re.M)))
        _apt(work, "apt-get", "-qq", "download", *names, cwd=work / "packages")
        for package in (work / "packages").glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, tree], check=True, timeout=60)
        for unused in ("usr/share", "etc", "var"):
            shutil.rmtree(tree / unused, ignore_errors=True)
        loader = next((tree / "usr/lib").glob("*-linux-gnu*/ld-linux*.so.*"))
        placed = final / loader.parent.relative_to(tree)
        (tree / "bin").mkdir(exist_ok=True)
        wrapper = tree / "bin/criu"
        wrapper.write_text(WRAPPER.format(loader=placed / loader.name, libraries=placed, program=final / "usr/sbin/criu"))
        wrapper.chmod(0o755)
        tree.chmod(0o755)
        tree.rename(final)


def directory(t):
    """A directory for PATH that has a working criu; skips the test otherwise."""
    if os.geteuid() != 0:
        t.skip("criu needs root")
    installed = shutil.which("criu", path=t.env["PATH"])
    why = complaint(installed) if installed else "criu is not installed"
    if not why:
        return Path(installed).parent
    cache = debian.cache_directory()
    final, failed = cache / NAME, t.shared / "criu.failed"
    with open(cache / f"{NAME}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if failed.exists():
            t.skip(failed.read_text())
        try:
            if not final.exists():
                _fetch(final)
            newer = complaint(final / "bin/criu")
        except (OSError, RuntimeError, StopIteration, subprocess.SubprocessError) as e:
            newer = f"not to be had: {e}"
        if newer:
            failed.write_text(f"{why}; the unstable suite's: {newer}")
            t.skip(failed.read_text())
    return final / "bin"
