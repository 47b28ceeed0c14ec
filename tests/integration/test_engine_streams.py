# SPDX-License-Identifier: Apache-2.0
"""What goes in and out of a container: attach, exec, terminals, logs."""

import json
import os
import re
import signal
import subprocess
import time


def test_streams_apart(t):
    """stdout and stderr stay apart and whole, also when they are large and the reader is slow."""
    image = t.busybox_image()
    r = t.havre("run", "--rm", image, "sh", "-c", "echo out; echo err >&2")
    assert (r.out, r.err) == ("out\n", "err\n")
    p = t.start(t.havre_args("run", "--rm", image, "sh", "-c", "seq 1 300000; exit 5"), stdout=subprocess.PIPE)
    time.sleep(1)  # the pipe and every buffer are full: the program waits, nothing is lost
    out, _ = p.communicate(timeout=60)
    assert p.returncode == 5
    assert out.split() == [str(i).encode() for i in range(1, 300001)]


def test_stdin(t):
    """stdin arrives whole and its end arrives; without -i there is none."""
    image = t.busybox_image()
    data = os.urandom(3_000_000)
    r = t.havre("run", "--rm", "-i", image, "cat", input=data, text=False)
    assert r.out == data
    assert t.havre("run", "--rm", image, "cat", input="nothing").out == ""
    r = t.havre("run", "--rm", "-i", image, "head", "-c", "4", input=b"x" * 1_000_000)  # it stops reading: no hang, no error
    assert r.out == "xxxx"


