/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_curl.h"

#include <pthread.h>
#include <string.h>

#include "base/library.h"

static struct curl_api api;
static struct err *failed; /* why there is none */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
	/* The OpenSSL flavour; a Debian system may have only the GnuTLS one, which does as well. */
	static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", NULL};
	static const struct library_symbol symbols[] = {
		{"curl_global_init", &api.global_init},
		{"curl_easy_init", &api.easy_init},
		{"curl_easy_setopt", &api.easy_setopt},
		{"curl_easy_perform", &api.easy_perform},
		{"curl_easy_getinfo", &api.easy_getinfo},
		{"curl_easy_cleanup", &api.easy_cleanup},
		{"curl_easy_reset", &api.easy_reset},
		{"curl_easy_strerror", &api.easy_strerror},
		{"curl_slist_append", &api.slist_append},
		{"curl_slist_free_all", &api.slist_free_all},
		{"curl_url", &api.url},
		{"curl_url_set", &api.url_set},
		{"curl_url_get", &api.url_get},
		{"curl_url_cleanup", &api.url_cleanup},
		{"curl_free", &api.free},
	};

	failed = library_load(names, symbols, ARRAY_SIZE(symbols));
	if (!failed && api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		failed = err_new(ERR_UNSUPPORTED, "libcurl cannot be initialised");
}

struct err *curl_api_load(const struct curl_api **ret)
{
	pthread_once(&once, load);
	if (failed)
		return err_new(failed->kind,
			       "registries need the library libcurl.so.4 (Debian: libcurl4): %s",
			       failed->message);
	*ret = &api;
	return NULL;
}
