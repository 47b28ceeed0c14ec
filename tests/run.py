#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests: unit test programs and fuzz replays (TAP, found through Meson), Python tests, the virtual machine.

    tests/run.py [--suite unit,fuzz,house,integration,vm] [-k PATTERN] [--list] [-j N] [--build DIR] [--asan DIR]

One line per test; the output of a test is shown when it fails. The last line is "N passed, N failed, N skipped".
"""

import argparse
import fcntl
import fnmatch
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "tests"))
sys.dont_write_bytecode = True

from lib import system  # noqa: E402
from lib.case import EXIT_SKIP, SLOWNESS, Case, run_function  # noqa: E402
from lib.keeper import run_kept  # noqa: E402

SUITES = ("unit", "fuzz", "house", "integration", "vm")
DEFAULT_TIMEOUT_S = 120
IN_VM = "HAVRE_TEST_SLOWNESS" in os.environ
VM_TIMEOUT_MAX_S = 600  # a guard against hangs only, below the machine's own limit, so that a test that hangs is named
SECOND_TRIES_MAX = 12  # more failures are no accident
OUTPUT_LIMIT = 20000  # characters of a failing test's output that are shown


class Job:
    """One process tree to run: a Python function is one test, a TAP program is as many as it says."""

    def __init__(self, name, suite, timeout_s=DEFAULT_TIMEOUT_S, alone=False):
        self.name, self.suite, self.timeout_s, self.alone = name, suite, timeout_s, alone
        self.what = ""
        self.check_left = False

    def finish(self, case_dir, log, result):
        raise NotImplementedError

    def again(self, _failed):
        """The job for a second try of the tests that failed, or None."""
        return self


class FunctionJob(Job):
    def __init__(self, name, suite, function, build, sanitized):
        scale = SLOWNESS * (3 if sanitized else 1)
        limit = getattr(function, "timeout", DEFAULT_TIMEOUT_S) * scale
        super().__init__(name, suite, min(limit, VM_TIMEOUT_MAX_S) if IN_VM else limit, getattr(function, "alone", False))
        self.function, self.build, self.sanitized = function, build, sanitized
        self.what = (function.__doc__ or "").strip().splitlines()[0] if function.__doc__ else ""
        self.check_left = True

    def body(self, case_dir, shared):
        case = Case(self.name, case_dir, shared, SOURCE, self.build, self.sanitized, self.timeout_s)
        return run_function(case, self.function)

    def finish(self, case_dir, log, result):
        if result["left"]:
            return [(self.name, "FAIL", log + "".join(f"left behind: {x}\n" for x in result["left"]))]
        if result["timed_out"]:
            return [(self.name, "FAIL", log + f"timed out after {self.timeout_s} s\n")]
        if result["status"] == EXIT_SKIP:
            reason = (case_dir / "skip").read_text() if (case_dir / "skip").exists() else "?"
            return [(self.name, "skip", reason)]
        if result["status"] == 0:
            return [(self.name, "ok", "")]
        if result["status"] < 0:
            log += f"the test process ended by signal {-result['status']}\n"
        return [(self.name, "FAIL", log)]


class TapJob(Job):
    """again_by_pattern: the command takes a further argument, a regular expression of the tests to run."""

    def __init__(self, name, suite, command, env=None, cwd=None, timeout_s=DEFAULT_TIMEOUT_S, again_by_pattern=False):
        super().__init__(name, suite, timeout_s)
        self.command, self.env, self.cwd, self.again_by_pattern = command, env or {}, cwd, again_by_pattern

    def again(self, failed):
        if not self.again_by_pattern:
            return self
        names = [n.removeprefix(f"{self.name}: ") for n in failed if n != self.name]
        if not names or len(names) > SECOND_TRIES_MAX:
            return None
        pattern = "^integration: (" + "|".join(map(re.escape, names)) + ")$"
        return TapJob(self.name, self.suite, [*self.command, pattern], self.env, self.cwd, self.timeout_s)

    def body(self, case_dir, shared):
        tmp = case_dir / "tmp"
        tmp.mkdir()
        os.environ.update(self.env)
        os.environ["TMPDIR"] = str(tmp)
        os.environ["HAVRE_TEST_SHARED"] = str(shared)
        os.chdir(self.cwd or tmp)
        os.execv(self.command[0], self.command)

    def finish(self, case_dir, log, result):
        out, notes, planned, seen = [], "", None, 0
        for line in log.splitlines():
            plan = re.fullmatch(r"1\.\.(\d+)(?:\s*# SKIP (.*))?", line)
            test = re.fullmatch(r"(ok|not ok)\b\s*(\d+)?(?: - )?\s*([^#]*?)(?:\s*# (SKIP|TODO)\s*(.*))?", line)
            if plan:
                planned = int(plan.group(1))
                if planned == 0:
                    out.append((self.name, "skip", plan.group(2) or "no tests"))
            elif test:
                seen += 1
                name = f"{self.name}: {test.group(3) or test.group(2) or seen}"
                if test.group(4) == "SKIP":
                    skipped = re.findall(r"# skipped: (.*)", notes)
                    reason = test.group(5) if test.group(5) and test.group(5) != "see above" else (skipped[-1] if skipped else "?")
                    out.append((name, "skip", reason))
                else:
                    out.append((name, "ok" if test.group(1) == "ok" else "FAIL", notes))
                notes = ""
            else:
                notes += line + "\n"
        failed = any(state == "FAIL" for _, state, _ in out)
        if result["timed_out"]:
            out.append((self.name, "FAIL", notes + f"timed out after {self.timeout_s} s with {seen} of {planned} tests done\n"))
        elif planned is None or seen < planned:
            out.append((self.name, "FAIL", notes + f"ended with status {result['status']} after {seen} of {planned} tests\n"))
        elif result["status"] != 0 and not failed:
            out.append((self.name, "FAIL", notes + f"every test passed but the program ended with status {result['status']}\n"))
        return out


class BrokenJob(Job):
    """A test file that cannot be loaded."""

    def __init__(self, name, suite, text):
        super().__init__(name, suite)
        self.text = text

    def body(self, case_dir, shared):
        print(self.text)
        return 1

    def finish(self, case_dir, log, result):
        return [(self.name, "FAIL", log)]


class AbsentJob(Job):
    """Tests that cannot be run here, for a reason that is shown."""

    def __init__(self, name, reason):
        super().__init__(name, "unit")
        self.reason = reason

    def body(self, case_dir, shared):
        return 0

    def finish(self, case_dir, log, result):
        return [(self.name, "skip", self.reason)]


# -- finding tests ----------------------------------------------------------------------------------------------

def meson_jobs(build, suites, prefix, sanitized, emulator=()):
    """Unit tests and fuzz replays, from what Meson knows about the build directory."""
    path = build / "meson-info" / "intro-tests.json"
    if not path.exists():
        sys.exit(f"tests/run.py: {build} is not a build directory: run ./dev build first")
    for test in json.loads(path.read_text()):
        suite = next((s.split(":")[-1] for s in test["suite"] if s.split(":")[-1] in SUITES), None)
        if suite not in suites:
            continue
        env = dict(test.get("env") or {})
        if sanitized:
            env.setdefault("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1")
            env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        if emulator:
            env["HAVRE_TEST_EMULATED"] = "1"
        yield TapJob(f"{prefix}{suite}: {test['name']}", suite, [*emulator, *test["cmd"]], env, test.get("workdir"),
                     max(DEFAULT_TIMEOUT_S, int(test.get("timeout") or 0)) * (3 if sanitized else 1))


def python_jobs(directory, suite, build, prefix="", sanitized=False, files=None):
    where = SOURCE / "tests" / directory
    if str(where) not in sys.path:
        sys.path.insert(0, str(where))  # fixtures beside the tests
    for path in sorted(where.glob("test_*.py")):
        area = path.stem[len("test_"):]
        if files and not any(fnmatch.fnmatch(area, f) for f in files):
            continue
        try:
            spec = importlib.util.spec_from_file_location(f"{directory}_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        except BaseException:
            yield BrokenJob(f"{prefix}{suite}: {area}", suite, traceback.format_exc())
            continue
        for name, function in list(vars(module).items()):
            if not (name.startswith("test_") and callable(function)) or getattr(function, "__module__", None) != spec.name:
                continue
            if sanitized and not getattr(function, "asan", getattr(module, "ASAN", True)):
                continue
            if IN_VM and not getattr(function, "vm", getattr(module, "VM", True)):
                continue
            yield FunctionJob(f"{prefix}{suite}: {area}.{name[len('test_'):]}", suite, function, build, sanitized)


def vm_jobs(build):
    script = SOURCE / "tests" / "vm" / "run_in_vm.py"
    if script.exists():
        for name, options in (("vm", []), ("vm systemd", ["--systemd"])):
            yield TapJob(name, "vm", [sys.executable, str(script), *options, str(build)], timeout_s=2000, again_by_pattern=True)


def find_jobs(options):
    jobs = []
    suites = options.suite
    if {"unit", "fuzz"} & set(suites):
        jobs += meson_jobs(options.build, suites, "", False)
    for directory in options.cross:
        emulator = (directory / "emulator").read_text().split()
        program = shutil.which(emulator[0])
        if "unit" in suites and program:
            jobs += meson_jobs(directory, ["unit"], directory.name + " ", False, [program, *emulator[1:]])
        elif "unit" in suites:
            jobs.append(AbsentJob(f"{directory.name} unit", f"{emulator[0]} is not installed"))
    jobs += [AbsentJob(*absent.split("=", 1)) for absent in options.absent if "unit" in suites]
    if "house" in suites:
        jobs += python_jobs("house", "house", options.build)
    if "integration" in suites:
        jobs += python_jobs("integration", "integration", options.build, files=options.area)
    if "vm" in suites:
        jobs += vm_jobs(options.build)
    if options.asan:
        jobs += meson_jobs(options.asan, [s for s in suites if s in ("unit", "fuzz")], "asan ", True)
        if "integration" in suites:
            jobs += python_jobs("integration", "integration", options.asan, "asan ", True, options.area)
    if options.pattern:
        jobs = [j for j in jobs if re.search(options.pattern, j.name)]
    return jobs


# -- running ----------------------------------------------------------------------------------------------------

class Runner:
    def __init__(self, options):
        self.options = options
        self.running = {}  # pidfd -> (pid, job, case_dir, started)
        self.results = []  # (name, state, text)
        self.failed = []  # (job, names of its tests that failed)
        self.seconds = []  # (seconds, job name)
        self.unsteady = []  # names of tests that passed on their second try only
        self.number = 0
        self.interrupted = False
        self.times_path = options.build / "test-times.json"
        try:
            self.times = json.loads(self.times_path.read_text())
        except (OSError, ValueError):
            self.times = {}

    def make_base(self):
        """A directory on a real file system: overlayfs takes no tmpfs or overlay as its upper directory everywhere. A short
        path, for the sake of unix sockets. Locked while we live, so that the next run can remove what a killed one left."""
        parent = Path("/var/tmp") if os.access("/var/tmp", os.W_OK) else self.options.build
        for old in parent.glob("havre-test.*"):
            try:
                with open(old / "lock") as f:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    system.remove_tree(old)
            except OSError:
                continue
        self.base = Path(tempfile.mkdtemp(prefix="havre-test.", dir=parent))
        self.base.chmod(0o755)
        self.lock = open(self.base / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.shared = self.base / "shared"
        self.shared.mkdir()

    def start(self, job):
        self.number += 1
        case_dir = self.base / f"{self.number:03d}"
        case_dir.mkdir()
        sys.stdout.flush()
        pid = run_kept(case_dir, case_dir / "log", job.timeout_s, job.check_left, lambda: job.body(case_dir, self.shared))
        self.running[os.pidfd_open(pid)] = (pid, job, case_dir, time.monotonic())

    def collect(self, pidfd):
        pid, job, case_dir, started = self.running.pop(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        log_path = case_dir / "log"
        log = log_path.read_text(errors="replace") if log_path.exists() else ""
        try:
            result = json.loads((case_dir / "result.json").read_text())
            outcome = job.finish(case_dir, log, result)
        except (OSError, ValueError):
            outcome = [(job.name, "FAIL", log + "the keeper of this test died\n")]
        seconds = time.monotonic() - started
        self.seconds.append((seconds, job.name))
        self.times[job.name] = round(seconds, 2)
        failed = [name for name, state, _ in outcome if state == "FAIL"]
        if failed:
            self.failed.append((job, failed))
        for name, state, text in outcome:
            self.results.append((name, state, text))
            self.report(name, state, text, seconds if len(outcome) == 1 else None)
        system.remove_tree(case_dir)

    def report_tap(self, name, state, text):
        name = re.sub("^integration: ", "", name).replace("#", " ")
        if state == "skip":
            print(f"ok {len(self.results)} - {name} # SKIP {text}", flush=True)
            return
        if state == "FAIL":
            print("".join(f"# {line}\n" for line in text[-OUTPUT_LIMIT:].splitlines()), end="")
        print(f"{'ok' if state == 'ok' else 'not ok'} {len(self.results)} - {name}", flush=True)

    def report(self, name, state, text, seconds):
        if self.options.tap:
            self.report_tap(name, state, text)
            return
        took = f"  ({seconds:.2f} s)" if seconds is not None else ""
        if state == "skip":
            print(f"skip  {name}: {text}", flush=True)
        elif state == "ok":
            if not self.options.quiet:
                print(f"ok    {name}{took}", flush=True)
        else:
            print(f"FAIL  {name}{took}")
            if len(text) > OUTPUT_LIMIT:
                text = text[:OUTPUT_LIMIT // 4] + "\n  […]\n" + text[-OUTPUT_LIMIT * 3 // 4:]
            print("".join(f"      | {line}\n" for line in text.splitlines()), end="", flush=True)

    def wait(self):
        poll = select.poll()
        for pidfd in self.running:
            poll.register(pidfd, select.POLLIN)
        for pidfd, _ in poll.poll():
            self.collect(pidfd)

    def stop(self, *_):
        self.interrupted = True
        for pid, *_ in self.running.values():
            os.kill(pid, signal.SIGTERM)

    def run(self, jobs):
        self.make_base()
        groups_before = system.cgroup_directories()
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGTERM, self.stop)
        # The longest first, as far as known; those that measure time go last, one at a time.
        together = sorted((j for j in jobs if not j.alone), key=lambda j: -self.times.get(j.name, 300 if j.suite == "vm" else 1))
        alone = [j for j in jobs if j.alone]
        try:
            while (together or self.running) and not (self.interrupted and not self.running):
                while together and len(self.running) < self.options.jobs and not self.interrupted:
                    self.start(together.pop(0))
                self.wait()
            for job in alone:
                if not self.interrupted:
                    self.start(job)
                    self.wait()
            self.try_again()
            if any(j.check_left for j in jobs):
                self.check_cgroups(groups_before)
        finally:
            system.remove_tree(self.base)
        try:
            self.times_path.write_text(json.dumps(self.times, indent=0))
        except OSError:
            pass

    def try_again(self):
        """What failed is tried once more, by itself on a machine that is quiet now. What passes then was disturbed: it counts as
        passed and is listed as unsteady, with the first failure's output above. More than a few failures are not tried again."""
        failed, self.failed = self.failed, []
        if self.options.tap or sum(len(names) for _, names in failed) > SECOND_TRIES_MAX:
            return
        for job, names in failed:
            second = None if self.interrupted else job.again(names)
            if second is None:
                continue
            print(f"again {job.name}", flush=True)
            earlier, self.results = self.results, []
            self.start(second)
            self.wait()
            passed = {name for name, state, _ in self.results if state == "ok"} & set(names)
            self.results = [(name, "ok" if name in passed else state, text) for name, state, text in earlier]
            self.unsteady += sorted(passed)

    def check_cgroups(self, before):
        """Cgroups of ours that are there now and were not before the run. On a machine where somebody else uses havre at the
        same time they may be his: a failure in CI only. The empty parent of all containers' groups stays by design (cgroup.c);
        where the run made it, the run removes it."""
        def left():
            return sorted(d for d in system.cgroup_directories() - before - set(system.cgroup_parents())
                          if "havre" in d and not system.cgroup_processes(d))
        end = time.monotonic() + 3
        while left() and time.monotonic() < end:
            time.sleep(0.1)
        for parent in system.cgroup_parents():
            if parent not in before:
                system.remove_if_empty(parent)
        found = left()
        if found:
            text = "".join(f"cgroup {d}\n" for d in found)
            if os.environ.get("CI"):
                self.results.append(("house: cgroups left behind by the whole run", "FAIL", text))
                self.report(*self.results[-1], None)
            elif not self.options.tap:
                print(f"note: cgroups that appeared during the run and are empty:\n{text}", end="")


