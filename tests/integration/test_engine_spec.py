# SPDX-License-Identifier: Apache-2.0
"""What a container gets: user, environment, mounts, volumes, capabilities, seccomp, limits, files in /etc."""

import json
import os
import re
import tarfile
from io import BytesIO


def caps(t, image, *flags):
    out = t.havre("run", "--rm", *flags, image, "grep", "Cap", "/proc/self/status").out
    return {k: int(v, 16) for k, v in re.findall(r"Cap(\w+):\s+(\w+)", out)}


def image_with(t, name, files, config):
    """An image with these files (path -> text, or a link target as bytes) over busybox and this config."""
    root = t.busybox_rootfs()
    for path, content in files.items():
        p = root / path
        p.parent.mkdir(parents=True, exist_ok=True)
        if p.is_symlink() or p.exists():
            p.unlink()
        if isinstance(content, bytes):
            p.symlink_to(content.decode())
        else:
            p.write_text(content)
    tar = t.tmp / f"{name}.tar"
    t.run(["tar", "-C", root, "-cf", tar, "."])
    changes = [a for c in config for a in ("-c", c)]
    t.havre("import", *changes, tar, name)
    return name


def test_environment(t):
    """PATH and HOME by default, HOSTNAME, TERM on a terminal, the image's and the user's on top."""
    image = image_with(t, "env", {}, ["ENV A=image", "ENV B=image"])
    out = t.havre("run", "--rm", "--hostname", "box", "-e", "B=mine", "-e", "C=", image, "env").out.splitlines()
    env = dict(line.split("=", 1) for line in out)
    assert env["A"] == "image" and env["B"] == "mine" and env["C"] == "" and env["HOSTNAME"] == "box" and env["HOME"] == "/root"
    assert env["PATH"].endswith("/bin") and "TERM" not in env
    assert "HOME=/home/user" in t.havre("run", "--rm", "-u", "user", image, "env").out


def test_users(t):
    """Names, numbers, groups of the image's files; a number is never a name and never overflows (CVE-2024-40635, CVE-2026-46680)."""
    image = image_with(t, "users", {"etc/passwd": "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n1234:x:0:0::/root:/bin/sh\n",
                                    "etc/group": "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n555:x:0:\n"}, ["USER user"])
    def ids(*flags):
        return t.havre("run", "--rm", *flags, image, "sh", "-c", "id -u; id -g; id -G").out.split("\n")[:3]
    assert ids() == ["1000", "1000", "1000 2000"]
    assert ids("-u", "1234") == ["1234", "0", "0"]
    assert ids("-u", "7:555") == ["7", "555", "555"]
    assert ids("-u", "root:extra", "--group-add", "77") == ["0", "2000", "2000 77"]
    for bad in ("4294967296", "2147483648", "-1", "1000:4294967296", "ghost", "user:ghost"):
        r = t.havre("run", "--rm", "-u", bad, image, "id", check=False)
        assert r.rc in (125, 126, 127) and r.out == "", (bad, r)


def test_passwd_is_not_followed_out(t):
    """/etc/passwd as a link out of the root, as a FIFO or a device: an error or nothing, never the host's file (CVE-2024-9676)."""
    image = image_with(t, "evil", {"etc/passwd": b"../../../../../../etc/shadow"}, [])
    t.havre("run", "--rm", "-u", "0", image, "true", check=False)
    r = t.havre("run", "--rm", "-u", "daemon", image, "true", check=False)
    assert r.rc != 0 and "daemon" in r.err
    root = t.busybox_rootfs()
    (root / "etc/passwd").unlink()
    os.mkfifo(root / "etc/passwd")
    t.run(["tar", "-C", root, "-cf", t.tmp / "fifo.tar", "."])
    t.havre("import", t.tmp / "fifo.tar", "fifo")
    r = t.havre("run", "--rm", "fifo", "true", check=False, timeout=20)
    assert r.rc != 0 and "passwd" in r.err


