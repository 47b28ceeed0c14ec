# SPDX-License-Identifier: Apache-2.0
"""Which containers a verb is about: podman's --all, --latest, --cidfile and --ignore beside names."""


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
