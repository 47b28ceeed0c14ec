# SPDX-License-Identifier: Apache-2.0
"""Security modules that are there: the profile of the configuration confines the container, and what exec adds to it.

This machine's kernel may have none: then these run in the virtual machine only (tests/vm)."""
import os
import subprocess

# Everything but one file; `signal` and `ptrace` so that the runtime can end it.
PROFILE = """profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  network,
  mount,
  umount,
  pivot_root,
  signal,
  ptrace,
  unix,
  deny /secret* rw,
}}
"""


def load(t, *names):
    """Loads AppArmor profiles, and removes them at the end."""
    if not os.path.exists("/sys/kernel/security/apparmor/profiles"):
        t.skip("this kernel has no AppArmor")
    t.need("apparmor_parser")
    for name in names:
        text = PROFILE.format(name=name)
        t.run(["apparmor_parser", "--replace", "--skip-cache"], input=text)
        t.defer(t.run, ["apparmor_parser", "--remove"], input=text)


def bundle(t, args, profile, edit=None):
    rootfs = t.busybox_rootfs()
    for name in ("secret", "open"):
        (rootfs / name).write_text(f"content of {name}\n")

    def change(spec):
        spec["process"]["apparmorProfile"] = profile
        if edit:
            edit(spec)
    return t.bundle(args=args, rootfs=rootfs, edit=change)


LOOK = ["sh", "-c", "cat /proc/self/attr/current; cat /open; cat /secret"]


def test_apparmor(t):
    """the container's program and its children are confined by the profile: a file that it denies cannot be read, by root neither"""
    name = t.id("confined")
    load(t, name)
    result = t.runtime("run", "-b", bundle(t, LOOK, name), t.id(), check=False)
    assert result.out == f"{name} (enforce)\ncontent of open\n" and "/secret': Permission denied" in result.err, result
    free = t.runtime("run", "-b", bundle(t, LOOK, "unconfined"), t.id())
    assert free.out == "unconfined\ncontent of open\ncontent of secret\n", free


def test_apparmor_exec(t):
    """a process that exec adds has the profile of the container, or that of --apparmor"""
    name, other, container = t.id("confined"), t.id("other"), t.id()
    load(t, name, other)
    t.runtime("run", "-d", "-b", bundle(t, ["sleep", "1000"], name), container, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.defer(t.runtime, "delete", "--force", container)
    result = t.runtime("exec", container, *LOOK, check=False)
    assert result.out == f"{name} (enforce)\ncontent of open\n" and "Permission denied" in result.err, result
    assert t.runtime("exec", "--apparmor", other, container, *LOOK, check=False).out.startswith(f"{other} (enforce)\n")
    missing = t.runtime("exec", "--apparmor", "no-such-profile", container, "true", check=False)
    assert missing.rc == 255 and "apply apparmor profile `no-such-profile`: profile not loaded" in missing.err, missing


def test_apparmor_user_namespace(t):
    """the profile confines a container with a user namespace and no new privileges too, and one that is not loaded is refused"""
    name = t.id("confined")
    load(t, name)

    def edit(spec):
        spec["process"]["noNewPrivileges"] = True
        spec["linux"]["namespaces"].append({"type": "user"})
        spec["linux"].update({kind: [{"containerID": 0, "hostID": 0, "size": 65536}] for kind in ("uidMappings", "gidMappings")})
    result = t.runtime("run", "-b", bundle(t, LOOK, name, edit), t.id(), check=False)
    assert result.out == f"{name} (enforce)\ncontent of open\n" and "Permission denied" in result.err, result
    missing = t.runtime("run", "-b", bundle(t, ["true"], "no-such-profile"), t.id(), check=False)
    assert missing.rc == 1 and "apply apparmor profile `no-such-profile`: profile not loaded" in missing.err, missing