def test_workdir(t):
    """A missing working directory is made inside the root, also where the image has a link to the host's root in its way."""
    image = image_with(t, "wd", {"trap": b"/../../../../tmp/"}, [])
    assert t.havre("run", "--rm", "-w", "/a/b c/d", image, "pwd").out == "/a/b c/d\n"
    name = f"havre-escape-{os.getpid()}"
    t.havre("run", "--rm", "-w", f"/trap/{name}", image, "pwd", check=False)
    assert not os.path.exists(f"/tmp/{name}")
    r = t.havre("run", "--rm", "-w", "/etc/passwd", image, "pwd", check=False)
    assert r.rc != 0 and "not a directory" in r.err
    assert t.havre("run", "--rm", "-w", "rel", image, "pwd", check=False).rc == 125


def test_capabilities(t):
    """Docker's fourteen by default; add, drop, ALL, privileged; never inheritable (CVE-2022-24769); others than root have none."""
    image = t.busybox_image()
    c = caps(t, image)
    assert c == {"Inh": 0, "Prm": 0xa80425fb, "Eff": 0xa80425fb, "Bnd": 0xa80425fb, "Amb": 0}, c
    assert caps(t, image, "--cap-drop", "ALL")["Bnd"] == 0
    assert caps(t, image, "--cap-drop", "all", "--cap-add", "net_admin")["Eff"] == 1 << 12
    assert caps(t, image, "--cap-drop", "CAP_CHOWN")["Eff"] == 0xa80425fa
    assert caps(t, image, "--cap-add", "ALL", "--cap-drop", "MKNOD")["Eff"] & (1 << 27) == 0
    assert caps(t, image, "--privileged")["Inh"] == 0
    assert caps(t, image, "-u", "1000")["Eff"] == 0
    r = t.havre("run", "--rm", "--cap-add", "NOSUCH", image, "true", check=False)
    assert r.rc == 125 and "NOSUCH" in r.err


def test_seccomp_and_privileges(t):
    """The default filter is on, a file replaces it, unconfined takes it off; no-new-privileges; privileged has neither masks nor filter."""
    image = t.busybox_image()
    def status(*flags):
        out = t.havre("run", "--rm", *flags, image, "cat", "/proc/self/status").out
        return {k: int(v) for k, v in re.findall(r"(Seccomp|NoNewPrivs):\s+(\d+)", out)}
    assert status() == {"Seccomp": 2, "NoNewPrivs": 0}
    assert status("--security-opt", "seccomp=unconfined")["Seccomp"] == 0
    assert status("--security-opt", "no-new-privileges")["NoNewPrivs"] == 1
    assert status("--privileged")["Seccomp"] == 0
    profile = t.tmp / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}}]}))
    r = t.havre("run", "--rm", "--security-opt", f"seccomp={profile}", image, "sh", "-c", "chmod 700 /tmp && mkdir /x", check=False)
    assert r.rc == 1 and "not supported" in r.err and "chmod" not in r.err, r
    profile.write_text("{")
    assert t.havre("run", "--rm", "--security-opt", f"seccomp={profile}", image, "true", check=False).rc == 125
    assert t.havre("run", "--rm", "--security-opt", "seccomp=/nosuch", image, "true", check=False).rc == 125
    assert t.havre("run", "--rm", "--security-opt", "nosuch=1", image, "true", check=False).rc == 125


def test_read_only_and_tmpfs(t):
    """--read-only with a --tmpfs inside; masked and read-only paths in /proc."""
    image = t.busybox_image()
    script = "touch /x 2>/dev/null && exit 1; touch /scratch/y || exit 2; echo 1 2>/dev/null > /proc/sys/kernel/hostname && exit 3; head -c 1 /proc/kcore | wc -c"
    r = t.havre("run", "--rm", "--read-only", "--tmpfs", "/scratch:size=1m", image, "sh", "-c", script)
    assert r.out.strip() == "0"
    r = t.havre("run", "--rm", "--tmpfs", "/scratch:size=1m,exec", image, "sh", "-c", "grep ' /scratch ' /proc/mounts; head -c 2000000 /dev/zero > /scratch/z", check=False)
    assert r.rc != 0 and "size=1024k" in r.out and "noexec" not in r.out and "nosuid" in r.out, r


