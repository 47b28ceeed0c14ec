# SPDX-License-Identifier: Apache-2.0
"""What fingers and scripts know from docker: the name, contexts, groups, sizes, inspect of anything."""

import json
import os

from network_fixture import isolate


def test_docker_words(t):
    """As a link called docker; contexts answer; groups of a swarm are refused with the reason; inspect finds networks, too."""
    image = isolate(t)
    link = t.tmp / "docker"
    os.symlink(t.bin / "havre", link)
    ran = t.run([str(link), *t.havre_args("run", "--rm", "--network", "none", image, "echo", "hello")[1:]])
    assert ran.out == "hello\n"

    assert t.havre("context", "show").out == "default\n"
    assert "default *" in t.havre("context", "ls").out
    assert t.havre("context", "inspect", "--format", "{{.Name}}").out == "default\n"
    assert t.havre("context", "use", "default").rc == 0
    wrong = t.havre("context", "use", "remote", check=False)
    assert wrong.rc == 1 and "does not exist" in wrong.err
    for group in ("swarm", "node", "service", "stack", "config"):
        refused = t.havre(group, "ls", check=False)
        assert refused.rc != 0 and "not part of a swarm" in refused.err, refused

    t.havre("network", "create", "back")
    t.havre("volume", "create", "kept")
    got = json.loads(t.havre("inspect", "back", "kept").out)
    assert got[0]["Driver"] == "bridge" and "Mountpoint" in got[1]
    assert "no such container, image, network or volume" in t.havre("inspect", "none-such", check=False).err
    t.havre("network", "rm", "back")


def test_sizes(t):
    """ps --size and inspect --size say what a container has written."""
    image = t.busybox_image()
    t.havre("run", "--name", "big", "--network", "none", image, "dd", "if=/dev/zero", "of=/file", "bs=1k", "count=300")
    line = t.havre("ps", "-a", "--size", "--format", "{{.Size}}").out
    assert "virtual" in line and line.split()[0] not in ("0B",), line
    assert "SIZE" in t.havre("ps", "-as").out and "SIZE" not in t.havre("ps", "-a").out
    one = json.loads(t.havre("inspect", "-s", "big").out)[0]
    assert 300 << 10 <= one["SizeRw"] < 400 << 10 and one["SizeRootFs"] > one["SizeRw"]
    assert "SizeRw" not in json.loads(t.havre("inspect", "big").out)[0]
