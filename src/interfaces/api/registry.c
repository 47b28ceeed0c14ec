/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of registries without fetching anything: search, and what a name stands for there. */
#include <stdlib.h>

#include "base/memory.h"
#include "images/remote.h"
#include "images/search.h"
#include "registry_auth.h"
#include "routes.h"

#define SEARCH_LIMIT 25
#define SEARCH_LIMIT_MAX 100

/* -- search --- */

static bool match_stars(const void *object, const char *value)
{
	return ((const struct search_result *)object)->stars >= strtoull(value, NULL, 10);
}

static bool match_official(const void *object, const char *value)
{
	return ((const struct search_result *)object)->official == str_eq(value, "true");
}

static bool match_automated(const void *object, const char *value)
{
	return ((const struct search_result *)object)->automated == str_eq(value, "true");
}

static int most_stars_first(const void *a, const void *b)
{
	const struct search_result *x = a, *y = b;

	return x->stars == y->stars ? strcmp(x->name, y->name) : x->stars < y->stars ? 1 : -1;
}

static struct json *result_object(const struct search_result *r)
{
	struct json *o = json_new_object();

	json_set_string(o, "description", r->description);
	json_set_bool(o, "is_automated", r->automated);
	json_set_bool(o, "is_official", r->official);
	json_set_string(o, "name", r->name);
	json_set_u64(o, "star_count", r->stars);
	return o;
}

struct err *handle_image_search(struct exchange *x)
{
	_cleanup_free_ char *what = http_query(&x->request, "term");
	_cleanup_strv_ char **filters = NULL, **registries = NULL;
	_cleanup_search_results_ struct search_results results = {0};
	_cleanup_(registry_auth_release) struct registry_auth auth = {0};
	const char *term;
	int64_t limit;

	TRY(exchange_filters(x, "is-automated is-official stars", &filters));
	TRY(exchange_number(x, "limit", SEARCH_LIMIT, &limit));
	if (limit < 0 || limit > SEARCH_LIMIT_MAX)
		return err_new(ERR_INVALID, "limit %lld is outside the range of [1, %d]", (long long)limit,
			       SEARCH_LIMIT_MAX);
	if (str_empty(what))
		return err_new(ERR_INVALID, "invalid parameter: term is empty");
	TRY(registry_auth_of(x, &auth));
	TRY(search_registries(what, &registries, &term));
	struct search_options o = {.limit = limit ? (size_t)limit : SEARCH_LIMIT,
				   .username = auth.username,
				   .password = auth.password};
	STRV_FOREACH (registry, registries)
		TRY(registry_search(*registry, term, &o, &results));
	if (results.n)
		qsort(results.v, results.n, sizeof(*results.v), most_stars_first);
	struct json *list = json_new_array();
	for (size_t i = 0; i < results.n; i++) {
		const struct search_result *r = &results.v[i];
		if (filter_any(filters, "stars", match_stars, r) &&
		    filter_any(filters, "is-official", match_official, r) &&
		    filter_any(filters, "is-automated", match_automated, r))
			json_append(list, result_object(r));
	}
	return answer_json(x, 200, list);
}

/* -- distribution --- */

static void copy_string(const struct json_cursor *from, const char *key, const char *name, struct json *to)
{
	const char *s = NULL;

	err_free(json_get_string(from, key, JSON_OPTIONAL, &s));
	if (!str_empty(s))
		json_set_string(to, name, s);
}

static struct json *platform_object(const struct json_cursor *from)
{
	struct json *o = json_new_object();

	copy_string(from, "architecture", "architecture", o);
	copy_string(from, "os", "os", o);
	copy_string(from, "os.version", "os.version", o);
	copy_string(from, "variant", "variant", o);
	return o;
}

/* Of an index each manifest's; of one image that of its configuration. */
static struct err *platforms_of(const struct remote_image *image, struct json *list)
{
	_cleanup_json_ struct json *manifest = NULL, *config = NULL;
	struct json_cursor manifests, platform;

	TRY(json_parse(image->manifest, image->manifest_size, "the manifest", &manifest));
	struct json_cursor root = json_root(manifest);
	TRY(json_get_array(&root, "manifests", JSON_OPTIONAL, &manifests));
	for (size_t i = 0; manifests.value && i < json_array_len(&manifests); i++) {
		struct json_cursor entry = json_at(&manifests, i);
		TRY(json_get_object(&entry, "platform", JSON_OPTIONAL, &platform));
		if (platform.value)
			json_append(list, platform_object(&platform));
	}
	if (manifests.value || !image->config)
		return NULL;
	TRY(json_parse(image->config, image->config_size, "the configuration", &config));
	root = json_root(config);
	json_append(list, platform_object(&root));
	return NULL;
}

struct err *handle_distribution(struct exchange *x)
{
	_cleanup_free_ char *place = xasprintf("docker://%s", x->captures[0]);
	_cleanup_(registry_auth_release) struct registry_auth auth = {0};
	_cleanup_remote_image_ struct remote_image image = {0};

	TRY(registry_auth_of(x, &auth));
	struct remote_inspect_options o = {
		.transport = {.username = auth.username, .password = auth.password, .insecure_policy = true}};
	TRY(remote_inspect(place, &o, &image));
	struct json *answer = json_new_object(), *descriptor = json_new_object(),
		    *platforms = json_new_array();
	if (image.media_type)
		json_set_string(descriptor, "mediaType", image.media_type);
	json_set_string(descriptor, "digest", image.digest.s);
	json_set_u64(descriptor, "size", image.manifest_size);
	json_set(answer, "Descriptor", descriptor);
	err_free(platforms_of(&image, platforms)); /* what is not said is not shown */
	json_set(answer, "Platforms", platforms);
	return answer_json(x, 200, answer);
}