def test_binds(t):
    """-v of directories and files, ro, missing sources; --mount does not make them."""
    image = t.busybox_image()
    d = t.tmp / "dd"
    d.mkdir()
    (d / "f").write_text("host\n")
    assert t.havre("run", "--rm", "-v", f"{d}:/in/side", image, "sh", "-c", "cat /in/side/f; echo new > /in/side/g").out == "host\n"
    assert (d / "g").read_text() == "new\n"
    r = t.havre("run", "--rm", "-v", f"{d}:/in:ro", image, "touch", "/in/x", check=False)
    assert r.rc == 1 and "Read-only" in r.err
    assert t.havre("run", "--rm", "-v", f"{d}/f:/etc/motd:ro", image, "cat", "/etc/motd").out == "host\n"
    t.havre("run", "--rm", "-v", f"{t.tmp}/made:/x", image, "true")
    assert (t.tmp / "made").is_dir()
    r = t.havre("run", "--rm", "--mount", f"type=bind,src={t.tmp}/nosuch,dst=/x", image, "true", check=False)
    assert r.rc == 125 and "nosuch" in r.err
    assert t.havre("run", "--rm", "-v", f"{d}:/a", "-v", f"{d}:/a", image, "true", check=False).rc == 125
    assert t.havre("run", "--rm", "-v", f"{d}:/a:bogus", image, "true", check=False).rc == 125


def test_volumes(t):
    """A fresh volume takes over what the image has there; it is kept; anonymous ones go with --rm and rm -v only."""
    image = image_with(t, "vol", {"data/file": "image\n", "data/sub/link": b"../file"}, ["VOLUME /data"])
    t.havre("run", "--rm", "-v", "named:/data", image, "sh", "-c", "cat /data/sub/link && echo more > /data/file")
    assert t.havre("run", "--rm", "-v", "named:/elsewhere", image, "cat", "/elsewhere/file").out == "more\n"
    assert t.havre("run", "--rm", "-v", "empty:/data:nocopy", image, "ls", "/data").out == ""
    volumes = t.root / "volumes"
    assert sorted(p.name for p in volumes.iterdir()) == ["empty", "named"]  # the image's own were anonymous, and --rm
    t.havre("run", "--name", "cc", image, "sh", "-c", "echo kept > /data/file")
    anonymous = [p for p in volumes.iterdir() if len(p.name) == 64]
    assert len(anonymous) == 1 and (anonymous[0] / "_data/file").read_text() == "kept\n"
    mount = json.loads(t.havre("inspect", "cc").out)[0]["Mounts"][0]
    assert mount["Type"] == "volume" and mount["Destination"] == "/data" and mount["Source"] == str(anonymous[0] / "_data")
    t.havre("start", "-a", "cc")
    t.havre("rm", "cc")
    assert anonymous[0].exists()
    t.havre("create", "--name", "dd", image, "true")
    t.havre("rm", "-v", "dd")
    assert len([p for p in volumes.iterdir() if len(p.name) == 64]) == 1


def test_etc_files(t):
    """hostname, hosts and resolv.conf are the container's own; --add-host and --dns are in them; a bind of the user's wins."""
    image = t.busybox_image()
    out = t.havre("run", "--rm", "--hostname", "box", "--add-host", "db:10.0.0.9", "--dns", "192.0.2.53", image,
                  "sh", "-c", "hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf").out
    assert out.startswith("box\nbox\n") and re.search(r"10\.0\.0\.9\s+db", out) and "nameserver 192.0.2.53" in out
    assert re.search(r"127\.0\.0\.1\s+box", out)
    f = t.tmp / "hosts"
    f.write_text("mine\n")
    assert t.havre("run", "--rm", "-v", f"{f}:/etc/hosts", image, "cat", "/etc/hosts").out == "mine\n"


def test_network(t):
    """none has a loopback and nothing else; host is the host's; an unknown network is refused by name."""
    image = t.busybox_image()
    out = t.havre("run", "--rm", image, "sh", "-c", "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up").out.split()
    assert out == ["lo", "up"], out
    host = os.readlink("/proc/self/ns/net")
    assert t.havre("run", "--rm", "--network", "host", image, "readlink", "/proc/self/ns/net").out.strip() == host
    r = t.havre("run", "--rm", "--network", "nowhere", image, "true", check=False)
    assert r.rc == 125 and "nowhere not found" in r.err