def test_signals_pass_unread_input(t):
    """A signal reaches the program although it does not read its input."""
    image = t.busybox_image()
    p = t.start(t.havre_args("run", "--rm", "-i", image, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    os.set_blocking(p.stdin.fileno(), False)
    try:
        for _ in range(100):
            p.stdin.write(b"y\n" * 4096)
            p.stdin.flush()
    except BlockingIOError:
        pass
    p.send_signal(signal.SIGTERM)
    assert p.wait(20) == 9
    try:
        p.stdin.close()
    except BrokenPipeError:
        pass  # what it had buffered


def test_terminal_size(t):
    """The program sees the terminal's size from its first instruction on, and each change."""
    image = t.busybox_image()
    term = t.terminal(t.havre_args("run", "--rm", "-it", image, "sh", "-c", "stty size; read x; stty size; tty"), rows=33, columns=101)
    term.expect("33 101")
    term.resize(44, 120)
    time.sleep(0.3)
    term.send("\r")
    term.expect("44 120")
    term.expect("/dev/pts/0|/dev/console")
    assert term.wait() == 0


def test_detach_leaves_it_running(t):
    """Ctrl-P Ctrl-Q leaves the container running; attach comes back to it, twice at once."""
    image = t.busybox_image()
    term = t.terminal(t.havre_args("run", "-it", "--name", "cc", image, "sh"))
    term.send("echo fir''st\r")
    term.expect("first")
    term.send("\x10\x11")
    term.wait()
    assert t.havre("inspect", "--format", "{{.State.Running}}", "cc").out == "true\n"
    one, two = t.terminal(t.havre_args("attach", "cc")), t.terminal(t.havre_args("attach", "cc"))
    # Who has only just started attach does not see what was printed before: say it until both have heard it.
    for who in (one, two):
        def heard(who=who):
            one.send("echo sec''ond\r")
            who.read(0.3)
            return "second" in who.output
        t.wait_for(heard)
    two.send("exit 3\r")
    assert one.wait() == 3 and two.wait() == 3


def test_slow_attached_client(t):
    """One who attaches and never reads does not stop the container, costs bounded memory, and is dropped."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", "--log-driver", "none", image,
            "sh", "-c", "until [ -e /tmp/go ]; do echo waiting; sleep 0.1; done; seq 1 2000000; touch /tmp/done; sleep 1000")
    p = t.start(t.havre_args("attach", "cc"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert p.stdout.readline() == b"waiting\n"
    p.send_signal(signal.SIGSTOP)
    t.havre("exec", "cc", "touch", "/tmp/go")
    t.wait_for(lambda: t.havre("exec", "cc", "test", "-e", "/tmp/done", check=False).rc == 0, timeout=40)
    pid = int(t.havre("inspect", "--format", "{{.State.Pid}}", "cc").out)
    monitor = int(re.search(r"PPid:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
    pss = int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{monitor}/smaps_rollup").read(), re.M).group(1))
    assert pss < 1500, f"{pss} kB"
    p.send_signal(signal.SIGCONT)
    out, err = p.communicate(timeout=20)
    assert p.returncode != 0 and b"not read fast enough" in err, (p.returncode, err)
    t.havre("rm", "-f", "cc")


test_slow_attached_client.asan = False


def test_monitor_is_small_and_still(t):
    """An idle monitor has at most 400 kB of its own and does not wake up."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sleep", "1000")
    pid = int(t.havre("inspect", "--format", "{{.State.Pid}}", "cc").out)
    monitor = int(re.search(r"PPid:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))

    def switches():
        return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", open(f"/proc/{monitor}/status").read()))
    time.sleep(0.5)
    before = switches()
    time.sleep(2)
    assert switches() == before
    pss = int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{monitor}/smaps_rollup").read(), re.M).group(1))
    assert pss <= 400, f"{pss} kB"
    t.havre("rm", "-f", "cc")


test_monitor_is_small_and_still.asan = False
test_monitor_is_small_and_still.alone = True


def test_exec(t):
    """exec: output, input, status, user, directory, environment, terminal, detached; its errors are its own."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", "-e", "A=1", "-w", "/tmp", image, "sleep", "1000")
    r = t.havre("exec", "cc", "sh", "-c", "echo $A $PWD; echo e >&2; exit 6", check=False)
    assert (r.rc, r.out, r.err) == (6, "1 /tmp\n", "e\n")
    assert t.havre("exec", "-i", "cc", "cat", input="in" * 100_000).out == "in" * 100_000
    assert t.havre("exec", "-u", "user", "-e", "B=2", "-w", "/etc", "cc", "sh", "-c", "id -u; id -G; echo $B $HOME; pwd").out.split() == \
        ["1000", "1000", "2000", "2", "/home/user", "/etc"]
    assert t.havre("exec", "cc", "nosuch", check=False).rc == 127
    assert t.havre("exec", "cc", "/etc/passwd", check=False).rc == 126
    assert t.havre("exec", "-u", "4294967296", "cc", "id", check=False).rc != 0
    t.havre("exec", "-d", "cc", "sh", "-c", "echo detached > /tmp/x")
    t.wait_for(lambda: t.havre("exec", "cc", "cat", "/tmp/x", check=False).out == "detached\n")
    term = t.terminal(t.havre_args("exec", "-it", "cc", "sh"), rows=20, columns=70)
    term.send("stty size; tty\r")
    term.expect("20 70")
    term.send("exit 4\r")
    assert term.wait() == 4
    t.havre("kill", "cc")
    assert t.havre("exec", "cc", "true", check=False).rc != 0


def test_exec_outlives_its_command_line(t):
    """kill -9 of the exec command leaves the program running in the container."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sleep", "1000")
    p = t.start(t.havre_args("exec", "cc", "sh", "-c", "echo go; sleep 1; echo on; echo done > /tmp/x"), stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"go\n"
    p.kill()
    t.wait_for(lambda: t.havre("exec", "cc", "cat", "/tmp/x", check=False).out == "done\n")
    t.havre("rm", "-f", "cc")


def test_logs(t):
    """logs gives back both streams byte for byte, with NUL, over-long and unfinished lines; tail, since, timestamps."""
    image = t.busybox_image()
    script = r"printf 'a\0b\n'; head -c 40000 /dev/zero | tr '\0' z; echo; echo err >&2; printf unfinished"
    t.havre("run", "--name", "cc", image, "sh", "-c", script)
    r = t.havre("logs", "cc")
    assert r.out == "a\0b\n" + "z" * 40000 + "\nunfinished" and r.err == "err\n", r
    assert t.havre("logs", "--tail", "1", "cc").out == "unfinished"
    assert t.havre("logs", "--tail", "0", "cc").out == ""
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z a", t.havre("logs", "-t", "cc").out)
    t.havre("run", "--name", "nn", "--log-driver", "none", image, "echo", "x")
    r = t.havre("logs", "nn", check=False)
    assert r.rc == 1 and "none" in r.err
    lines = [json.loads(line) for line in (t.root / "containers").glob("*/container.log").__next__().read_text().splitlines()]
    assert set(lines[0]) == {"log", "stream", "time"}


def test_logs_follow_through_rotation(t):
    """logs -f sees every line in order while the log is rotated under it, and ends when the container ends."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", "--log-opt", "max-size=20k", "--log-opt", "max-file=5", image,
            "sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); [ $((i % 50)) = 0 ] && sleep 0.02; done")
    p = t.start(t.havre_args("logs", "-f", "cc"), stdout=subprocess.PIPE)
    out, _ = p.communicate(timeout=60)
    numbers = [int(line.split()[1]) for line in out.decode().splitlines()]
    assert numbers == list(range(3000)), (len(numbers), numbers[:3], numbers[-3:])
    files = list((t.root / "containers").glob("*/container.log*"))
    assert 2 <= len(files) <= 5 and all(f.stat().st_size <= 20 * 1024 for f in files)


def test_logs_follow_waits_without_polling(t):
    """logs -f of a quiet container shows a line when it comes, and does not wake up in between."""
    image = t.busybox_image()
    t.havre("run", "-d", "--name", "cc", image, "sh", "-c", "echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two")
    p = t.start(t.havre_args("logs", "-f", "cc"), stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"one\n"
    time.sleep(0.3)

    def switches():
        return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", open(f"/proc/{p.pid}/status").read()))
    before = switches()
    time.sleep(0.7)
    assert switches() == before
    t.havre("exec", "cc", "touch", "/tmp/go")
    assert p.stdout.readline() == b"two\n"
    assert p.wait(20) == 0
