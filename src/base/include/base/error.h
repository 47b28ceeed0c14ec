/* SPDX-License-Identifier: Apache-2.0 */
/* The one error object.
 *
 * A function that can fail returns `struct err *`: NULL is success, anything else is owned by the caller, who
 * returns it, wraps it, handles it (err_free) or, in an interface, prints it. Libraries never log an error
 * and never print. Outputs (`ret_…` parameters) are not touched on failure.
 *
 * The message names the thing and says what could not be done with it; the cause chain says why; the last
 * message of a chain that starts at a system call is strerror's. Interfaces map `kind` to their own codes
 * (exit status, HTTP status, gRPC code) in one table each; they never look at message texts.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <errno.h>
#include <stddef.h>

#include "base/cleanup.h"

enum err_kind {
	ERR_INVALID = 1,  /* the input is wrong: a flag, a file, a message from outside */
	ERR_NOT_FOUND,    /* the named thing does not exist */
	ERR_EXISTS,       /* the named thing exists already, a name is taken */
	ERR_STATE,        /* the thing is in a state that does not allow this (not running, still running) */
	ERR_BUSY,         /* somebody else is using it now; trying again may work */
	ERR_PERMISSION,   /* the kernel or a policy says no */
	ERR_UNAUTHORIZED, /* a registry wants credentials or refuses them */
	ERR_UNREACHABLE,  /* the other side cannot be reached or broke off */
	ERR_CORRUPT,      /* stored or received data does not match its digest or its format */
	ERR_LIMIT,        /* larger than we are willing to take */
	ERR_NO_SPACE,     /* disk, quota, memory of a cgroup */
	ERR_UNSUPPORTED,  /* valid, but not available here: kernel, build, or not part of havre */
	ERR_TIMEOUT,
	ERR_CANCELLED, /* the user or a caller interrupted */
	ERR_EXEC,      /* a program could not be executed: errnum says why (ENOENT: 127, other: 126) */
	ERR_SYSTEM,    /* a system call failed in a way that fits none of the above */
	ERR_INTERNAL,  /* a bug in havre */
};

struct err {
	enum err_kind kind;
	int errnum;        /* errno, or 0 */
	char *message;     /* one line, no trailing full stop or newline; never NULL */
	struct err *cause; /* owned; may be NULL */
};

/* New error without a cause. `errnum` is 0 unless the kernel said something. */
_must_check_ struct err *err_new(enum err_kind kind, const char *fmt, ...) _printf_(2, 3);

/* New error from a system call: kind is derived from `errnum` (ENOENT: NOT_FOUND, EACCES/EPERM: PERMISSION,
 * ENOSPC/EDQUOT: NO_SPACE, …; see err_kind_from_errno). The text gets ": <strerror>" appended when printed.
 */
_must_check_ struct err *err_errno(int errnum, const char *fmt, ...) _printf_(2, 3);

/* New error on top of `cause` (owned from now on, must not be NULL), with the cause's kind and errno. */
_must_check_ struct err *err_wrap(struct err *cause, const char *fmt, ...) _printf_(2, 3);

/* As err_wrap, with another kind: the caller knows better what it means. */
_must_check_ struct err *err_wrap_kind(struct err *cause, enum err_kind kind, const char *fmt, ...)
	_printf_(3, 4);

void err_free(struct err *e);
DEFINE_CLEANUP(struct err *, err_free)
#define _cleanup_err_ _cleanup_(err_freep)

/* The whole chain on one line: "message: cause: …: strerror". Caller frees. */
char *err_text(const struct err *e);

enum err_kind err_kind_from_errno(int errnum);
const char *err_kind_name(enum err_kind kind); /* stable lower-case word, "not-found" */

/* A chain as bytes and back, for crossing processes (a cloned child to its parent, the monitor to its
 * caller). Depth and sizes are capped; a damaged encoding decodes to an ERR_INTERNAL error that says so. */
void err_encode(const struct err *e, unsigned char **ret_data, size_t *ret_size); /* caller frees */
_must_check_ struct err *err_decode(const unsigned char *data, size_t size);

/* Sends `e` (NULL: success) as one frame (u32 length, encoding) over a stream fd; receives it. Receiving EOF
 * before a frame is an error of kind ERR_INTERNAL that says the peer, named by `peer`, died. The receive
 * functions separate "the transport failed" (returned) from "the peer reported" (*ret_reported). */
_must_check_ struct err *err_send(int fd, const struct err *e);
_must_check_ struct err *err_receive(int fd, const char *peer, struct err **ret_reported);

/* Return the error, if any, of an expression of type struct err *. */
#define TRY(expr)                              \
	do {                                   \
		struct err *try_err_ = (expr); \
		if (try_err_)                  \
			return try_err_;       \
	} while (0)

/* The same, with context: TRY_WRAP(expr, "reading %s", path). */
#define TRY_WRAP(expr, ...)                                     \
	do {                                                    \
		struct err *try_err_ = (expr);                  \
		if (try_err_)                                   \
			return err_wrap(try_err_, __VA_ARGS__); \
	} while (0)

#endif
