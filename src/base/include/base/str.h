/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: a growing buffer with a cap, string vectors, and strict number parsing. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"

/* A byte buffer that is always NUL-terminated at data[len]. Zero-initialised is empty and valid (data is then
 * NULL; use strbuf_str). It grows without limit by itself: whoever appends bytes from outside checks `len`
 * against a cap. */
struct strbuf {
	char *data;
	size_t len, cap;
};

void strbuf_release(struct strbuf *b);               /* frees, leaves it empty and valid */
void strbuf_reset(struct strbuf *b);                 /* keeps the memory */
void strbuf_reserve(struct strbuf *b, size_t extra); /* room for extra more bytes and the NUL */
void strbuf_append(struct strbuf *b, const void *data, size_t len);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) _printf_(2, 3);
const char *strbuf_str(const struct strbuf *b); /* never NULL */
char *strbuf_take(struct strbuf *b);            /* caller frees; never NULL; buffer is empty then */
#define _cleanup_strbuf_ _cleanup_(strbuf_release)

/* NULL-terminated vectors of owned strings. NULL is the empty vector. */
size_t strv_len(char *const *v);
void strv_free(char **v);
DEFINE_CLEANUP(char **, strv_free)
#define _cleanup_strv_ _cleanup_(strv_freep)
void strv_push(char ***v, const char *s); /* copies s */
void strv_push_take(char ***v, char *s);  /* owns s */
char **strv_dup(char *const *v);
bool strv_contains(char *const *v, const char *s);
char **strv_split(const char *s, const char *separators); /* empty fields are dropped */
char *strv_join(char *const *v, const char *separator);
#define STRV_FOREACH(s, v) for (char *const *s = (v); s && *s; s++)

/* For text that ends on somebody's terminal and may have come from an image, a registry or a container: control characters but line
 * breaks and tabs become '?', those of two bytes (U+0080 to U+009F) too. In place. */
void str_hide_controls(char *s);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
static inline bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}
static inline bool str_empty(const char *s)
{
	return !s || !*s;
}

/* Environment vectors ("NAME=value"): replaces or adds; looks up (NULL if absent). */
void env_set(char ***env, const char *name, const char *value);
const char *env_get(char *const *env, const char *name);
/* "key" or "key=value" against a vector of KEY=value, as filters have it. */
bool label_matches(char *const *labels, const char *filter);
/* Is it the name, or an (extended) regular expression that is found in it, as filters by name have it? */
bool name_matches(const char *name, const char *pattern);
void env_drop_repeated(char **env); /* of several entries with one name the last stays */

/* Strict: the whole string is a decimal number in range, no sign for unsigned, no blanks. `what` names the
 * value in errors. */
_must_check_ struct err *parse_u64(const char *s, const char *what, uint64_t min, uint64_t max,
				   uint64_t *ret);
_must_check_ struct err *parse_i64(const char *s, const char *what, int64_t min, int64_t max, int64_t *ret);
_must_check_ struct err *parse_octal(const char *s, const char *what, uint32_t max, uint32_t *ret);
/* Sizes as docker's users write them: 512, 512b, 64k, 1.5m, 2G, 2gb, 2GiB; factors of 1024. */
_must_check_ struct err *parse_size(const char *s, const char *what, uint64_t *ret_bytes);
/* "1.5" -> 1500000000: decimal number times 10^9 (docker's --cpus). */
_must_check_ struct err *parse_decimal_nano(const char *s, const char *what, int64_t *ret);
_must_check_ struct err *parse_bool(const char *s, const char *what, bool *ret); /* 1 t true, 0 f false */

/* Sizes for people: "1.21GB" (factors of 1000, three significant digits, as docker prints). Caller frees. */
char *format_size(uint64_t bytes);
/* Ages for people: "About a minute", "3 hours", "2 weeks" (docker's words, without " ago"). Caller frees. */
char *format_duration(int64_t seconds);

#endif
