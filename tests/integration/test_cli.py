# SPDX-License-Identifier: Apache-2.0
"""havre's command line: help, mistakes, completion, man pages, formats, exit statuses, and a first run by hand."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

HELLO = "havre/hello"


def commands(t):
    """Every command's name, by the program's own word."""
    return t.run([t.bin / "havre", "__complete", "commands"]).out.split("\n")[:-1]


# -- help and mistakes -----------------------------------------------------------------------------------------


def test_help_of_all_commands(t):
    """Every command answers --help and `help COMMAND` with the same text, on stdout, with status 0; all are in the overview."""
    names = commands(t)
    assert len(names) >= 28 and "run" in names and "image inspect" in names, names
    overview = t.run([t.bin / "havre"]).out
    assert overview == t.run([t.bin / "havre", "--help"]).out
    for name in names:
        words = name.split()
        by_flag = t.run([t.bin / "havre", *words, "--help"])
        by_help = t.run([t.bin / "havre", "help", *words])
        assert by_flag.out == by_help.out and not by_flag.err, by_flag
        assert by_flag.out.startswith(f"Usage:  havre {name}"), by_flag
        assert max(map(len, by_flag.out.splitlines())) <= 110, by_flag
        if len(words) == 1:
            assert re.search(rf"^  {re.escape(name)} ", overview, re.M), name


def test_groups(t):
    """docker's group forms reach the same commands."""
    for group, member in (("container", "run"), ("container", "ls"), ("image", "ls"), ("image", "rm"), ("system", "info")):
        assert re.search(rf"^  {member} ", t.run([t.bin / "havre", group]).out, re.M)
        assert t.run([t.bin / "havre", group, member, "--help"]).out.startswith("Usage:")
    assert t.run([t.bin / "havre", "container", "ls", "--help"]).out == t.run([t.bin / "havre", "ps", "--help"]).out


def test_suggestions(t):
    """Mistyped commands and flags are answered with the nearest one."""
    for typed, wanted in ((["rnu"], "havre run"), (["isnpect"], "havre inspect"), (["container", "strat"], "havre container start"),
                          (["run", "--detatch", "x"], "--detach"), (["ps", "--fromat", "x"], "--format")):
        r = t.run([t.bin / "havre", *typed], check=False)
        assert r.rc in (1, 125) and f"did you mean" in r.err and wanted in r.err and not r.out, r


def test_status_of_wrong_use(t):
    """Wrong flags end with 125, wrong numbers of arguments and unknown commands with 1, as docker does; stdout stays empty."""
    for args, rc, part in ((["run", "--nonsense", "x"], 125, "unknown flag: --nonsense"), (["ps", "--nonsense"], 125, "unknown flag"),
                           (["--nonsense"], 125, "unknown flag"), (["run"], 1, "at least 1 argument"), (["rename", "a"], 1, "exactly 2"),
                           (["nonsense"], 1, "unknown command"), (["ps", "extra"], 1, "no arguments"), (["run", "--name"], 125, "requires an argument"),
                           (["run", "-m", "lots", "x"], 125, "-m"), (["ps", "--filter", "colour=red"], 1, "the keys are"),
                           (["run", "--rm=maybe", "x"], 125, "--rm")):
        r = t.havre(*args, check=False)
        assert r.rc == rc and part in r.err and r.err.startswith("havre: ") and not r.out, r


def test_refused_flags_say_why(t):
    """docker run flags that havre does not do yet are refused with the reason, never as unknown."""
    docker = """add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-period
        cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys device device-cgroup-rule
        device-read-bps device-read-iops device-write-bps device-write-iops dns dns-option dns-search domainname entrypoint env env-file
        expose gpus group-add health-cmd health-interval health-retries health-start-interval health-start-period health-timeout hostname
        init interactive ip ip6 ipc isolation label label-file link link-local-ip log-driver log-opt mac-address memory
        memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable oom-score-adj pid
        pids-limit platform privileged publish publish-all pull quiet read-only restart rm runtime security-opt shm-size sig-proxy
        stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit user userns uts volume volume-driver volumes-from workdir""".split()
    for flag in docker:
        r = t.havre("run", f"--{flag}=", check=False)
        assert "unknown flag" not in r.err, r


