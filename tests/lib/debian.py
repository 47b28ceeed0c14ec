# SPDX-License-Identifier: Apache-2.0
"""A real Debian root file system, made by mmdebstrap once per machine and kept in a cache."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path


def cache_directory():
    for base in ("/var/cache", os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")):
        path = Path(base) / "havre-tests"
        try:
            path.mkdir(parents=True, exist_ok=True)
            if os.access(path, os.W_OK):
                return path
        except OSError:
            pass
    raise OSError("no writable cache directory")


def suite():
    try:
        with open("/etc/os-release") as f:
            for line in f:
                if line.startswith("VERSION_CODENAME="):
                    return line.split("=", 1)[1].strip().strip('"')
    except OSError:
        pass
    return "stable"


def mirror(codename):
    """The mirror this machine's apt uses for its own suite, or None: mmdebstrap's default then."""
    try:
        out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in out.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1:] == [codename, "main"]:
            return fields[0]
    return None


def rootfs_tar(t):
    if os.geteuid() != 0:
        t.skip("mmdebstrap needs root here")
    codename = suite()
    cache = cache_directory()
    final = cache / f"debian-{codename}-minbase.tar"
    failed = t.shared / "mmdebstrap.failed"
    with open(cache / f"{final.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.exists():
            return final
        if not shutil.which("mmdebstrap"):
            t.skip("mmdebstrap is not installed")
        if failed.exists():  # once per run is enough to wait for a mirror
            t.skip(failed.read_text())
        partial = cache / (final.name + ".partial")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar",
                   '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "3"', codename, str(partial)]
        where = mirror(codename)
        if where:
            command.append(where)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            partial.unlink(missing_ok=True)
            reason = "mmdebstrap cannot make a Debian root: " + " | ".join(done.stdout.strip().splitlines()[-3:])
            failed.write_text(reason)
            t.skip(reason)
        partial.rename(final)
        return final
