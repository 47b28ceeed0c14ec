/* SPDX-License-Identifier: Apache-2.0 */
/* clone3(2), which the C library does not wrap. Returns 0 in the child, which goes on with a copy of the caller's stack; -1 with
 * errno on failure. */
#ifndef RUNTIME_CLONE3_H
#define RUNTIME_CLONE3_H

#include <errno.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __sparc__
#ifndef SYS_clone3
#define SYS_clone3 435 /* kernels before 7.0 answer ENOSYS */
#endif
/* On SPARC a call that makes a process gives both sides a pid, and tells the child by the second result register: syscall(3) does
 * not know that. An error is told by the carry flag. */
static inline long clone3(struct clone_args *args)
{
	register long number __asm__("g1") = SYS_clone3;
	register long first __asm__("o0") = (long)args;
	register long second __asm__("o1") = (long)sizeof(*args);
	long failed;

	__asm__ volatile("ta 0x6d\n\t"
			 "mov 0, %2\n\t"
			 "movcs %%xcc, 1, %2"
			 : "+r"(first), "+r"(second), "=&r"(failed)
			 : "r"(number)
			 : "memory", "cc", "o2", "o3", "o4", "o5", "o7", "g2", "g3", "g4", "g5");
	if (failed) {
		errno = (int)first;
		return -1;
	}
	return second ? 0 : first;
}
#else
static inline long clone3(struct clone_args *args)
{
	return syscall(SYS_clone3, args, sizeof(*args));
}
#endif

#endif