def test_specifications_are_checked(t):
    """Bad -v, --mount, --env-file, --network and limits are named before anything is made."""
    bad = t.tmp / "env"
    bad.write_text("A B=1\n")
    for args, part in ((["-v", "/a:b"], "must be absolute"), (["-v", "a b:/c"], "neither an absolute path"), (["--mount", "type=bind,source=/a"], "target"),
                       (["--mount", "target=/x,colour=red"], "colour"), (["--env-file", bad], "line 1"), (["--env-file", "/nonexistent"], "/nonexistent"),
                       (["-v", "/a:/x", "--tmpfs", "/x"], "/x"), (["-w", "here"], "absolute"), (["--network", "nosuch"], "nosuch"),
                       (["--stop-signal", "NOPE"], "NOPE"), (["--memory-swap", "1m"], "--memory"), (["--restart", "sometimes"], "sometimes")):
        r = t.havre("run", *args, HELLO, check=False)
        assert r.rc == 125 and part in r.err, r
    assert t.havre("ps", "-aq").out == ""


# -- completion, man pages, start-up time ------------------------------------------------------------------------


def test_completion_scripts(t):
    """The scripts are valid for their shells and know every command and flag."""
    checked = []
    for shell in ("bash", "zsh", "fish"):
        script = t.tmp / shell
        script.write_text(t.run([t.bin / "havre", "completion", shell]).out)
        text = script.read_text()
        for name in commands(t):
            assert name.split()[-1] in text, (shell, name)
        assert "detach-keys" in text and "publish-all" in text
        try:
            t.run([shell, "-n", script])
            checked.append(shell)
        except FileNotFoundError:
            pass
    assert "bash" in checked


def test_bash_completion(t):
    """Sourced in bash, the script completes commands, flags, values and names."""
    script = t.tmp / "completion"
    script.write_text(t.run([t.bin / "havre", "completion", "bash"]).out)

    def complete(line):
        code = (f"source {script}; COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({t.bin}/havre) COMP_CWORD=1; _havre; "
                "printf '%s\\n' \"${COMPREPLY[@]}\"")
        return t.run(["bash", "-c", code]).out.split()

    assert complete("havre ru") == ["run"]
    assert "ls" in complete("havre container l")
    assert complete("havre run --pul") == ["--pull"]
    assert complete("havre run --pull=m") == ["missing"]
    assert complete("havre completion ") == ["bash", "zsh", "fish"]
    assert "detach-keys" in " ".join(complete("havre -D exec --det"))


def test_man_pages(t):
    """One page per command, built from the same tables, without a warning from groff."""
    t.need("groff")
    pages = t.tmp / "man"
    t.run([t.bin / "havre", "man", pages])
    assert len(list(pages.iterdir())) == len(commands(t)) + 1
    for page in sorted(pages.iterdir()):
        r = t.run(["groff", "-man", "-ww", "-Tutf8", "-K", "utf8", page])
        assert not r.err and len(r.out.splitlines()) > 10, r


def test_version_is_fast(t):
    """--version takes at most 2 ms more than /bin/true: the fastest of 200 runs of each, which a busy machine does not change."""
    assert re.fullmatch(r"havre version \d+\.\d+\.\d+\n", t.run([t.bin / "havre", "--version"]).out)

    def seconds(*command):
        began = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - began
    pairs = [(seconds(t.bin / "havre", "--version"), seconds("/bin/true")) for _ in range(200)]
    extra = min(p[0] for p in pairs) - min(p[1] for p in pairs)
    assert extra < 0.002, f"{extra * 1000:.2f} ms above /bin/true"


test_version_is_fast.alone = True
test_version_is_fast.asan = False


