# SPDX-License-Identifier: Apache-2.0
"""Which containers a command is about: podman's --all, --latest, --cidfile and --ignore beside names; filters and fields of ps."""
import json

import network_fixture


def statuses(t):
    rows = t.havre("ps", "-a", "--format", "{{.Names}} {{.State}}").out.split("\n")
    return dict(row.split() for row in rows if row)


def test_all(t):
    """--all means those for which the verb makes sense; what is printed are ids."""
    image = t.busybox_image()
    ids = {name: t.havre("create", "--name", name, "--stop-timeout", "0", image, "sleep", "1000").out.strip() for name in ("one", "two", "three")}
    t.havre("start", "one")
    assert set(t.havre("pause", "-a").out.split()) == {ids["one"]}
    assert set(t.havre("start", "--all").out.split()) == {ids["two"], ids["three"]}
    assert statuses(t) == {"one": "paused", "two": "running", "three": "running"}
    assert t.havre("unpause", "--all").out.split() == [ids["one"]]
    assert set(t.havre("kill", "-a", "-s", "KILL").out.split()) == set(ids.values())
    for name in ids:
        t.havre("wait", name)
    t.havre("start", "two")
    assert t.havre("restart", "--all", "--running").out.split() == [ids["two"]]
    assert set(t.havre("rm", "--all").out.split()) == {ids["one"], ids["three"]}
    assert statuses(t) == {"two": "running"}
    assert t.havre("stop", "--all").out.split() == [ids["two"]]
    t.havre("start", "two")
    assert t.havre("rm", "-fa").out.split() == [ids["two"]]
    assert t.havre("ps", "-aq").out == "" and t.havre("rm", "-fa").out == "" and t.havre("stop", "-a").out == ""


def test_latest_and_cidfile(t):
    """--latest is what was created last; --cidfile reads what run --cidfile wrote."""
    image = t.busybox_image()
    t.havre("create", "--name", "old", image, "true")
    latest = t.havre("create", "--name", "new", "--cidfile", t.tmp / "cid", image, "sh", "-c", "exit 5").out.strip()
    assert t.havre("start", "-l").out.strip() == latest
    assert t.havre("wait", "-l").out == "5\n"
    assert t.havre("rm", "--cidfile", t.tmp / "cid").out.strip() == latest and list(statuses(t)) == ["old"]
    gone = t.havre("rm", "--cidfile", t.tmp / "cid", check=False)
    assert gone.rc == 1 and "no such container" in gone.err.lower(), gone
    assert t.havre("rm", "--ignore", "--cidfile", t.tmp / "cid", "--cidfile", t.tmp / "never", "nobody").out == ""
    forced = t.havre("rm", "-f", "nobody", check=False)
    assert forced.rc == 0 and "nobody" in forced.err, forced
    (t.tmp / "empty").write_text("\n")
    empty = t.havre("stop", "--cidfile", t.tmp / "empty", check=False)
    assert empty.rc == 1 and "names no container" in empty.err, empty


def test_bad_choices(t):
    """Two ways at once, or none, is a usage error that changes nothing."""
    image = t.busybox_image()
    t.havre("create", "--name", "one", image, "true")
    for words in (["rm"], ["stop"], ["kill"], ["wait"], ["start"], ["pause"], ["unpause"], ["restart"]):
        none = t.havre(*words, check=False)
        assert none.rc != 0 and "requires at least 1 argument" in none.err, (words, none)
    for words in (["rm", "-a", "one"], ["stop", "-a", "-l"], ["kill", "-l", "one"]):
        both = t.havre(*words, check=False)
        assert both.rc != 0 and "exclude each other" in both.err, (words, both)
    assert t.havre("rm", "-t", "1", "one", check=False).rc != 0
    assert list(statuses(t)) == ["one"]


