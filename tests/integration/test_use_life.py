# SPDX-License-Identifier: Apache-2.0
"""Containers as a docker user lives with them: what was once found wrong by hand."""

from registry_fixture import start_registry


def test_exec_detached(t):
    """exec -d answers at once, the command runs on, and one that cannot be started is still an error."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "box", image, "sleep", "100")
    t.defer(t.havre, "rm", "-f", "box", check=False)
    done = t.havre("exec", "-d", "box", "sh", "-c", "sleep 0.2; touch /done; sleep 100")
    assert done.out == "" and done.err == "", done
    t.wait_for(lambda: t.havre("exec", "box", "ls", "/done", check=False).rc == 0)
    missing = t.havre("exec", "-d", "box", "no-such-program", check=False)
    assert missing.rc == 127 and "no-such-program" in missing.err, missing


def test_create_is_durable(t):
    """create waits for the disk, so that a container outlives a power cut; run --rm does not wait."""
    t.need("strace")
    image = t.busybox_image()

    def syncs(*args):
        trace = t.tmp / "trace"
        t.run(["strace", "-o", trace, "-y", "-e", "trace=fsync,fdatasync", *t.havre_args(*args)])
        return [line for line in trace.read_text().splitlines() if "engine.db" in line]

    t.defer(t.havre, "rm", "-f", "kept", check=False)
    t.havre("ps")  # makes the database
    assert syncs("create", "--name", "kept", image, "true")
    assert not syncs("create", "--rm", "--name", "gone", image, "true")
    t.havre("rm", "-f", "gone")


def test_run_says_once_that_it_pulls(t):
    """run of an absent image says on stderr, once, that it is not here and where it comes from; stdout is the program's."""
    registry = start_registry(t)
    image = registry.push_busybox("app:v1")
    done = t.havre("run", "--rm", image, "echo", "ran")
    assert done.out == "ran\n", done
    assert done.err.count(f"Unable to find image '{image}' locally") == 1, done
    assert "Pull complete" in done.err, done