def test_two_programs(t):
    """havre loads no library: what needs one is done by havre-transfer beside it, and nothing else is"""
    for name in ("havre", "havre-monitor"):
        os.link(t.bin / name, t.tmp / name) if os.stat(t.bin).st_dev == os.stat(t.tmp).st_dev else shutil.copy2(t.bin / name, t.tmp / name)
    alone = [str(t.tmp / "havre"), *t.havre_args()[1:]]
    assert t.run([*alone, "run", "--rm", "--network", "none", "havre/hello"]).out
    assert t.run([*alone, "ps", "-a", "-q"]).out == ""
    if b"havre-transfer" not in (t.bin / "havre").read_bytes():
        return  # the sanitized build is one program
    for args in (["pull", "127.0.0.1:1/x"], ["run", "127.0.0.1:1/x"], ["create", "--pull", "always", "127.0.0.1:1/x"], ["load", "-i", "/dev/null"]):
        missing = t.run([*alone, *args], check=False)
        assert missing.rc != 0 and f"cannot execute {t.tmp}/havre-transfer" in missing.err, missing
    assert t.run([*alone, "run", "--pull", "never", "127.0.0.1:1/x"], check=False).err.count("transfer") == 0


def test_full_disk_is_an_error(t):
    """Output that cannot be written is reported, not lost."""
    with open("/dev/full", "w") as full:
        r = t.run([t.bin / "havre", "--help"], stdout=full, check=False)
    assert r.rc == 1 and "no space left" in r.err.lower(), r


# -- the embedded image --------------------------------------------------------------------------------------------


def test_first_run(t):
    """`havre run havre/hello` works on an empty root without network and says where it runs."""
    r = t.havre("run", "--rm", HELLO)
    for part in ("pid 1,", "Namespaces", "pid:", "Capabilities", "chown", "Seccomp", "on,", "Root", "Control group", "havre --help"):
        assert part in r.out, r
    assert HELLO in t.havre("images").out
    assert t.havre("ps", "-aq").out == ""


