# SPDX-License-Identifier: Apache-2.0
"""Devices by CDI files: every kind of edit is seen in the container, from JSON and YAML, and what is wrong is nobody's device."""

import json
import os
import stat

YAML = """
cdiVersion: "0.6.0"
kind: acme.com/card
containerEdits:
  env: ["ACME=once", "ALL=1"]
devices:
  - name: "0"
    containerEdits:
      env: ["CARD=zero"]
      deviceNodes:
        - {{path: /dev/card0, hostPath: /dev/null, fileMode: 0o640, gid: 44, permissions: rw}}
        - {{path: /dev/made, type: c, major: 1, minor: 5}}
      mounts:
        - {{hostPath: {tmp}/lib, containerPath: /opt/lib, options: [ro, bind]}}
      additionalGids: [44, 0]
      hooks:
        - {{hookName: createRuntime, path: {tmp}/hook, args: [hook, "{tmp}/seen"]}}
  - name: "1"
    containerEdits: {{env: ["CARD=one"]}}
"""


def directories(t):
    dirs = [t.tmp / "etc", t.tmp / "run"]
    for d in dirs:
        d.mkdir()
    t.env["HAVRE_CDI_SPEC_DIRS"] = ":".join(map(str, dirs))
    return dirs


def test_cdi_edits(t):
    """Variables, nodes with owner and mode, mounts, groups and hooks; the file's own edits count once; both formats."""
    image = t.busybox_image()
    etc, _ = directories(t)
    (t.tmp / "lib").mkdir()
    (t.tmp / "lib" / "driver.so").write_text("driver\n")
    hook = t.tmp / "hook"
    hook.write_text('#!/bin/sh\ncat > "$1"\n')
    hook.chmod(0o755)
    (etc / "acme.yaml").write_text(YAML.format(tmp=t.tmp))
    got = t.havre("run", "--rm", "--network", "none", "--device", "acme.com/card=0", "--device", "acme.com/card=1", image, "sh", "-c",
                  "echo $ACME $CARD; stat -c '%a %g %t' /dev/card0; echo x > /dev/card0; head -c1 /dev/made | od -An -tx1; "
                  "cat /opt/lib/driver.so; touch /opt/lib/x; id -G", check=False)
    assert got.out.split("\n")[:4] == ["once one", "640 44 1", " 00", "driver"], got
    assert "44" in got.out.split("\n")[4].split() and "Read-only" in got.err, got
    assert json.loads((t.tmp / "seen").read_text())["status"] in ("creating", "created")

    (etc / "other.json").write_text(json.dumps({"cdiVersion": "1.0.0", "kind": "acme.com/disk", "devices": [
        {"name": "a", "containerEdits": {"env": ["DISK=a"]}}]}))
    assert t.havre("run", "--rm", "--network", "none", "--device", "acme.com/disk=a", image, "sh", "-c", "echo $DISK").out == "a\n"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_cdi_names(t):
    """A later directory wins, two files of one are a conflict, a broken file is named; --gpus finds the vendor's kind."""
    image = t.busybox_image()
    etc, run = directories(t)

    def describe(directory, name, kind, value, device="x"):
        (directory / name).write_text(json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": [
            {"name": device, "containerEdits": {"env": [f"WHO={value}"]}}]}))

    def who(*flags):
        return t.havre("run", "--rm", "--network", "none", *flags, image, "sh", "-c", "echo $WHO", check=False)

    describe(etc, "one.json", "a.com/b", "etc")
    assert who("--device", "a.com/b=x").out == "etc\n"
    describe(run, "one.json", "a.com/b", "run")
    assert who("--device", "a.com/b=x").out == "run\n"
    describe(run, "two.json", "a.com/b", "also")
    assert "several CDI files" in who("--device", "a.com/b=x").err
    gone = who("--device", "a.com/b=missing")
    assert gone.rc == 125 and "unresolvable CDI device a.com/b=missing" in gone.err
    for n, bad in enumerate(["{", '{"cdiVersion":"0.5.0","kind":"x","devices":[]}', "cdiVersion: 0.5.0\nkind: &a c.com/d\ndevices: *b\n",
                             '{"cdiVersion":"9.0","kind":"c.com/d","devices":[]}']):
        (etc / f"bad{n}.yaml").write_text(bad)
        assert f"bad{n}.yaml" in who("--device", "c.com/d=y").err
        (etc / f"bad{n}.yaml").unlink()

    assert "no CDI file" in who("--gpus", "all").err
    describe(etc, "gpu.json", "nvidia.com/gpu", "every", "all")
    assert who("--gpus", "all").out == "every\n"
    describe(etc, "gpu1.json", "nvidia.com/gpu", "first", "0")
    assert who("--gpus", "1").out == "first\n" and who("--gpus", '"device=0",capabilities=utility').out == "first\n"
    assert who("--gpus", "none").rc == 125


test_cdi_names.asan = False