def test_limits(t):
    """memory, cpus, pids, shm, ulimits and sysctls are what was asked for; nonsense is refused."""
    image = t.busybox_image()
    v2 = t.cgroup_mode() == "v2"
    files = ("memory.max", "pids.max", "cpu.max") if v2 else ("memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us")
    script = "; ".join(f"cat /sys/fs/cgroup/{f}" for f in files) + "; df -k /dev/shm | tail -1; ulimit -n; cat /proc/sys/net/ipv4/ip_default_ttl"
    out = t.havre("run", "--rm", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--shm-size", "8m", "--ulimit", "nofile=100:200",
                  "--sysctl", "net.ipv4.ip_default_ttl=33", image, "sh", "-c", script).out.split("\n")
    assert out[0] == str(64 << 20) and out[1] == "50" and out[2].split()[0] == "50000", out
    assert out[3].split()[1] == "8192" and out[4] == "100" and out[5] == "33", out
    for bad in (["--memory", "1m"], ["--cpus", "1000"], ["--cpus", "1", "--cpu-period", "1000"], ["--ulimit", "nosuch=1"], ["--ulimit", "nofile=9:1"],
                ["--memory", "64m", "--memory-swap", "32m"], ["--oom-score-adj", "5000"], ["--hostname", "aa" * 70]):
        assert t.havre("run", "--rm", *bad, image, "true", check=False).rc == 125, bad


def test_unavailable_is_a_warning(t):
    """What this machine cannot give is said once and left out: the container runs."""
    image = t.busybox_image()
    hard = int(open("/proc/self/limits").read().split("Max open files")[1].split()[1])
    has_it = int(re.search(r"CapEff:\s+(\w+)", open("/proc/self/status").read()).group(1), 16) >> 24 & 1
    if has_it:
        t.skip("this machine has CAP_SYS_RESOURCE")
    r = t.havre("run", "--rm", "--ulimit", f"nofile={hard + 1}", "--oom-score-adj", "-500", image, "sh", "-c", "ulimit -n")
    assert r.out == f"{hard}\n" and "nofile" in r.err and "oom_score_adj" in r.err, r


def test_devices(t):
    """--device gives one device; others cannot be opened although nodes can be made; privileged has all."""
    image = t.busybox_image()
    r = t.havre("run", "--rm", image, "sh", "-c", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem", check=False)
    assert r.rc != 0 and "not permitted" in r.err, r
    assert t.havre("run", "--rm", "--device", "/dev/kmsg:/dev/k:r", image, "sh", "-c", "test -c /dev/k && dd if=/dev/k bs=8192 count=1 2>/dev/null | wc -l").rc == 0
    assert t.havre("run", "--rm", "--device", "/nosuch", image, "true", check=False).rc in (125, 126, 127)
    assert t.havre("run", "--rm", "--privileged", image, "test", "-c", "/dev/kmsg").rc == 0


def test_executable_cannot_be_written(t):
    """CVE-2019-5736: a container that executes /proc/self/exe cannot write to the monitor's file through it."""
    image = image_with(t, "exe", {"entry": b"/proc/self/exe"}, [])
    before = (t.bin / "havre-monitor").read_bytes()
    t.havre("run", "--rm", image, "/entry", check=False)
    t.havre("run", "-d", "--name", "cc", image, "sh", "-c", "while :; do for p in /proc/[0-9]*; do exec 9>>$p/exe; echo x >&9; done 2>/dev/null; done")
    for _ in range(20):
        t.havre("exec", "cc", "/entry", check=False)
    t.havre("rm", "-f", "cc")
    assert (t.bin / "havre-monitor").read_bytes() == before


def test_init(t):
    """--init: PID 1 is ours, it reaps orphans, forwards signals and passes the status on; its errors have docker's statuses."""
    image = t.busybox_image()
    assert t.havre("run", "--rm", "--init", image, "sh", "-c", "exit 11", check=False).rc == 11
    assert t.havre("run", "--rm", "--init", image, "nosuch", check=False).rc == 127
    out = t.havre("run", "--rm", "--init", image, "sh", "-c", "(sleep 0.1 & exec sleep 0) & sleep 0.5; ps -o stat,args").out
    assert "Z" not in "".join(line.split()[0] for line in out.splitlines()[1:]), out
    t.havre("run", "-d", "--init", "--name", "cc", image, "sleep", "1000")
    t.havre("stop", "-t", "5", "cc")
    assert json.loads(t.havre("inspect", "cc").out)[0]["State"]["ExitCode"] == 143
