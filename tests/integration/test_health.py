# SPDX-License-Identifier: Apache-2.0
"""Health checks."""
import json


def run(t, *flags, name="c1"):
    t.havre("run", "-d", "--network", "none", "--name", name, *flags, t.busybox_image(), "sleep", "1000")
    t.defer(t.havre, "rm", "-f", name, check=False)


def health(t, name="c1"):
    return json.loads(t.havre("inspect", name).out)[0]["State"].get("Health")


def test_health_states(t):
    """starting, unhealthy after the retries, healthy after one success; five results are kept; each change is an event."""
    run(t, "--health-cmd", "cat /ok", "--health-interval", "200ms", "--health-retries", "2")
    assert health(t)["Status"] in ("starting", "unhealthy")
    t.wait_for(lambda: health(t)["Status"] == "unhealthy")
    assert "(unhealthy)" in t.havre("ps").out and health(t)["FailingStreak"] >= 2
    assert "No such file" in health(t)["Log"][-1]["Output"] and health(t)["Log"][-1]["ExitCode"] == 1
    t.havre("exec", "c1", "sh", "-c", "echo fine > /ok")
    t.wait_for(lambda: health(t)["Status"] == "healthy")
    t.wait_for(lambda: len(health(t)["Log"]) == 5 and health(t)["Log"][-1]["Output"] == "fine\n")
    assert "(healthy)" in t.havre("ps").out
    told = t.havre("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status", "--format", "{{.Action}}").out
    assert told.splitlines() == ["health_status: unhealthy", "health_status: healthy"], told
    assert t.havre("healthcheck", "run", "c1").rc == 0


def test_health_by_hand(t):
    """healthcheck run counts; a check that takes too long has failed; failures of the start period do not count; without one it says so."""
    run(t, "--health-cmd", "sleep 100", "--health-interval", "1h", "--health-timeout", "200ms", "--health-retries", "1")
    r = t.havre("healthcheck", "run", "c1", check=False)
    assert r.rc == 1 and r.out == "unhealthy\n", r
    assert "exceeded timeout" in health(t)["Log"][0]["Output"] and health(t)["Log"][0]["ExitCode"] == -1
    run(t, "--health-cmd", "false", "--health-interval", "1h", "--health-retries", "1", "--health-start-period", "1h",
        "--health-start-interval", "1h", name="c2")
    assert t.havre("healthcheck", "run", "c2", check=False).out == "starting\n"
    assert "(health: starting)" in t.havre("ps").out and health(t, "c2")["FailingStreak"] == 0
    run(t, name="c3")
    r = t.havre("healthcheck", "run", "c3", check=False)
    assert r.rc == 125 and "has no health check" in r.err and health(t, "c3") is None, r


def test_health_of_the_image(t):
    """The image's HEALTHCHECK is used, a flag replaces a part of it, --no-healthcheck all."""
    t.havre("create", "--name", "base", t.busybox_image(), "true")
    t.havre("commit", "-c", 'HEALTHCHECK --interval=7s --retries=4 CMD test -e /bin', "base", "checked:1")
    t.havre("rm", "base")

    def config(*flags):
        t.havre("create", "--name", "xx", *flags, "checked:1", "true")
        o = json.loads(t.havre("inspect", "xx").out)[0]["Config"].get("Healthcheck")
        t.havre("rm", "xx")
        return o
    assert config() == {"Test": ["CMD-SHELL", "test -e /bin"], "Interval": 7 * 10**9, "Retries": 4}
    assert config("--health-interval", "1m") == {"Test": ["CMD-SHELL", "test -e /bin"], "Interval": 60 * 10**9, "Retries": 4}
    assert config("--no-healthcheck")["Test"] == ["NONE"]
    r = t.havre("create", "--no-healthcheck", "--health-cmd", "true", "checked:1", "true", check=False)
    assert r.rc == 125 and "conflicts" in r.err, r


def test_restart_on_unhealthy(t):
    """on-unhealthy ends what its check finds unhealthy, and starts it anew."""
    run(t, "--restart", "on-unhealthy", "--health-cmd", "test ! -e /ill", "--health-interval", "200ms", "--health-retries", "1",
        "--stop-timeout", "0")
    t.wait_for(lambda: health(t)["Status"] == "healthy")
    t.havre("exec", "c1", "touch", "/ill")
    t.wait_for(lambda: json.loads(t.havre("inspect", "c1").out)[0]["RestartCount"] >= 1)
    t.havre("stop", "-t", "0", "c1")


test_restart_on_unhealthy.asan = False
