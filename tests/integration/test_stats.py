# SPDX-License-Identifier: Apache-2.0
"""stats, ps --watch, update."""
import json
import re
import subprocess


def run(t, name, *flags, command=("sleep", "1000")):
    t.havre("run", "-d", "--network", "none", "--name", name, *flags, t.busybox_image(), *command)
    t.defer(t.havre, "rm", "-f", name, check=False)


def test_stats(t):
    """One look has docker's columns and fields with values that are so: a busy container is busy, its limit is its own."""
    run(t, "idle")
    run(t, "busy", "-m", "64m", command=("sh", "-c", "while :; do :; done"))
    t.havre("create", "--name", "made", t.busybox_image(), "true")
    t.defer(t.havre, "rm", "made")
    rows = {o["Name"]: o for o in map(json.loads, t.havre("stats", "--no-stream", "-a", "--format", "json").out.splitlines())}
    assert sorted(rows) == ["busy", "idle", "made"]
    assert float(rows["busy"]["CPUPerc"].rstrip("%")) > float(rows["idle"]["CPUPerc"].rstrip("%")), rows
    assert rows["busy"]["MemUsage"].endswith(" / 64MiB") and rows["busy"]["PIDs"] == "1", rows
    assert rows["made"]["CPUPerc"] == "0.00%" and rows["made"]["MemUsage"] == "0B / 0B"
    table = t.havre("stats", "--no-stream", "--no-trunc", "idle").out.splitlines()
    assert re.sub(r" {2,}", "|", table[0]) == "CONTAINER ID|NAME|CPU %|MEM USAGE / LIMIT|MEM %|NET I/O|BLOCK I/O|PIDS", table
    assert len(table) == 2 and re.match(r"[0-9a-f]{64} ", table[1]), table
    r = t.havre("stats", "--no-stream", "nobody", check=False)
    assert r.rc == 1 and "no such container: nobody" in r.err, r
    stream = t.start(t.havre_args("stats", "--format", "{{.Name}}", "busy"), stdout=subprocess.PIPE)
    assert [stream.stdout.readline() for _ in range(2)] == [b"busy\n"] * 2


def test_stats_picture(t):
    """On a terminal: bars, colours unless NO_COLOR, q ends it and gives the screen back."""
    run(t, "busy", command=("sh", "-c", "while :; do :; done"))
    view = t.terminal(t.havre_args("stats"))
    view.expect(r"CPU")
    view.expect(r"busy.*█")
    view.send("q")
    view.expect(r"\x1b\[\?1049l")
    assert view.wait() == 0


test_stats_picture.asan = False


def test_ps_watch(t):
    """ps --watch shows again what has changed, without being asked."""
    watch = t.start(t.havre_args("ps", "--watch", "--format", "{{.Names}} {{.State}}"), stdout=subprocess.PIPE)
    run(t, "c1")
    for expected in ("c1 running", "c1 paused"):
        while watch.stdout.readline().decode().strip() != expected:
            pass
        t.havre("pause" if expected == "c1 running" else "unpause", "c1")


def test_update(t):
    """Limits change on the running container and stay for the next start; the policy counts for this run; conflicts are errors."""
    run(t, "c1", "-m", "64m")
    t.havre("update", "-m", "80m", "--pids-limit", "77", "--cpu-shares", "512", "--restart", "on-failure:1", "c1")
    o = json.loads(t.havre("inspect", "c1").out)[0]
    assert o["HostConfig"]["Memory"] == 80 << 20 and o["HostConfig"]["PidsLimit"] == 77 and o["HostConfig"]["CpuShares"] == 512
    usage = t.havre("stats", "--no-stream", "--format", "{{.MemUsage}}", "c1").out
    assert usage.strip().endswith(" / 80MiB"), usage
    t.run(["kill", "-9", str(o["State"]["Pid"])])
    t.wait_for(lambda: json.loads(t.havre("inspect", "c1").out)[0]["RestartCount"] == 1)
    t.wait_for(lambda: t.havre("stats", "--no-stream", "--format", "{{.MemUsage}}", "c1").out.strip().endswith(" / 80MiB"))
    for flags, words in ((["-m", "1m"], "too small"), (["--restart", "often"], "unknown policy"), ([], "one or more flags")):
        r = t.havre("update", *flags, "c1", check=False)
        assert r.rc != 0 and words in r.err, r
    t.havre("update", "--cpus", "0.5", "c1")
    r = t.havre("update", "--cpu-quota", "1000", "c1", check=False)
    assert r.rc == 1 and "conflicting" in r.err, r
