/* SPDX-License-Identifier: Apache-2.0 */
#include "detach_keys.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

static struct err *parse_key(const char *s, char *ret)
{
	if (strlen(s) == 1) {
		*ret = s[0];
		return NULL;
	}
	if (str_starts(s, "ctrl-") && strlen(s) == 6) {
		int c = toupper((unsigned char)s[5]);
		if (c >= '@' && c <= '_') {
			*ret = (char)(c - '@');
			return NULL;
		}
	}
	return err_new(
		ERR_INVALID,
		"invalid detach key \"%.32s\": it must be a character, or ctrl- and one of a-z @ [ \\ ] ^ _",
		s);
}

struct err *detach_keys_parse(const char *s, struct detach_keys *ret)
{
	struct detach_keys k = {0};
	_cleanup_strv_ char **parts = strv_split(s, ",");

	STRV_FOREACH (p, parts) {
		if (k.n == DETACH_KEYS_MAX)
			return err_new(ERR_INVALID, "too many detach keys: at most %u", DETACH_KEYS_MAX);
		TRY(parse_key(*p, &k.keys[k.n++]));
	}
	*ret = k;
	return NULL;
}

size_t detach_keys_filter(struct detach_keys *k, const char *in, size_t n, char *out, bool *ret_detached)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++) {
		if (k->n > 0 && in[i] == k->keys[k->matched]) {
			if (++k->matched == k->n) {
				k->matched = 0;
				*ret_detached = true;
				return size;
			}
			continue;
		}
		/* Not the sequence: what was held back goes first, and this byte may begin it anew. */
		memcpy(out + size, k->keys, k->matched);
		size += k->matched;
		k->matched = k->n > 0 && in[i] == k->keys[0] ? 1 : 0;
		if (k->matched == 0)
			out[size++] = in[i];
		else if (k->n == 1) {
			k->matched = 0;
			*ret_detached = true;
			return size;
		}
	}
	return size;
}
