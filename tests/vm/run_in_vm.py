#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the runtime's integration tests in a small virtual machine whose only cgroup file system is cgroup2. Prints TAP.

    run_in_vm.py [--systemd] BUILD-DIR [PATTERN]

With --systemd the guest's PID 1 is a real systemd, and the tests are those of the area "systemd".

QEMU without KVM boots Debian's cloud kernel (fetched once, kept in the tests' cache). The guest's root is the host's, shared
read-only over virtiofs, with a tmpfs laid over it: the programs, Python and these tests are the very files that run outside. The
results come back over a virtio-serial port. What is missing on a machine is a reported skip.
"""

import fcntl
import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "tests"))
from lib.debian import cache_directory  # noqa: E402

KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_console", "virtiofs", "overlay")  # what reaching the host's files needs
TIME_LIMIT_S = 1700
BOOT_LIMIT_S, BOOT_ATTEMPTS = 100, 3
END_MARK = "# the runner in the machine ended"
SLOWNESS = 5  # of an emulated processor: the guest's tests get this much more time


def skip(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


def run(*command, **kw):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)


def kernel_package():
    """The package with the kernel itself: the one the meta-package depends on."""
    out = run("apt-cache", "depends", "--important", KERNEL_PACKAGE).stdout
    match = re.search(r"Depends: (linux-image-\S+)", out)
    return match.group(1) if match else None


def unpacked(name, package, finish=None):
    """Directory NAME of the cache with the files of a Debian package, unpacked but not installed on this machine; finish(tree) once. Or why not."""
    cache = cache_directory()
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        final = cache / name
        if final.exists():
            return final, None
        with tempfile.TemporaryDirectory(dir=cache) as work:
            os.chmod(work, 0o755)
            download = ("apt-get", "-qq", "-o", "Acquire::Retries=3", "download", package)
            done = run(*download, cwd=work)
            if done.returncode != 0:
                run("apt-get", "-qq", "update")
                done = run(*download, cwd=work)
            archives = list(Path(work).glob("*.deb"))
            if done.returncode != 0 or not archives:
                return None, f"cannot download {package}: {done.stdout.strip()[-200:]}"
            tree = Path(work) / "tree"
            done = run("dpkg-deb", "-x", str(archives[0]), str(tree))
            if done.returncode != 0:
                return None, f"cannot unpack {package}: {done.stdout.strip()[-200:]}"
            os.chmod(tree, 0o755)
            if finish:
                finish(tree)
            tree.rename(final)
        return final, None


def kernel(busybox):
    """Directory with boot/vmlinuz-* and lib/modules/* of Debian's cloud kernel."""
    if (cache_directory() / "kernel-2").exists():
        return cache_directory() / "kernel-2"
    package = kernel_package()
    if not package:
        run("apt-get", "-qq", "update")
        package = kernel_package()
    if not package:
        skip(f"apt does not know {KERNEL_PACKAGE}")
    # Installing the package would have done this: the guest loads modules (veth, for one) by their aliases.
    tree, why = unpacked("kernel-2", package, lambda t: run(busybox, "depmod", "-b", str(t), next((t / "lib/modules").iterdir()).name))
    if not tree:
        skip(why)
    return tree


def programs_of_the_guest():
    """What the guest has beside the host's programs: commands that put them on its PATH. Without them their tests are skipped."""
    tree, why = unpacked("apparmor", "apparmor")
    if not tree:
        print(f"# no apparmor_parser in the machine: {why}")
        return ""
    return f"[ -e /sbin/apparmor_parser ] || ln -s {tree}/sbin/apparmor_parser /sbin/apparmor_parser\n"


def module_order(modules_dir, wanted):
    """Paths of the modules and what they depend on, in loading order."""
    depends, by_name = {}, {}
    dep_file = modules_dir / "modules.dep"
    if dep_file.exists():
        for line in dep_file.read_text().splitlines():
            path, _, needs = line.partition(":")
            depends[path] = needs.split()
    else:  # depmod runs when the package is installed, which it is not: ask the modules themselves
        for path in modules_dir.rglob("*.ko*"):
            relative = str(path.relative_to(modules_dir))
            by_name[path.name.split(".ko")[0].replace("-", "_")] = relative
        for name, relative in by_name.items():
            match = re.search(rb"\0depends=([^\0]*)\0", module_data(modules_dir / relative))
            needs = match.group(1).decode().split(",") if match and match.group(1) else []
            depends[relative] = [by_name[n.replace("-", "_")] for n in needs if n.replace("-", "_") in by_name]
    for path in depends:
        by_name[Path(path).name.split(".ko")[0].replace("-", "_")] = path
    order = []

    def add(path):
        for need in depends.get(path, ()):
            add(need)
        if path not in order:
            order.append(path)
    for name in wanted:
        if name in by_name:
            add(by_name[name])
    return order


def module_data(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def initrd(path, modules_dir, busybox):
    """A cpio archive (newc) with busybox, the modules and an init that mounts the host's files and goes there."""
    entries = []

    def add(name, mode, data=b"", rdev=(0, 0)):
        entries.append((name, mode, data, rdev))
    for name in ("bin", "dev", "proc", "sys", "lower", "rw", "new", "modules"):
        add(name, 0o040755)
    add("dev/console", 0o020600, rdev=(5, 1))
    add("bin/busybox", 0o100755, Path(busybox).read_bytes())
    loads = ""
    for module in module_order(modules_dir, MODULES):
        name = Path(module).name.split(".ko")[0] + ".ko"
        add(f"modules/{name}", 0o100644, module_data(modules_dir / module))
        loads += f"insmod /modules/{name} || echo cannot load {name}\n"
    add("init", 0o100755, ("#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\n"
                           "mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev\n" + loads + """
fail() { echo "init: $*"; sync; reboot -f; sleep 60; }
mount -t virtiofs -o ro host /lower || fail "cannot mount the host's files"
mount -t tmpfs -o mode=755 rw /rw; mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /new || fail "cannot lay a tmpfs over them"
mount --move /dev /new/dev; mount --move /proc /new/proc; mount --move /sys /new/sys
cd /new
exec switch_root /new /bin/sh $(cat /new/proc/cmdline | tr ' ' '\\n' | sed -n 's/^havre.script=//p')
""").encode())
    with open(path, "wb") as out:
        for number, (name, mode, data, rdev) in enumerate(entries + [("TRAILER!!!", 0, b"", (0, 0))], 1):
            raw = name.encode() + b"\0"
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
            record = b"070701" + b"".join(b"%08x" % f for f in fields) + raw
            out.write(record + b"\0" * (-len(record) % 4) + data + b"\0" * (-len(data) % 4))


def guest_script(modules_tree, work, systemd):
    """What PID 1 of the guest runs. The host's files are below us now, writable as far as memory goes."""
    version = next((modules_tree / "lib/modules").iterdir()).name
    return f"""#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 HAVRE_TEST_SLOWNESS={SLOWNESS} CI="{os.environ.get('CI', '')}"
exec </dev/null
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
[ -e /dev/ptmx ] || ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t securityfs securityfs /sys/kernel/security
# The checkout may lie below one of the directories that are covered now: it is carried through.
mkdir /.source; mount --bind {SOURCE} /.source
cp {work}/tests.sh /.tests.sh
for d in /run /tmp /var/tmp; do mkdir -p $d; mount -t tmpfs -o mode=1777 tmpfs $d; done
[ -d {SOURCE} ] || {{ mkdir -p {SOURCE}; mount --bind /.source {SOURCE}; }}
mount -t cgroup2 cgroup2 /sys/fs/cgroup || echo "cannot mount cgroup2"
for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control; done
rm -rf /lib/modules/{version}; mkdir -p /lib/modules; ln -s {modules_tree}/lib/modules/{version} /lib/modules/{version}
[ -e /sbin/modprobe ] || ln -s /bin/busybox /sbin/modprobe
ip link set lo up 2>/dev/null || busybox ip link set lo up
{programs_of_the_guest()}""" + (SYSTEMD_SCRIPT if systemd else "exec /bin/sh /.tests.sh\n")


# The smallest system: nothing but the tests, none of the host's own services.
SYSTEMD_SCRIPT = """
rm -f /.dockerenv
for d in /etc/systemd/system /usr/lib/systemd/system /usr/lib/systemd/system-generators /usr/lib/systemd/system-environment-generators; do
	[ ! -d $d ] || mount -t tmpfs none $d
done
mkdir -p /run/systemd/system
cat >/run/systemd/system/havre-tests.service <<end
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/sh /.tests.sh
PassEnvironment=PATH HOME LC_ALL HAVRE_TEST_SLOWNESS CI
StandardOutput=null
StandardError=null
end
cat >/run/systemd/system/havre-tests.target <<end
[Unit]
DefaultDependencies=no
AllowIsolate=yes
Wants=havre-tests.service
end
[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >/etc/machine-id
exec /lib/systemd/systemd --unit=havre-tests.target --log-target=console --log-level=warning --show-status=no
"""


def tests_script(build, pattern, systemd):
    """What runs the tests in the guest, by itself or as systemd's one service."""
    return f"""
port=$(for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name)" = results ] && basename $p; done)
echo "# the machine is up: Linux $(uname -r)" >/dev/$port
cd {SOURCE}
{sys.executable} tests/run.py --tap --suite integration --area '{'systemd' if systemd else 'runtime*'}' --build {build} -j 3 {f"-k '{pattern}'" if pattern else ""} >/dev/$port
echo "{END_MARK} with status $?" >/dev/$port
sync
busybox reboot -f || echo b >/proc/sysrq-trigger
"""


def guest_command(work, image):
    # "rep movsb" and "rep stosb" are emulated byte by byte: without the flags that advertise them as fast the kernel moves words.
    # q35 and not microvm, whose kernel has nothing but a guess to calibrate its clock against under emulation and then sometimes hangs.
    return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm,-la57", "-smp", "2", "-m", "1536",
            "-no-reboot", "-nodefaults", "-no-user-config", "-display", "none",
            "-serial", f"file:{work}/console.log",
            "-kernel", str(image), "-initrd", f"{work}/initrd",
            "-append", f"console=ttyS0 quiet loglevel=4 panic=-1 random.trust_cpu=on mitigations=off init_on_alloc=0 havre.script={work}/guest.sh",
            "-object", "memory-backend-memfd,id=mem,size=1536M,share=on", "-numa", "node,memdev=mem",
            "-chardev", f"socket,id=fs,path={work}/fs.sock", "-device", "vhost-user-fs-pci,chardev=fs,tag=host",
            "-device", "virtio-serial-pci", "-chardev", f"file,id=results,path={work}/results",
            "-device", "virtserialport,chardev=results,name=results"]


def share_command(virtiofsd, work):
    # Everything may be kept: the host's files do not change while the tests run, and asking again costs more than all else.
    if "rust" in run(virtiofsd, "--version").stdout.lower() or "/libexec/" in virtiofsd:  # Debian 13 and later
        return [virtiofsd, f"--socket-path={work}/fs.sock", "--shared-dir=/", "--cache=always", "--readonly", "--sandbox=none"]
    return [virtiofsd, f"--socket-path={work}/fs.sock", "-o", "source=/", "-o", "cache=always", "-o", "no_writeback,no_posix_lock,sandbox=chroot"]


def boot_and_relay(work, image, virtiofsd):
    """One run of the machine; prints what comes back. Returns whether it came up and whether the tests were finished."""
    (work / "results").write_bytes(b"")
    (work / "fs.sock").unlink(missing_ok=True)
    with open(work / "virtiofsd.log", "w") as log:
        share = subprocess.Popen(share_command(virtiofsd, work), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + 20
    while not (work / "fs.sock").exists() and share.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    with open(work / "qemu.log", "w") as log:
        guest = subprocess.Popen(guest_command(work, image), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    began, position, up, planned = time.monotonic(), 0, False, False
    while True:
        ended = guest.poll() is not None
        with open(work / "results", "rb") as f:
            f.seek(position)
            data = f.read()
        data = data if ended else data[:data.rfind(b"\n") + 1]
        position += len(data)
        text = data.decode(errors="replace")
        sys.stdout.write(text)
        sys.stdout.flush()
        up = up or bool(text)
        planned = planned or re.search(r"^1\.\.\d+", text, re.M) is not None
        seconds = time.monotonic() - began
        if ended or END_MARK in text:  # all is said: the guest need not switch itself off in peace
            break
        if not up and seconds > BOOT_LIMIT_S:
            break
        if seconds > TIME_LIMIT_S:
            print(f"# the machine is still running after {TIME_LIMIT_S} s: ended")
            break
        time.sleep(0.05)
    guest.kill()
    guest.wait()
    share.kill()
    share.wait()
    if planned:
        print(f"# the machine ran for {seconds:.0f} s")
    return up, planned


def main():
    arguments = sys.argv[1:]
    systemd = arguments[0] == "--systemd"
    arguments = arguments[systemd:]
    build = Path(arguments[0]).resolve()
    pattern = arguments[1] if len(arguments) > 1 else ""
    if platform.machine() != "x86_64":
        skip("the virtual machine is built for x86_64 only")
    if os.geteuid() != 0:
        skip("sharing the host's files with a virtual machine needs root")
    if not shutil.which("qemu-system-x86_64"):
        skip("qemu-system-x86_64 is not installed")
    virtiofsd = next((p for p in ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd") if os.path.exists(p)), None)
    if not virtiofsd:
        skip("virtiofsd is not installed")
    busybox = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p)), None)
    if not busybox:
        skip("busybox-static is not installed")
    if systemd and not os.path.exists("/lib/systemd/systemd"):
        skip("systemd is not installed")
    tree = kernel(busybox)
    image = next((tree / "boot").glob("vmlinuz-*"))
    work = Path(os.environ.get("TMPDIR") or tempfile.mkdtemp())

    initrd(work / "initrd", next((tree / "lib/modules").iterdir()), busybox)
    (work / "guest.sh").write_text(guest_script(tree, work, systemd))
    (work / "tests.sh").write_text(tests_script(build, pattern, systemd))
    (work / "results").touch()
    for attempt in range(BOOT_ATTEMPTS):
        up, planned = boot_and_relay(work, image, virtiofsd)
        if up:
            break
        print(f"# attempt {attempt + 1}: the machine did not come up within {BOOT_LIMIT_S} s")
    if not planned:
        for name in ("console.log", "qemu.log", "virtiofsd.log"):
            print(f"# --- {name}, its end")
            for line in (work / name).read_text(errors="replace").splitlines()[-40:] if (work / name).exists() else ():
                print("# " + line)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
