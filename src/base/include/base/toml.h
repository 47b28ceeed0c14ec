/* SPDX-License-Identifier: Apache-2.0 */
/* The part of TOML 1.0 that configuration files of container tools use, read as a series of events. Bounded: size, nesting,
 * lengths and counts. Numbers and dates are recognised and not interpreted; a key that is given twice is given twice. */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include <stdbool.h>

#include "base/error.h"

enum toml_kind {
	TOML_TABLE,   /* a table begins: [t], [[t]], or an inline one */
	TOML_STRING,  /* text */
	TOML_BOOL,    /* boolean */
	TOML_STRINGS, /* list: the strings of an array; its tables have had their own events */
	TOML_OTHER,   /* a number, a date */
};

struct toml_event {
	enum toml_kind kind;
	const char *table; /* "registry.mirror"; "": before the first one */
	const char *key;   /* "" for TOML_TABLE; dotted keys are joined with dots */
	const char *text;
	bool boolean;
	char *const *list;
};

#define TOML_SIZE_MAX ((size_t)1 << 20)

/* Errors name `what` and the line; those of `event` do too. */
_must_check_ struct err *toml_parse(const char *text, size_t size, const char *what,
				    struct err *(*event)(void *user, const struct toml_event *e), void *user);

/* The configuration file of havre itself, /etc/havre/havre.toml or $HAVRE_CONFIG: events as above; a file that is not there, and was not named, has
 * none. *ret_path (may be NULL) is its name, for messages; static or of the environment. */
_must_check_ struct err *config_read(struct err *(*event)(void *user, const struct toml_event *e), void *user,
				     const char **ret_path);

#endif