def test_run_options_reach_the_program(t):
    """Limits of privilege show in what the program sees."""
    r = t.havre("run", "--rm", "--read-only", "--user", "1000:1001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                "--hostname", "ship", HELLO)
    for part in ("user 1000, group 1001", "read-only", "Capabilities   none", "impossible", "ship"):
        assert part in r.out, r


def test_run_exit_statuses(t):
    """125: havre failed; 126: not executable; 127: not found; otherwise the program's own; 128 + n: killed by signal n."""
    image = t.busybox_image()
    for args, rc in ((["true"], 0), (["sh", "-c", "exit 42"], 42), (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137), (["/nonexistent"], 127),
                     (["nonexistent"], 127), (["/etc"], 126)):
        r = t.havre("run", "--rm", image, *args, check=False)
        assert r.rc == rc, r
    r = t.havre("run", "--rm", "--pull", "never", "no/such:image", check=False)
    assert r.rc == 125 and "no/such:image" in r.err, r
    r = t.havre("run", "--rm", "--cap-add", "NONSENSE", image, "true", check=False)
    assert r.rc == 125 and "NONSENSE" in r.err, r
    assert t.havre("ps", "-aq").out == ""


# -- streams and signals -------------------------------------------------------------------------------------------


def test_streams(t):
    """stdout and stderr stay apart; -i passes stdin on and its end; without -i there is none."""
    image = t.busybox_image()
    r = t.havre("run", "--rm", image, "sh", "-c", "echo out; echo err >&2")
    assert (r.out, r.err) == ("out\n", "err\n"), r
    data = "".join(f"line {i}\n" for i in range(20000))
    r = t.havre("run", "--rm", "-i", image, "cat", input=data)
    assert r.out == data
    assert t.havre("run", "--rm", image, "cat", input="lost").out == ""
    r = t.havre("run", "--rm", "-t", "-i", image, "true", input="x", check=False)
    assert r.rc == 125 and "not a TTY" in r.err, r


def test_signals_are_forwarded(t):
    """SIGTERM to the client reaches the program, whose status the client ends with."""
    image = t.busybox_image()
    p = t.start(t.havre_args("run", "--rm", image, "sh", "-c", "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done"),
                stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGTERM)
    assert p.stdout.readline() == "got it\n"
    assert p.wait(20) == 7


def test_terminal(t):
    """-it gives the program a terminal with our size, passes resizing on, and leaves ours as it was."""
    image = t.busybox_image()
    term = t.terminal(t.havre_args("run", "--rm", "-it", image, "sh"), rows=33, columns=91)
    term.expect(r"# ")
    term.send("stty size\n")
    term.expect(r"33 91")
    term.resize(44, 101)
    term.send("until stty size | grep 44; do sleep 0.1; done\n")
    term.expect(r"44 101")
    term.send("exit 5\n")
    assert term.wait() == 5
    import termios
    assert termios.tcgetattr(term.master)[3] & termios.ECHO, "the terminal was left raw"


def test_detach_and_attach(t):
    """ctrl-p ctrl-q leaves the container running; attach comes back; the status is the program's."""
    image = t.busybox_image()
    term = t.terminal(t.havre_args("run", "-it", "--name", "ship", image, "sh"))
    term.expect(r"# ")
    term.send("\x10\x11")
    assert term.wait() == 0
    assert t.havre("inspect", "-f", "{{.State.Status}}", "ship").out == "running\n"
    back = t.terminal(t.havre_args("attach", "ship"))

    def answers():  # nothing is printed for who has only just come
        back.send("echo $((40 + 2))\n")
        back.read(0.3)
        return "42" in back.output
    t.wait_for(answers)
    back.send("exit 3\n")
    assert back.wait() == 3
    t.havre("rm", "ship")


# -- what is printed -------------------------------------------------------------------------------------------------


def test_ps_formats(t):
    """ps: docker's columns, templates, tables, json, filters, -q, --no-trunc."""
    image = t.busybox_image()
    long_id = t.havre("create", "--name", "one", "-l", "ship=yes", image, "sleep", "1000000").out.strip()
    t.havre("create", "--name", "two", image, "true")
    lines = t.havre("ps", "-a").out.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip()) == ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"], lines
    assert len(lines) == 3 and lines[1].endswith("two") and '"sleep 1000000"' in lines[2], lines
    assert t.havre("ps").out.count("\n") == 1
    assert t.havre("ps", "-aq", "--no-trunc", "--filter", "name=one").out.strip() == long_id
    assert t.havre("ps", "-aq", "--filter", "label=ship").out.strip() == long_id[:12]
    assert t.havre("ps", "-a", "--format", "{{.Names}} {{.State}} {{.Label \"ship\"}}").out == "two created \none created yes\n"
    assert t.havre("ps", "-a", "--format", "table {{.Names}}\\t{{.Image}}").out.splitlines()[0].split() == ["NAMES", "IMAGE"]
    rows = [json.loads(x) for x in t.havre("ps", "-a", "--format", "json").out.splitlines()]
    assert [r["Names"] for r in rows] == ["two", "one"] and rows[1]["Labels"] == "ship=yes"
    r = t.havre("ps", "--format", "{{.Nonsense}}", "-a", check=False)
    assert r.rc == 1 and "Nonsense" in r.err and ".Names" in r.err, r


def test_inspect(t):
    """inspect: an array of what was found, status 1 with an error for what was not; templates; both kinds of objects."""
    image = t.busybox_image()
    t.havre("create", "--name", "one", "-e", "A=b", image, "true")
    found = json.loads(t.havre("inspect", "one", image).out)
    assert found[0]["Name"] == "/one" and "A=b" in found[0]["Config"]["Env"] and found[1]["RootFS"]["Type"] == "layers", found
    r = t.havre("inspect", "one", "nothing", check=False)
    assert r.rc == 1 and len(json.loads(r.out)) == 1 and "no such container, image, network or volume: nothing" in r.err, r
    r = t.havre("inspect", "nothing", check=False)
    assert r.rc == 1 and json.loads(r.out) == [], r
    assert t.havre("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", "one").out.startswith("A=b\n") or "A=b\n" in \
        t.havre("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", "one").out
    assert t.havre("image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", image).out.startswith("linux/")
    assert t.havre("inspect", "--type", "image", "one", check=False).rc == 1


