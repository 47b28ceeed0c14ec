/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_EXPECT_MAX ((size_t)120 * 1024)

static void _noreturn_ out_of_memory(void)
{
	static const char text[] = "havre: out of memory\n";

	/* Nothing that allocates may be called here. */
	ssize_t n _unused_ = write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(125);
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory();
	void *q = realloc(p, total ? total : 1);
	if (!q)
		out_of_memory();
	return q;
}

void *xmemdup(const void *p, size_t n)
{
	void *q = xmalloc(n);

	if (n)
		memcpy(q, p, n);
	return q;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *q = xmalloc(len + 1);

	memcpy(q, s, len);
	q[len] = '\0';
	return q;
}

char *xstrdup(const char *s)
{
	return xmemdup(s, strlen(s) + 1);
}

char *xstrdup_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		out_of_memory();
	return s;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *s = xvasprintf(fmt, ap);
	va_end(ap);
	return s;
}

static bool left;

void memory_leave(void)
{
#ifndef __SANITIZE_ADDRESS__
	left = true;
#endif
}

bool memory_left(void)
{
	return left;
}

static struct {
	const char *start, *end;
} code[2];
static int n_code;

static void populate(uintptr_t start, size_t size, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = start & ~(page - 1), to = (start + size + page - 1) & ~(page - 1);

	(void)madvise((void *)from, to - from, advice); /* old kernels refuse: then it is slower */
}

void memory_expect(size_t size)
{
	/* Not more: malloc would map a region of its own, and unmap it again. */
	size = size < MEMORY_EXPECT_MAX ? size : MEMORY_EXPECT_MAX;
	char *p = malloc(size);

	if (p)
		populate((uintptr_t)p, size, MADV_POPULATE_WRITE);
	free(p);
}

void memory_code_is(const char *start, const char *end)
{
	if (n_code < (int)ARRAY_SIZE(code)) {
		code[n_code].start = start;
		code[n_code++].end = end;
	}
}

void memory_map_code(void)
{
	for (int i = 0; i < n_code; i++)
		populate((uintptr_t)code[i].start, (size_t)(code[i].end - code[i].start), MADV_POPULATE_READ);
}
