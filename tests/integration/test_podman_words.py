# SPDX-License-Identifier: Apache-2.0
"""What podman adds to docker's words."""

import json
import os


def test_secrets(t):
    """A secret is a file or a variable in the container that asks for it, and never readable by others on the host."""
    image = t.busybox_image()
    made = t.havre("secret", "create", "--label", "a=b", "pass", "-", input="hunter2")
    assert t.havre("secret", "ls", "--format", "{{.ID}} {{.Name}} {{.Driver}}").out == f"{made.out.strip()} pass file\n"
    got = t.havre("run", "--rm", "--network", "none", "--secret", "pass", "--secret", "pass,type=env,target=PW",
                  "--secret", "source=pass,target=/etc/key,uid=7,gid=8,mode=0400", image, "sh", "-c",
                  "cat /run/secrets/pass; echo; echo $PW; stat -c '%u %g %a' /etc/key; echo x > /run/secrets/pass", check=False)
    assert got.out == "hunter2\nhunter2\n7 8 400\n" and "Read-only" in got.err, got
    assert (os.stat(t.root / "secrets" / "pass.json").st_mode & 0o777) == 0o600
    assert json.loads(t.havre("secret", "inspect", "pass").out)[0]["Spec"]["Name"] == "pass"
    assert "hunter2" not in t.havre("secret", "inspect", "pass").out
    assert t.havre("secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", made.out.strip()[:6]).out == "hunter2\n"
    assert t.havre("secret", "create", "pass", "-", input="x", check=False).rc != 0
    t.havre("secret", "create", "--replace", "pass", "-", input="other")
    assert t.havre("run", "--rm", "--network", "none", "--secret", "pass", image, "cat", "/run/secrets/pass").out == "other"
    for flags, words in [(("--secret", "nobody"), "no such secret"), (("--secret", "pass,mode=999"), "mode"),
                         (("--secret", "pass,where=x"), "none of type=")]:
        wrong = t.havre("create", "--network", "none", *flags, image, "true", check=False)
        assert wrong.rc == 125 and words in wrong.err, wrong
    for name in ("../x", ".hidden", "a/b", ""):
        assert t.havre("secret", "create", name, "-", input="x", check=False).rc != 0
    assert t.havre("secret", "create", "empty", "-", input="", check=False).rc != 0
    assert t.havre("secret", "exists", "pass").rc == 0 and t.havre("secret", "exists", "gone", check=False).rc == 1
    assert t.havre("secret", "rm", "pass").out == "pass\n"
    assert t.havre("secret", "rm", "pass", check=False).rc == 1 and t.havre("secret", "rm", "-i", "pass").rc == 0


def test_rootfs_and_process(t):
    """--rootfs runs a directory; --replace, --umask, --unsetenv and --tz do what they say."""
    image, root = t.busybox_image(), t.busybox_rootfs()
    got = t.havre("run", "--name", "dir", "--network", "none", "--rootfs", root, "sh", "-c", "id -u; cat /proc/1/comm; echo $A", check=False)
    assert got.out == "0\nsh\n\n", got
    assert t.havre("ps", "-a", "--format", "{{.Image}}").out == f"{os.path.realpath(root)}\n"
    assert t.havre("start", "-a", "dir").out.startswith("0\n")
    t.havre("create", "--replace", "--name", "dir", "--network", "none", image, "true")
    assert t.havre("ps", "-aq").out.count("\n") == 1
    t.havre("rm", "dir")
    assert t.havre("run", "--network", "none", "--rootfs", "/nowhere", "true", check=False).rc == 125
    assert "names none" in t.havre("run", "--network", "none", "--rootfs", root, check=False).err

    run = ("run", "--rm", "--network", "none")
    assert t.havre(*run, "--umask", "0027", image, "sh", "-c", "umask").out.strip() == "0027"
    assert t.havre(*run, "--umask", "9", image, "true", check=False).rc == 125
    kept = t.havre(*run, "-e", "A=1", "-e", "B=2", "--unsetenv", "A", image, "env").out
    assert "A=1" not in kept and "B=2" in kept
    if os.path.exists("/usr/share/zoneinfo/Asia/Tokyo"):
        assert "JST" in t.havre(*run, "--tz", "Asia/Tokyo", image, "sh", "-c", "cat /etc/localtime | strings").out
    assert "no such time zone" in t.havre(*run, "--tz", "../../etc/passwd", image, "true", check=False).err


