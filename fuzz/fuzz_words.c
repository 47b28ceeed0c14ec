/* SPDX-License-Identifier: Apache-2.0 */
/* Every small parser of base over one string: numbers, sizes, durations, digests, times. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *s = size < 4096 ? xstrndup((const char *)data, size) : NULL;
	uint64_t u;
	int64_t i, ns;
	uint32_t octal;
	bool b;
	struct digest d;
	struct err *e;

	if (!s)
		return 0;
	e = parse_u64(s, "number", 3, 1000, &u);
	if (!e && (u < 3 || u > 1000))
		abort();
	err_free(e);
	e = parse_i64(s, "number", -7, 7, &i);
	if (!e && (i < -7 || i > 7))
		abort();
	err_free(e);
	e = parse_octal(s, "mode", 07777, &octal);
	if (!e && octal > 07777)
		abort();
	err_free(e);
	err_free(parse_size(s, "size", &u));
	err_free(parse_decimal_nano(s, "cpus", &i));
	err_free(parse_bool(s, "flag", &b));
	e = digest_parse(s, &d);
	if (!e && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789:") != strlen(s))
		abort(); /* a digest becomes part of a path */
	err_free(e);
	e = timestamp_parse(s, &ns);
	if (!e) {
		char text[TIMESTAMP_STRING_MAX];
		timestamp_format(ns, text);
	}
	err_free(e);
	char **words = strv_split(s, " ,\n");
	free(strv_join(words, ":"));
	strv_free(words);
	return 0;
}
