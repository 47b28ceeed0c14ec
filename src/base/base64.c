/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const char *data, size_t size)
{
	char *out = xmalloc((size + 2) / 3 * 4 + 1), *p = out;

	for (size_t i = 0; i < size; i += 3) {
		uint32_t v = (uint32_t)(unsigned char)data[i] << 16;
		if (i + 1 < size)
			v |= (uint32_t)(unsigned char)data[i + 1] << 8;
		if (i + 2 < size)
			v |= (unsigned char)data[i + 2];
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = i + 1 < size ? alphabet[v >> 6 & 63] : '=';
		*p++ = i + 2 < size ? alphabet[v & 63] : '=';
	}
	*p = '\0';
	return out;
}

struct err *base64_decode(const char *text, char **ret_data, size_t *ret_size)
{
	size_t n = strlen(text), size = 0;
	uint32_t v = 0;
	int bits = 0;

	while (n && text[n - 1] == '=')
		n--;
	_cleanup_free_ char *out = xmalloc(n / 4 * 3 + 4);
	for (size_t i = 0; i < n; i++) {
		const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;
		if (!at)
			return err_new(ERR_INVALID, "not base64");
		v = v << 6 | (uint32_t)(at - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[size++] = (char)(v >> bits & 0xff);
		}
	}
	if (n % 4 == 1)
		return err_new(ERR_INVALID, "not base64");
	out[size] = '\0';
	*ret_data = TAKE_PTR(out);
	*ret_size = size;
	return NULL;
}