def test_mount_kinds(t):
    """An image as a mount, read-only or not and removed with its container; a part of a volume; a volume with options and labels."""
    image = t.busybox_image()
    run = ("run", "--rm", "--network", "none")
    got = t.havre(*run, "--mount", f"type=image,source={image},target=/img", image, "sh", "-c", "ls /img/bin/sh; echo x > /img/x", check=False)
    assert got.out == "/img/bin/sh\n" and "Read-only" in got.err
    got = t.havre("run", "--name", "rw", "--network", "none", "--mount", f"type=image,source={image},target=/img,rw=true", image,
                  "sh", "-c", "echo x > /img/x; cat /img/x")
    assert got.out == "x\n", got
    assert "no such image" in t.havre(*run, "--mount", "type=image,source=none-such,target=/img", image, "true", check=False).err
    t.havre("rm", "rw")
    assert not os.listdir(t.root / "images" / "snapshots")

    t.havre(*run, "-v", "data:/d", image, "sh", "-c", "mkdir -p /d/part/deep; echo inner > /d/part/deep/f; ln -s /etc /d/out")
    part = ("--mount", "type=volume,source=data,target=/p,volume-subpath=part/deep")
    assert t.havre(*run, *part, image, "cat", "/p/f").out == "inner\n"
    assert t.havre(*run, "--mount", "type=volume,source=data,target=/p,volume-subpath=absent", image, "true", check=False).rc == 125
    # A link in the volume leads into the volume, never to the host's /etc.
    assert t.havre(*run, "--mount", "type=volume,source=data,target=/p,volume-subpath=out", image, "true", check=False).rc == 125
    t.havre(*run, "--mount", "type=volume,source=tmp,target=/t,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-label=a=b", image,
            "grep", " /t tmpfs", "/proc/mounts")
    assert t.havre("volume", "ls", "-q", "--filter", "label=a=b").out == "tmp\n"
    created = t.tmp / "made" / "here"
    t.havre(*run, "--mount", f"type=bind,source={created},target=/b,bind-create-src", image, "true")
    assert created.is_dir()


def test_volume_data(t):
    """A volume into a tar and out of it, copied, renamed; links of the data never lead out; what a container has is not renamed."""
    image = t.busybox_image()
    run = ("run", "--rm", "--network", "none")
    t.havre(*run, "-v", "one:/d", image, "sh", "-c", "mkdir /d/sub; echo hello > /d/sub/f; ln -s /etc/passwd /d/link; chown 7:8 /d/sub/f")
    tar = t.tmp / "one.tar"
    t.havre("volume", "export", "-o", tar, "one")
    t.havre("volume", "create", "two")
    t.havre("volume", "import", "two", tar)
    assert t.havre(*run, "-v", "two:/d", image, "sh", "-c", "cat /d/sub/f; stat -c %u:%g /d/sub/f; readlink /d/link").out == "hello\n7:8\n/etc/passwd\n"
    assert t.havre("volume", "import", "gone", tar, check=False).rc == 1
    assert t.havre("volume", "clone", "one", "three").out == "three\n"
    assert t.havre(*run, "-v", "three:/d", image, "stat", "-c", "%u:%g", "/d/sub/f").out == "7:8\n"
    assert "exists already" in t.havre("volume", "clone", "one", "two", check=False).err
    t.havre("volume", "rename", "three", "four")
    assert t.havre("volume", "exists", "three", check=False).rc == 1 and t.havre("volume", "exists", "four").rc == 0
    t.havre("create", "--name", "user", "--network", "none", "-v", "four:/d", image, "true")
    assert "a container has it" in t.havre("volume", "rename", "four", "five", check=False).err
    assert "exists already" in t.havre("volume", "rename", "two", "one", check=False).err


def test_mount_and_reset(t):
    """mount shows a container's files, running or not, and what is written is the container's; rm and reset leave no mount and no file."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "up", "--network", "none", "-v", "vol:/v", image, "sh", "-c", "echo here > /file; exec sleep 1000")
    t.defer(t.havre, "rm", "-f", "up", check=False)
    t.havre("create", "--name", "down", "--network", "none", image, "cat", "/from-outside")
    up, down = (t.havre("mount", name).out.strip() for name in ("up", "down"))
    t.defer(t.havre, "unmount", "-a", check=False)
    t.wait_for(lambda: os.path.exists(up + "/file"))
    assert open(up + "/file").read() == "here\n"
    with open(down + "/from-outside", "w") as f:
        f.write("written outside\n")
    assert t.havre("start", "-a", "down").out == "written outside\n"
    assert down in t.havre("mount").out and up in t.havre("mount").out
    t.havre("unmount", "up")
    assert not os.path.exists(up)
    t.havre("rm", "down")
    assert not os.path.exists(down) and t.havre("mount").out == ""

    t.havre("secret", "create", "s", "-", input="x")
    assert t.havre("system", "reset", input="n\n").rc == 0 and t.havre("ps", "-q").out
    t.havre("mount", "up")
    t.havre("system", "reset", "-f")
    assert os.listdir(t.root) == [] and os.listdir(t.run_dir) == []
    assert t.havre("ps", "-a", "-q").out == "" and t.havre("images", "-q").out == ""