def main():
    parser = argparse.ArgumentParser(prog="tests/run.py", description="Runs the tests.", allow_abbrev=False)
    parser.add_argument("--suite", default=",".join(SUITES), help="comma-separated: " + ", ".join(SUITES))
    parser.add_argument("-k", dest="pattern", help="only tests whose name matches this regular expression")
    parser.add_argument("--area", help="only these integration files, comma-separated: runtime*,run for test_runtime*.py and test_run.py")
    parser.add_argument("--tap", action="store_true", help="print TAP (as the virtual machine does)")
    parser.add_argument("--list", action="store_true", help="print the tests instead of running them")
    parser.add_argument("-j", dest="jobs", type=int, default=max(4, (os.cpu_count() or 1) + 2), help="processes at a time")
    parser.add_argument("--build", type=Path, default=SOURCE / "build", help="build directory (default: build)")
    parser.add_argument("--asan", type=Path, help="a sanitized build directory, tested in addition")
    parser.add_argument("--cross", type=Path, action="append", default=[], help="a build directory of another architecture (./dev cross): "
                        "its unit tests in addition, in an emulator")
    parser.add_argument("--absent", action="append", default=[], metavar="NAME=REASON", help="a line for tests that were left out")
    parser.add_argument("--quiet", "-q", action="store_true", help="no line for tests that pass")
    parser.add_argument("--repeat", type=int, default=1, help="run everything this often (to find flaky tests)")
    options = parser.parse_args()
    options.suite = options.suite.split(",")
    for suite in options.suite:
        if suite not in SUITES:
            parser.error(f"unknown suite {suite!r}: the suites are {', '.join(SUITES)}")
    options.area = options.area.split(",") if options.area else None
    options.build = options.build.resolve()
    options.asan = options.asan.resolve() if options.asan else None
    os.umask(0o022)

    jobs = find_jobs(options)
    if options.list:
        for job in jobs:
            print(f"{job.name}" + (f"  – {job.what}" if job.what else ""))
        return 0
    began = time.monotonic()
    runner = Runner(options)
    runner.run(jobs * options.repeat)

    if options.tap:
        print("".join(f"# {seconds:.1f} s {name}\n" for seconds, name in sorted(runner.seconds, reverse=True)), end="")
        print(f"1..{len(runner.results)}", flush=True)
        return 0
    count = {state: sum(1 for _, s, _ in runner.results if s == state) for state in ("ok", "FAIL", "skip")}
    print("\nslowest:")
    for seconds, name in sorted(runner.seconds, reverse=True)[:10]:
        print(f"  {seconds:7.2f} s  {name}")
    if runner.unsteady:
        print("\nunsteady, passed on the second try only:" + "".join(f"\n  {name}" for name in runner.unsteady))
    for title, state in (("skipped", "skip"), ("failed", "FAIL")):
        chosen = [(n, t) for n, s, t in runner.results if s == state]
        if chosen:
            print(f"\n{title}:")
            for name, text in chosen:
                print(f"  {name}" + (f": {text}" if state == "skip" else ""))
    took = time.monotonic() - began
    print(f"\ntook {int(took // 60)} min {took % 60:.0f} s" + (", interrupted" if runner.interrupted else ""))
    if not runner.results:
        print("no test matches")
    print(f"{count['ok']} passed, {count['FAIL']} failed, {count['skip']} skipped", flush=True)
    return 0 if count["FAIL"] == 0 and count["ok"] > 0 and not runner.interrupted else 1


if __name__ == "__main__":
    sys.exit(main())
