# SPDX-License-Identifier: Apache-2.0
"""Seccomp on the real kernel: agents behind listenerPath, annotations, refusals, the default profile."""
import array
import base64
import fcntl
import json
import os
import select
import socket
import struct
import threading

VM = False  # nothing here depends on the kind of control groups, and an emulated processor is slow

NOTIF_RECV, NOTIF_SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
ALL_FLAGS = ["SECCOMP_FILTER_FLAG_" + f for f in ("TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV")]


class Agent:
    """Answers every call with an errno, or (0) lets it happen. What it was sent is in `message`, the calls' numbers in `numbers`."""

    def __init__(self, t, errno):
        self.path, self.errno, self.message, self.numbers = str(t.tmp / "agent.sock"), errno, None, set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.stopped, self.stop_writer = os.pipe()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        t.defer(self.stop)

    def stop(self):
        os.write(self.stop_writer, b"x")
        self.thread.join()

    def serve(self):
        fds = []
        while True:
            ready, _, _ = select.select([self.listener, self.stopped, *fds], [], [])
            if self.stopped in ready:
                return
            if self.listener in ready:
                fds.append(self.accept())
                continue
            for fd in ready:
                if not self.answer(fd):
                    fds.remove(fd)

    def accept(self):
        connection, _ = self.listener.accept()
        data, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * 4))
        self.message = json.loads(data)
        fds = array.array("i")
        for _, _, payload in control:
            fds.frombytes(payload)
        assert len(fds) == 1
        return fds[0]

    def answer(self, fd):
        notice = bytearray(80)
        try:
            fcntl.ioctl(fd, NOTIF_RECV, notice)
            ident, _, _, number = struct.unpack_from("=QIIi", notice)
            self.numbers.add(number)
            fcntl.ioctl(fd, NOTIF_SEND, struct.pack("=QqiI", ident, 0, -self.errno, 0 if self.errno else CONTINUE))
        except OSError:
            return os.close(fd)
        return True


def profile(*rules, **more):
    return {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}}


def rule(action, *names, **more):
    return {"names": list(names), "action": "SCMP_ACT_" + action, **more}


def test_agent(t):
    """The agent gets the state, the metadata and one fd, and its answer is what the program sees; with every flag."""
    agent = Agent(t, 39)
    seccomp = profile(rule("NOTIFY", "mkdir", "mkdirat"), listenerPath=agent.path, listenerMetadata="for=me", flags=ALL_FLAGS)
    name = t.id()
    ran = t.runtime("run", "-b", t.bundle({"linux": seccomp, "annotations": {"a": "b"}}, args=["mkdir", "/x"]), name, check=False)
    assert ran.rc == 1 and "not empty" in ran.err, ran
    got = agent.message
    assert got["fds"] == ["seccompFd"] and got["metadata"] == "for=me" and got["ociVersion"] and got["pid"] > 0
    assert got["state"]["id"] == name and got["state"]["annotations"]["a"] == "b" and got["state"]["pid"] == got["pid"]


def test_agent_by_annotation(t):
    """run.oci.seccomp.receiver names the agent when listenerPath does not."""
    agent = Agent(t, 39)
    bundle = t.bundle({"linux": profile(rule("NOTIFY", "mkdir", "mkdirat")), "annotations": {"run.oci.seccomp.receiver": agent.path}},
                      args=["mkdir", "/x"])
    assert "not empty" in t.runtime("run", "-b", bundle, t.id(), check=False).err


def test_agent_of_what_the_runtime_uses(t):
    """An agent that is asked about sendmsg, sendto and close can answer: the fd reached it without them."""
    for no_new_privileges in (True, False):
        agent = Agent(t, 0)
        seccomp = profile(rule("NOTIFY", "sendmsg", "sendto", "close", "setresuid", "mkdir", "mkdirat"), listenerPath=agent.path)
        bundle = t.bundle({"linux": seccomp, "process": {"noNewPrivileges": no_new_privileges}}, args=["mkdir", "/x"])
        t.runtime("run", "-b", bundle, t.id(), timeout=30)
        assert agent.numbers
        os.unlink(agent.path)


def test_sending_refused(t):
    """A profile may refuse every call that sends, with and without an agent."""
    for action in ("ERRNO", "KILL_PROCESS"):
        for extra in ((), (rule("NOTIFY", "mkdir", "mkdirat"),)):
            agent = Agent(t, 0)
            more = {"listenerPath": agent.path} if extra else {}
            seccomp = profile(rule(action, "sendmsg", "sendto", "sendmmsg"), *extra, **more)
            for no_new_privileges in (True, False):
                bundle = t.bundle({"linux": seccomp, "process": {"noNewPrivileges": no_new_privileges}}, args=["mkdir", "/x"])
                t.runtime("run", "-b", bundle, t.id(), timeout=30)
            os.unlink(agent.path)


