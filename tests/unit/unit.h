/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests: TEST(name) { … CHECK(…); } … UNIT_MAIN. Prints TAP; each test runs in its own forked process, so that a
 * crash is one failure and nothing leaks from one test into the next. SKIP("why") ends a test as skipped. */
#ifndef UNIT_H
#define UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct unit_test {
	const char *name;
	void (*run)(void);
	struct unit_test *next;
};
static struct unit_test *unit_tests, **unit_tail = &unit_tests;

#define UNIT_SKIP_STATUS 77

#define TEST(id)                                                          \
	static void test_##id(void);                                      \
	__attribute__((constructor)) static void unit_register_##id(void) \
	{                                                                 \
		static struct unit_test t = {#id, test_##id, NULL};       \
		*unit_tail = &t;                                          \
		unit_tail = &t.next;                                      \
	}                                                                 \
	static void test_##id(void)

#define CHECK(cond)                                                                       \
	do {                                                                              \
		if (!(cond)) {                                                            \
			printf("# %s:%d: check failed: %s\n", __FILE__, __LINE__, #cond); \
			fflush(stdout);                                                   \
			_exit(1);                                                         \
		}                                                                         \
	} while (0)
#define CHECK_STR(got, want)                                                                         \
	do {                                                                                         \
		const char *got_ = (got), *want_ = (want);                                           \
		if (!got_ || strcmp(got_, want_) != 0) {                                             \
			printf("# %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #got, \
			       got_ ? got_ : "(null)", want_);                                       \
			fflush(stdout);                                                              \
			_exit(1);                                                                    \
		}                                                                                    \
	} while (0)
/* For expressions of type struct err *: needs base/error.h. */
#define CHECK_OK(expr)                                                                 \
	do {                                                                           \
		struct err *e_ = (expr);                                               \
		if (e_) {                                                              \
			char *text_ = err_text(e_);                                    \
			printf("# %s:%d: %s: %s\n", __FILE__, __LINE__, #expr, text_); \
			fflush(stdout);                                                \
			_exit(1);                                                      \
		}                                                                      \
	} while (0)
#define CHECK_ERR(expr, want_kind)                                                                          \
	do {                                                                                                \
		struct err *e_ = (expr);                                                                    \
		if (!e_ || e_->kind != (want_kind)) {                                                       \
			char *text_ = e_ ? err_text(e_) : NULL;                                             \
			printf("# %s:%d: %s: expected %s, got %s\n", __FILE__, __LINE__, #expr, #want_kind, \
			       e_ ? text_ : "success");                                                     \
			fflush(stdout);                                                                     \
			_exit(1);                                                                           \
		}                                                                                           \
		err_free(e_);                                                                               \
	} while (0)
#define SKIP(why)                                 \
	do {                                      \
		printf("# skipped: %s\n", (why)); \
		fflush(stdout);                   \
		_exit(UNIT_SKIP_STATUS);          \
	} while (0)
/* qemu-user lacks some system calls (openat2, seccomp) and makes a fork of vfork. */
#define SKIP_EMULATED(why)                                     \
	do {                                                   \
		if (getenv("HAVRE_TEST_EMULATED"))             \
			SKIP("not in qemu's user mode: " why); \
	} while (0)

static int unit_run_all(void)
{
	int n = 0, failed = 0;

	for (struct unit_test *t = unit_tests; t; t = t->next)
		n++;
	printf("1..%d\n", n);
	n = 0;
	for (struct unit_test *t = unit_tests; t; t = t->next) {
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			t->run();
			fflush(stdout);
			exit(0); /* exit, not _exit: the leak checker runs at exit */
		}
		int status = 0;
		waitpid(pid, &status, 0);
		n++;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			printf("ok %d - %s\n", n, t->name);
		} else if (WIFEXITED(status) && WEXITSTATUS(status) == UNIT_SKIP_STATUS) {
			printf("ok %d - %s # SKIP see above\n", n, t->name);
		} else {
			printf("not ok %d - %s\n", n, t->name);
			failed++;
		}
	}
	return failed != 0;
}

#define UNIT_MAIN                      \
	int main(void)                 \
	{                              \
		return unit_run_all(); \
	}

#endif
