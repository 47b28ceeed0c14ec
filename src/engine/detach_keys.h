/* SPDX-License-Identifier: Apache-2.0 */
/* The key sequence that leaves a terminal: "ctrl-p,ctrl-q" (docker's syntax). */
#ifndef ENGINE_DETACH_KEYS_H
#define ENGINE_DETACH_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define DETACH_KEYS_MAX 16u

struct detach_keys {
	char keys[DETACH_KEYS_MAX];
	size_t n;       /* 0: none */
	size_t matched; /* so many of them were typed and held back */
};
/* Comma-separated: single characters, or ctrl- and one of a-z @ [ \ ] ^ _. "" is none. */
_must_check_ struct err *detach_keys_parse(const char *s, struct detach_keys *ret);
/* Copies input to `out` (room for n + DETACH_KEYS_MAX), holding back what may be the sequence. *ret_detached: it was complete. */
size_t detach_keys_filter(struct detach_keys *k, const char *in, size_t n, char *out, bool *ret_detached);

#endif