def test_error_under_a_filter(t):
    """A program that is not there is reported through a filter that refuses sending."""
    for no_new_privileges in (True, False):
        seccomp = profile(rule("ERRNO", "sendmsg", "sendto", "sendmmsg"))
        bundle = t.bundle({"linux": seccomp, "process": {"noNewPrivileges": no_new_privileges}}, args=["/no/such"])
        ran = t.runtime("run", "-b", bundle, t.id(), check=False)
        assert ran.rc != 0 and "/no/such" in ran.err, ran


def test_no_agent(t):
    """An agent that is not there is an error that names it, and nothing is left running."""
    seccomp = profile(rule("NOTIFY", "mkdir"), listenerPath="/nonexistent/agent")
    ran = t.runtime("run", "-b", t.bundle({"linux": seccomp}), t.id(), check=False, timeout=30)
    assert ran.rc != 0 and "listenerPath" in ran.err, ran


def test_refused(t):
    """What cannot be is refused by name."""
    def refused(word, linux, **annotations):
        ran = t.runtime("run", "-b", t.bundle({"linux": linux, "annotations": annotations}), t.id(), check=False)
        assert ran.rc == 1 and word in ran.err, ran
    refused("write", profile(rule("NOTIFY", "write"), listenerPath="/x"))
    refused("listenerPath", profile(rule("NOTIFY", "mkdir")))
    refused("absolute", profile(rule("NOTIFY", "mkdir"), listenerPath="x"))
    refused("SCMP_ACT_FOO", profile(rule("FOO", "mkdir")))
    refused("SECCOMP_FILTER_FLAG_FOO", profile(flags=["SECCOMP_FILTER_FLAG_FOO"]))
    refused("SCMP_ARCH_FOO", profile(architectures=["SCMP_ARCH_FOO"]))
    refused("seccomp.plugins", profile(), **{"run.oci.seccomp.plugins": "/lib/x.so"})
    refused("no_such_call", profile(rule("ERRNO", "no_such_call")), **{"run.oci.seccomp_fail_unknown_syscall": "1"})
    refused("base64", profile(), **{"run.oci.seccomp_bpf_data": "*"})
    refused("instructions", profile(), **{"run.oci.seccomp_bpf_data": "AAAA"})
    t.runtime("run", "-b", t.bundle({"linux": profile(rule("ERRNO", "no_such_call"), architectures=["SCMP_ARCH_S390", "SCMP_ARCH_PARISC"])}),
              t.id())


def test_program_by_annotation(t):
    """run.oci.seccomp_bpf_data is the program itself."""
    program = struct.pack("=HBBIHBBIHBBIHBBIHBBI",
                          0x20, 0, 0, 0,  # load the call's number
                          0x15, 1, 0, 83,  # mkdir and mkdirat of x86-64
                          0x15, 0, 1, 258,
                          0x06, 0, 0, 0x00050000 | 39,
                          0x06, 0, 0, 0x7FFF0000)
    if os.uname().machine != "x86_64":
        t.skip("the program has numbers of x86-64")
    bundle = t.bundle({"linux": {"seccomp": None}, "annotations": {"run.oci.seccomp_bpf_data": base64.b64encode(program).decode()}},
                      args=["mkdir", "/x"])
    assert "not empty" in t.runtime("run", "-b", bundle, t.id(), check=False).err


PROBE = r"""
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
static void no_32_bit_calls(int signal)
{
	puts("none none");
	exit(0);
}
int main(void)
{
	signal(SIGSEGV, no_32_bit_calls);
	int families[] = {38, 40, 1};
	for (int i = 0; i < 3; i++)
		printf("%d ", socket(families[i], families[i] == 38 ? SOCK_SEQPACKET : SOCK_STREAM, 0) < 0 ? errno : 0);
#ifdef __x86_64__
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(359), "b"(38), "c"(5), "d"(0)); /* socket of the 32-bit table */
	printf("%d ", -result);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(102), "b"(1), "c"(0)); /* socketcall */
	printf("%d", -result);
#else
	no_32_bit_calls(0);
#endif
	return 0;
}
"""


def test_cve_2026_31431_af_alg(t):
    """The default profile refuses AF_ALG and AF_VSOCK, by every way into the kernel."""
    t.need("gcc")
    (t.tmp / "probe.c").write_text(PROBE)
    t.run(["gcc", "-static", "-o", t.tmp / "probe", t.tmp / "probe.c"])
    ran = t.havre("run", "--rm", "-v", f"{t.tmp}/probe:/probe:ro", t.busybox_image(), "/probe")
    got = ran.out.split()
    assert got[:3] == ["1", "1", "0"] and got[3:] in (["1", "38"], ["none", "none"]), ran