def test_images_and_tags(t):
    """images, tag, rmi: docker's columns, formats and words."""
    image = t.busybox_image()
    lines = t.havre("images").out.splitlines()
    assert re.split(r"\s{2,}", lines[0].strip()) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], lines
    t.havre("tag", image, "localhost:5000/other:1.2")
    assert "localhost:5000/other" in t.havre("images").out
    assert t.havre("images", "--format", "{{.Repository}}:{{.Tag}}", "localhost:5000/other").out == "localhost:5000/other:1.2\n"
    assert t.havre("rmi", "localhost:5000/other:1.2").out.startswith("Untagged: localhost:5000/other:1.2")
    r = t.havre("rmi", "not/here", check=False)
    assert r.rc == 1 and "not/here" in r.err, r


def test_several_objects(t):
    """A command with several containers does all it can, prints those, reports the others, and ends with 1."""
    image = t.busybox_image()
    for name in ("one", "two"):
        t.havre("create", "--name", name, image, "true")
    r = t.havre("rm", "one", "nothing", "two", check=False)
    assert r.rc == 1 and r.out == "one\ntwo\n" and "havre: rm: " in r.err and "nothing" in r.err, r
    assert t.havre("rm", "-f", "nothing").rc == 0


def test_cidfile_and_environment(t):
    """--cidfile holds the id and must not exist; --env-file, NAME pass-through and labels arrive."""
    image = t.busybox_image()
    cid, env, labels = t.tmp / "cid", t.tmp / "env", t.tmp / "labels"
    env.write_text("# comment\nFROM_FILE=a b\nHOST\n")
    labels.write_text("file.label=1\n")
    r = t.havre("run", "--cidfile", cid, "--env-file", env, "-e", "PASSED", "-e", "SET=x=y", "--label-file", labels, "--name", "one", image,
                "env", env={"PASSED": "on", "HOST": "h"})
    for line in ("FROM_FILE=a b", "HOST=h", "PASSED=on", "SET=x=y"):
        assert line in r.out.splitlines(), r
    assert cid.read_text() == t.havre("inspect", "-f", "{{.Id}}", "one").out.strip()
    assert t.havre("inspect", "-f", '{{index .Config.Labels "file.label"}}', "one").out == "1\n"
    r = t.havre("run", "--cidfile", cid, image, "true", check=False)
    assert r.rc == 125 and str(cid) in r.err, r


def test_save_load_import(t):
    """save to a file and to a pipe give the same bytes; load and import read them; a terminal or half a file is refused."""
    image = t.busybox_image()
    one, two = t.tmp / "one.tar", t.tmp / "two.tar"
    t.havre("save", "-o", one, image)
    with open(two, "wb") as f:
        t.run(t.havre_args("save", image), stdout=f)
    assert one.read_bytes() == two.read_bytes()
    t.havre("rmi", image)
    assert "Loaded image: " in t.havre("load", "-q", "-i", one).out
    two.write_bytes(one.read_bytes()[:5000])
    r = t.havre("load", "-i", two, check=False)
    assert r.rc == 1 and "cannot load" in r.err, r
    rootfs = t.tmp / "rootfs.tar"
    t.run(["tar", "-C", t.busybox_rootfs(), "-cf", rootfs, "."])
    assert t.havre("import", "-c", 'CMD ["echo", "imported"]', rootfs, "imported:1").out.startswith("sha256:")
    assert t.havre("run", "--rm", "imported:1").out == "imported\n"


def test_version_and_info(t):
    """version and info print text, templates and json."""
    assert "Version:" in t.havre("version").out
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", t.havre("version", "-f", "{{.Server.Version}}").out)
    info = json.loads(t.havre("info", "--format", "json").out)
    assert info["Containers"] == 0 and "Kernel Version" in t.havre("info").out
    assert t.havre("system", "info", "-f", "{{.Containers}}").out == "0\n"


def test_docker_host_flag_is_explained(t):
    """-H and --context, which scripts may pass to docker, are refused with the reason."""
    r = t.run([t.bin / "havre", "-H", "unix:///x", "ps"], check=False)
    assert r.rc == 125 and "needs no daemon" in r.err, r
