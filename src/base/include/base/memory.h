/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that does not fail: every size that comes from input is capped before it gets here, and every
 * program of havre may be killed at any instruction (ARCHITECTURE.md, crash-only), so running out of memory
 * ends the process with a message on stderr and status 125 instead of an untested path through every caller.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed, overflow checked */
void *xrealloc(void *p, size_t n, size_t size)
	__attribute__((returns_nonnull)); /* n * size, overflow checked */
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrdup_null(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) _printf_(1, 2) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list ap) _printf_(1, 0) __attribute__((malloc, returns_nonnull));

/* For a program that ends soon: from now on the big objects (a JSON document, a parsed configuration) are left to the kernel, which
 * takes them in one go. After a fork every page that free() writes into would be copied first. Not under the address
 * sanitizer, which looks for leaks. */
void memory_leave(void);
bool memory_left(void);

/* Page faults in one call (Linux 5.14; elsewhere they come one by one): the next `size` bytes that are allocated; and the program
 * between two addresses (up to twice), which a fork leaves unmapped in the child. */
void memory_expect(size_t size);
void memory_code_is(const char *start, const char *end);
void memory_map_code(void); /* nothing without memory_code_is */

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
#define xnew_array(type, n) ((type *)xcalloc((n), sizeof(type)))

/* Grows `array` (capacity in `cap`, `n` in use) so that one more element fits. */
#define GROW(array, n, cap)                                                   \
	do {                                                                  \
		if ((n) == (cap)) {                                           \
			(cap) = (cap) ? (cap)*2 : 8;                          \
			(array) = xrealloc((array), (cap), sizeof(*(array))); \
		}                                                             \
	} while (0)

#endif
