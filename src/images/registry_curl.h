/* SPDX-License-Identifier: Apache-2.0 */
/* Private to registry_http.c and registry_curl.c: libcurl as a table of function pointers. Linking it would cost every start of havre
 * 10 ms of dynamic loading; only its headers are needed at build time. */
#ifndef IMAGES_REGISTRY_CURL_H
#define IMAGES_REGISTRY_CURL_H

#define CURL_DISABLE_DEPRECATION /* CURLOPT_PROTOCOLS: its successor is newer than the libcurl of the kernel floor's systems */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/error.h"

struct curl_api {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	CURLcode (*easy_setopt)(CURL *h, CURLoption option, ...);
	CURLcode (*easy_perform)(CURL *h);
	CURLcode (*easy_getinfo)(CURL *h, CURLINFO info, ...);
	void (*easy_cleanup)(CURL *h);
	void (*easy_reset)(CURL *h);
	const char *(*easy_strerror)(CURLcode code);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *s);
	void (*slist_free_all)(struct curl_slist *list);
	CURLU *(*url)(void);
	CURLUcode (*url_set)(CURLU *u, CURLUPart part, const char *s, unsigned flags);
	CURLUcode (*url_get)(CURLU *u, CURLUPart part, char **ret, unsigned flags);
	void (*url_cleanup)(CURLU *u);
	void (*free)(void *p);
};

/* Loads the library once per process; thread-safe. */
_must_check_ struct err *curl_api_load(const struct curl_api **ret);

#endif
