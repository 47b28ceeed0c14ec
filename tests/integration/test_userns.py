# SPDX-License-Identifier: Apache-2.0
"""User namespaces of root's containers: other ids on this machine, the container's own on the disk."""

import json
import os

from network_fixture import isolate


def host_ids(t, name):
    pid = json.loads(t.havre("inspect", name).out)[0]["State"]["Pid"]
    with open(f"/proc/{pid}/uid_map") as f:
        return [int(x) for x in f.read().split()[:3]]


def test_userns(t):
    """auto gives each container a range of its own; the image's files are root's inside and nobody else's outside; volumes are shared by the
    container's ids; root inside cannot write what is root's outside."""
    image = t.busybox_image()
    run = ("run", "--network", "none")
    probe = t.havre(*run, "--rm", "--userns", "auto", image, "true", check=False)
    if "idmapped mounts" in probe.err:
        t.skip("no idmapped mounts here")
    outside = t.tmp / "outside"
    outside.mkdir()
    for name in ("one", "two"):
        t.havre(*run, "-d", "--name", name, "--userns", "auto", "-v", "vol:/v", "-v", f"{outside}:/o", image, "sleep", "1000")
        t.defer(t.havre, "rm", "-f", name, check=False)
    one, two = host_ids(t, "one"), host_ids(t, "two")
    assert one[0] == two[0] == 0 and one[2] == two[2] == 65536
    assert one[1] >= 1 << 16 and abs(one[1] - two[1]) >= 65536, (one, two)
    got = t.havre("exec", "one", "sh", "-c", "id -u; stat -c %u:%g /bin/sh; touch /new /v/f && stat -c %u /new /v/f; touch /o/x", check=False)
    assert got.out == "0\n0:0\n0\n0\n" and "Permission denied" in got.err, got
    assert os.stat(t.root / "volumes" / "vol" / "_data" / "f").st_uid == 0, "the disk has the container's ids"
    assert t.havre("exec", "two", "stat", "-c", "%u", "/v/f").out == "0\n"
    t.havre("stop", "-t", "0", "one")
    t.havre("start", "one")
    assert host_ids(t, "one") == one
    assert t.havre("diff", "one").out.count("/new") == 1


def test_userns_maps(t):
    """--uidmap and --gidmap, with a network, too, and what makes no sense."""
    image = isolate(t)
    run = ("run", "--rm", "--network", "none")
    got = t.havre(*run, "--uidmap", "0:300000:1000", "--gidmap", "0:400000:500", image, "sh", "-c",
                  "cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin", check=False)
    if "idmapped mounts" in got.err:
        t.skip("no idmapped mounts here")
    assert [x.split() for x in got.out.split("\n")[:2]] == [["0", "300000", "1000"], ["0", "400000", "500"]], got
    assert got.out.split("\n")[2] == "0:0"
    got = t.havre("run", "--rm", "--userns", "auto", image, "sh", "-c", "ip addr show eth0; cat /etc/resolv.conf; echo $?; nc -l -p 80 -w 1 && true; echo bound")
    assert "inet " in got.out and "0\nbound" in got.out and "denied" not in got.err
    for flags, words in [(("--uidmap", "1:2"), "id 0"), (("--uidmap", "x"), "CONTAINER:HOST:SIZE"), (("--userns", "keep-id"), "ordinary users"),
                         (("--userns", "auto", "--privileged"), "exclude each other"), (("--userns", "nomap"), "not available"),
                         (("--subuidname", "nobody-at-all"), "no range"), (("--userns", "auto:size=0"), "size")]:
        wrong = t.havre(*run, *flags, image, "true", check=False)
        assert wrong.rc == 125 and words in wrong.err, wrong
