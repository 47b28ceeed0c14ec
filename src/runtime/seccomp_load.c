/* SPDX-License-Identifier: Apache-2.0 */
/* A filter whose rules ask an agent may ask about the very call that would send the agent its fd, or refuse it. So a second thread,
 * which has no filter, sends it; the first one makes no call between the two but looks at memory until that is done. */
#include "seccomp_load.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "sync.h"

#define STACK_SIZE (64u * 1024)
#define FD_NONE (-1)   /* not yet */
#define FD_FAILED (-2) /* there will be none */

struct handover {
	int sync;
	atomic_int fd;
	struct err *e;
	atomic_bool done;
};

static int send_listener(void *argument)
{
	struct handover *h = argument;
	int fd;

	while ((fd = atomic_load(&h->fd)) == FD_NONE)
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	if (fd >= 0)
		h->e = sync_send_fd(h->sync, SYNC_LISTENER, fd);
	atomic_store(&h->done, true);
	return 0; /* ends this thread alone: clone(3) */
}

struct err *seccomp_load(const struct rt_seccomp *filter, int sync)
{
	static struct handover h;
	int listener = -1;

	if (!filter->notify)
		return rt_seccomp_load(filter, &listener);
	h = (struct handover){.sync = sync, .fd = FD_NONE};
	/* Left to execve: the thread may still be ending on it when we have gone on. */
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		return err_errno(errno, "linux.seccomp: cannot allocate a stack");
	if (clone(send_listener, stack + STACK_SIZE,
		  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, &h) < 0)
		return err_errno(errno, "linux.seccomp: cannot make a thread");
	struct err *e = rt_seccomp_load(filter, &listener);
	atomic_store(&h.fd, e ? FD_FAILED : listener);
	while (!atomic_load(&h.done))
		;
	/* The listener is closed by execve: close(2) may be a call that the agent is asked about. */
	return e ? e : h.e;
}