def test_rm_gives_time(t):
    """rm -f -t N stops the program by its signal first."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "one", "-v", "said:/said", image, "sh", "-c",
            "trap 'echo bye > /said/bye; exit' TERM; echo ready; while :; do sleep 0.05; done")
    t.wait_for(lambda: "ready" in t.havre("logs", "one").out)
    t.havre("rm", "-f", "-t", "20", "one")
    assert t.havre("run", "--rm", "-v", "said:/said", image, "cat", "/said/bye").out == "bye\n"


def test_filters(t):
    """What each filter of ps lets through, docker's and podman's; several values of one key are alternatives, labels are not."""
    network_fixture.isolate(t)
    image = t.busybox_image()
    t.havre("network", "create", "second")
    t.havre("run", "-d", "--name", "web1", "-l", "a=1", "-l", "b=2", "-p", "8080-8081:80-81", "--expose", "90/udp", "-v", "kept:/data", image, "sleep", "1000")
    t.havre("create", "--name", "web20", "-l", "a=2", "--network", "second", "--restart", "always", image, "true")
    t.havre("network", "connect", "second", "web1")
    network_id = t.havre("network", "inspect", "-f", "{{.Id}}", "second").out.strip()
    both = "web1 web20"
    cases = {
        "name=web": both, "name=^web[0-9]$": "web1", "name=^/web20$": "web20", "name=[": "", "label=a": both, "label=a=1": "web1",
        "label!=b": "web20", "label!=a=2": "web1", "volume=kept": "web1", "volume=/data": "web1", "network=second": both, f"network={network_id[:12]}": both,
        "network=bridge": "web1", "publish=8080": "web1", "publish=8000-9000/tcp": "web1", "publish=80": "", "publish=8080/udp": "", "expose=80": "web1",
        "expose=90": "", "expose=85-95/udp": "web1", "health=none": both, "health=healthy": "", "status=created": "web20", "status=running": "web1",
        "is-task=false": both, "is-task=true": "", "isolation=default": both, "until=2000-01-01": "", "until=0s": both, "since=web1": "web20",
        "before=web20": "web1", "restart-policy=always": "web20", "should-start-on-boot=true": "web20", "command=sleep": "web1", "exited=0": "",
        f"ancestor={image}": both, "ancestor=other": "", "pod=none": "",
    }
    for pair, wanted in cases.items():
        names = t.havre("ps", "-a", "--filter", pair, "--format", "{{.Names}}").out.split()
        assert " ".join(sorted(names)) == wanted, (pair, names)

    def names_of(*pairs):
        return sorted(t.havre("ps", "-a", *[w for p in pairs for w in ("--filter", p)], "--format", "{{.Names}}").out.split())
    assert names_of("name=web1", "name=web20") == ["web1", "web20"] and names_of("label=a", "label=b") == ["web1"]
    assert names_of("name=web1", "status=created") == []
    for pair, says in (("status=odd", "status=odd"), ("expose=x", "expose=x"), ("publish=9-1", "publish"), ("is-task=7", "is-task"), ("exited=x", "exited"),
                       ("since=nobody", "nobody"), ("until=soon", "until"), ("colour=red", "the keys are"), ("name", "the form is")):
        bad = t.havre("ps", "--filter", pair, check=False)
        assert bad.rc == 1 and says in bad.err, (pair, bad)
    t.havre("rm", "-f", "web1", "web20")


def test_podman_s_fields(t):
    """Fields of podman's templates beside docker's; json has docker's only."""
    image = t.busybox_image()
    t.havre("run", "--name", "one", "-v", "kept:/data", image, "sh", "-c", "exit 3", check=False)
    row = t.havre("ps", "-a", "--format", "{{.ExitCode}} {{.Exited}} {{.Pid}} {{.Restarts}} {{.IsInfra}} {{.LocalVolumes}} {{.ImageID}} {{.ExitedAt}}").out.split()
    image_id = t.havre("inspect", "-f", "{{.Image}}", "one").out.strip()
    assert row[:6] == ["3", "true", "0", "0", "false", "1"] and row[6] == image_id[7:19] and row[7].endswith("Z"), row
    assert "ExitCode" not in json.loads(t.havre("ps", "-a", "--format", "json").out)


def test_filters_of_other_lists(t):
    """Names are regular expressions and labels have their opposite in every list; a label that is not there is an empty text."""
    network_fixture.isolate(t)
    image = t.busybox_image()
    for name, label in (("ab", "x=1"), ("xab", "y=1")):
        t.havre("network", "create", "--label", label, name)
        t.havre("volume", "create", "--label", label, name)
    for kind in ("network", "volume"):
        for pair, wanted in (("name=ab", ["ab", "xab"]), ("name=^ab$", ["ab"]), ("label=x", ["ab"]), ("name=(", [])):
            assert t.havre(kind, "ls", "--filter", pair, "--format", "{{.Name}}").out.split() == wanted, (kind, pair)
        listed = t.havre(kind, "ls", "--filter", "label!=x", "--filter", "name=ab", "--format", "{{.Name}}[{{.Label \"x\"}}]").out
        assert listed == "xab[]\n", (kind, listed)
    assert t.havre("images", "-q", "--filter", "until=2000-01-01").out == ""
    assert len(t.havre("images", "--filter", "label!=x", "--filter", "until=0s", "--format", "{{.ID}}[{{.Label \"x\"}}]").out.splitlines()) == 1
    assert t.havre("images", "-q", "--filter", f"since={image}").out == t.havre("images", "-q", "--filter", f"before={image}").out == ""
