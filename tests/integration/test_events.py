# SPDX-License-Identifier: Apache-2.0
"""events: what is told, in which order, to whom."""
import json
import os
import subprocess


def told(t, *flags):
    out = t.havre("events", "--since", "1h", "--until", "0s", "--format", "json", *flags).out
    return [json.loads(line) for line in out.splitlines()]


def test_events_of_a_container(t):
    """docker's actions in docker's order with docker's attributes, kept when nobody looks, and the same for who follows."""
    image = t.busybox_image()
    follower = t.start(t.havre_args("events", "--filter", "type=container", "--format", "{{.Action}}", "--since", "2020-01-01"),
                       stdout=subprocess.PIPE)
    t.havre("run", "--rm", "--network", "none", "--name", "c0", "-v", "vol:/x", image, "sh", "-c", "exit 3", check=False)
    t.havre("run", "-d", "--network", "none", "--name", "c1", "-l", "a=b", image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "c2", check=False)
    t.havre("exec", "c1", "true")
    t.havre("pause", "c1")
    t.havre("unpause", "c1")
    t.havre("rename", "c1", "c2")
    t.havre("kill", "-s", "KILL", "c2")
    t.havre("wait", "c2")
    t.havre("rm", "c2")
    events = told(t, "--filter", "type=container", "--filter", "type=volume")
    first = [e for e in events if e["Actor"]["Attributes"].get("name") == "c0" or e["Type"] == "volume"]
    assert [(e["Type"], e["Action"]) for e in first] == [
        ("container", "create"), ("volume", "create"), ("container", "attach"), ("volume", "mount"), ("container", "start"),
        ("container", "die"), ("volume", "unmount"), ("container", "destroy")], first
    die = first[5]
    assert die["Actor"]["Attributes"]["exitCode"] == "3" and die["Actor"]["Attributes"]["image"] == image, die
    assert die["status"] == "die" and die["id"] == die["Actor"]["ID"] and die["timeNano"] // 10**9 == die["time"], die
    second = [e for e in events if e["Actor"]["Attributes"].get("a") == "b"]
    actions = [e["Action"] for e in second]
    assert actions[:4] == ["create", "start", "exec_create: true", "exec_start: true"], actions
    assert sorted(actions[4:]) == sorted(["exec_die", "pause", "unpause", "rename", "kill", "die", "destroy"]), actions
    by_action = {e["Action"]: e["Actor"]["Attributes"] for e in second}
    assert by_action["rename"]["oldName"] == "/c1" and by_action["kill"]["signal"] == "9"
    assert by_action["die"]["name"] == "c2" and by_action["die"]["exitCode"] == "137"
    assert by_action["exec_die"]["execID"] == by_action["exec_create: true"]["execID"]
    all_actions = [e["Action"] for e in events if e["Type"] == "container"]
    seen = [follower.stdout.readline().decode().strip() for _ in all_actions]
    assert sorted(seen) == sorted(all_actions), (seen, all_actions)
    assert len(told(t, "--filter", "container=c2", "--filter", "event=die")) == 1
    assert len(told(t, "--filter", "label=a=b", "--filter", "event=exec_create")) == 1
    assert told(t, "--filter", "label=a=c") == []
    wrong = t.havre("events", "--filter", "colour=red", check=False)
    assert wrong.rc == 1 and "colour" in wrong.err, wrong


def test_events_of_the_rest(t):
    """Images, volumes and networks are told of, and a monitor that was killed does not hide the end."""
    image = t.busybox_image()
    t.havre("tag", image, "other:1")
    t.havre("rmi", "other:1")
    t.havre("volume", "create", "v1")
    t.havre("volume", "rm", "v1")
    got = [(e["Type"], e["Action"]) for e in told(t)]
    for what in (("image", "tag"), ("image", "untag"), ("volume", "create"), ("volume", "destroy")):
        assert what in got, (what, got)
    t.havre("run", "-d", "--network", "none", "--name", "c1", image, "sleep", "1000")
    t.defer(t.havre, "rm", "-f", "c1", check=False)
    pid = json.loads(t.havre("inspect", "c1").out)[0]["State"]["Pid"]
    with open(f"/proc/{pid}/status") as f:
        monitor = int([line.split()[1] for line in f if line.startswith("PPid:")][0])
    os.kill(monitor, 9)
    t.wait_for(lambda: "Exited (137)" in t.havre("ps", "-a").out)
    assert [e["Actor"]["Attributes"]["exitCode"] for e in told(t, "--filter", "event=die")] == ["137"]


def test_events_bound(t):
    """The file is renamed when it has grown to its bound, and a reader has both."""
    path = os.path.join(t.root, "events.log")
    t.havre("volume", "create", "v0")
    with open(path) as f:
        line = f.readlines()[-1]
    with open(path, "a") as f:
        f.write(line * ((5 << 20) // len(line)))
    t.havre("volume", "create", "v1")
    assert os.path.getsize(path) < 4096 and os.path.getsize(path + ".1") > (4 << 20)
    assert [e["Actor"]["ID"] for e in told(t, "--filter", "volume=v1")] == ["v1"]
    t.havre("volume", "rm", "v0", "v1")


test_events_bound.asan = False
