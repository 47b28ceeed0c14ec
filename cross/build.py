#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds havre-runtime and the unit tests of base and runtime for other architectures, with Debian's cross compilers.

    cross/build.py [--asked] ARCH…   (all: every file NAME.ini in this folder)

Each goes to build-cross/ARCH, with a file "emulator" that names the program of qemu-user that runs its tests. The only library
needed, json-c, is compiled from Debian's source package, which is fetched and compiled once per machine. Without --asked (as ./dev test
calls it) what cannot be had is a line "skip ARCH: why" and no failure.
"""

import configparser
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent
sys.path.insert(0, str(SOURCE / "tests"))
sys.dont_write_bytecode = True

from lib.debian import cache_directory, mirror, suite  # noqa: E402

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Unavailable(Exception):
    """What a build needs and this machine cannot have."""


def run(arguments, what, **more):
    done = subprocess.run([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", **more)
    if done.returncode != 0:
        raise RuntimeError(f"{what} failed:\n" + "\n".join(done.stdout.splitlines()[-40:]))
    return done.stdout


def fetch_source(cache):
    """json-c's sources, unpacked. An apt configuration of its own: nothing changes on the machine."""
    unpacked = cache / "json-c"
    if unpacked.exists():
        return unpacked
    codename = suite()
    where = mirror(codename)
    if not where:
        raise Unavailable("apt has no mirror of this Debian suite")
    apt = cache / "apt"
    (apt / "lists/partial").mkdir(parents=True, exist_ok=True)
    (apt / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    (apt / "sources.list").write_text(f"deb-src {signed}{where} {codename} main\n")
    options = ["apt-get", "-qq", "-o", f"Dir::Etc::SourceList={apt}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", f"Dir::State::Lists={apt}/lists", "-o", f"Dir::Cache={apt}/cache", "-o", "Acquire::Languages=none",
               "-o", "Acquire::Retries=3", "-o", "Acquire::Check-Valid-Until=false", "-o", "APT::Sandbox::User=root"]
    try:
        run([*options, "update"], "apt-get update", timeout=300)
        run([*options, "source", "--download-only", "json-c"], "apt-get source json-c", cwd=apt, timeout=300)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        raise Unavailable("json-c's source package cannot be fetched: " + str(error).splitlines()[-1]) from error
    archive = next(p for p in apt.glob("json-c_*.orig.tar.*") if not p.name.endswith(".asc"))
    partial = cache / "json-c.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    run(["tar", "-x", "--strip-components=1", "--no-same-owner", "-C", partial, "-f", archive], "unpacking json-c")
    partial.rename(unpacked)
    shutil.rmtree(apt)
    return unpacked


def json_c(arch, compiler, cpu_family):
    """A static json-c for the architecture: the directory it is installed in."""
    cache = cache_directory() / "cross-1"
    cache.mkdir(exist_ok=True)
    installed = cache / arch
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed.exists():
            return installed
        if not shutil.which("cmake"):
            raise Unavailable("cmake is not installed")
        source = fetch_source(cache)
        build, partial = cache / (arch + ".build"), cache / (arch + ".partial")
        for directory in (build, partial):
            shutil.rmtree(directory, ignore_errors=True)
        run(["cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_C_COMPILER={compiler}", "-DCMAKE_SYSTEM_NAME=Linux",
             f"-DCMAKE_SYSTEM_PROCESSOR={cpu_family}", f"-DCMAKE_INSTALL_PREFIX={installed}", "-DCMAKE_INSTALL_LIBDIR=lib",
             "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_POSITION_INDEPENDENT_CODE=ON", "-DBUILD_SHARED_LIBS=OFF",
             "-DBUILD_TESTING=OFF", "-DBUILD_APPS=OFF"], f"configuring json-c for {arch}")
        run(["ninja", "-C", build, "install"], f"building json-c for {arch}", env={**os.environ, "DESTDIR": str(partial)})
        Path(f"{partial}{installed}").rename(installed)
        for directory in (build, partial):
            shutil.rmtree(directory)
        return installed


def build(arch, description):
    values = configparser.ConfigParser()
    values.read(description)
    compiler = values["binaries"]["c"].strip("'")
    emulator = values["havre"]["emulator"].strip("'")
    if not shutil.which(compiler):
        raise Unavailable(f"{compiler} is not installed (package gcc-{compiler.removesuffix('-gcc')})")
    library = json_c(arch, compiler, values["host_machine"]["cpu_family"].strip("'"))
    directory = SOURCE / "build-cross" / arch
    directory.mkdir(parents=True, exist_ok=True)
    # Meson reads several files as one: where the library is depends on the machine.
    local = directory / "library.ini"
    text = f"[built-in options]\npkg_config_path = ''\n[properties]\npkg_config_libdir = '{library}/lib/pkgconfig'\n"
    if not local.exists() or local.read_text() != text:
        local.write_text(text)
    if not (directory / "build.ninja").exists():
        run(["meson", "setup", "--cross-file", description, "--cross-file", local, "-Dprograms=runtime", directory, SOURCE],
            f"configuring {directory}")
    run(["ninja", "--quiet", "-C", directory], f"building {directory}")
    (directory / "emulator").write_text(emulator + "\n")
    return directory


def main():
    asked = "--asked" in sys.argv
    arches = [a for a in sys.argv[1:] if a != "--asked"]
    known = {p.stem: p for p in sorted(HERE.glob("*.ini"))}
    if arches == ["all"]:
        arches = list(known)
    for arch in arches:
        if arch not in known:
            sys.exit(f"cross/build.py: unknown architecture {arch}: there are {', '.join(known)}")
    for arch in arches:
        try:
            print(build(arch, known[arch]).relative_to(SOURCE), flush=True)
        except Unavailable as error:
            if asked:
                sys.exit(f"cross/build.py: {arch}: {error}")
            print(f"skip {arch}: {error}", file=sys.stderr, flush=True)
        except RuntimeError as error:
            sys.exit(f"cross/build.py: {arch}: {error}")


main()
