/* SPDX-License-Identifier: Apache-2.0 */
/* config-linux.md "IntelRdt". */
#include "base/memory.h"
#include "base/str.h"
#include "spec.h"

static struct err *check_clos(const struct json_cursor *c, const char *id)
{
	if (str_eq(id, "/"))
		return NULL;
	/* One directory below the resctrl mount, and none of those that the kernel has there itself. */
	if (strchr(id, '/') || strchr(id, '\n') || str_eq(id, ".") || str_eq(id, "..") || strlen(id) > 255 ||
	    str_eq(id, "info") || str_eq(id, "mon_groups") || str_eq(id, "mon_data"))
		return json_error_at(c, "closID", "\"%.100s\" is not the name of a class of service", id);
	return NULL;
}

static struct err *check_schemata(const struct json_cursor *c, char *const *lines)
{
	struct json_cursor list;
	TRY(json_get_array(c, "schemata", JSON_OPTIONAL, &list));
	for (size_t i = 0; lines && lines[i]; i++) {
		struct json_cursor line = json_at(&list, i);
		if (strchr(lines[i], '\n') || !strchr(lines[i], ':'))
			return json_error(&line, "is not one line like L3:0=7f0;1=1f");
	}
	return NULL;
}

struct err *spec_rdt_parse(struct spec *s)
{
	struct json_cursor c;
	struct spec_rdt *r = &s->rdt;
	TRY(json_get_object(&s->linux_, "intelRdt", JSON_OPTIONAL, &c));
	if (!c.value)
		return NULL;
	r->set = true;
	TRY(json_get_string(&c, "closID", JSON_OPTIONAL, &r->clos_id));
	TRY(json_get_string(&c, "l3CacheSchema", JSON_OPTIONAL, &r->l3_cache));
	TRY(json_get_string(&c, "memBwSchema", JSON_OPTIONAL, &r->mem_bw));
	TRY(json_get_strv(&c, "schemata", JSON_OPTIONAL, &r->schemata));
	TRY(json_get_bool(&c, "enableMonitoring", JSON_OPTIONAL, &r->monitoring));
	if (str_empty(r->clos_id))
		r->clos_id = NULL;
	else
		TRY(check_clos(&c, r->clos_id));
	if (str_empty(r->l3_cache))
		r->l3_cache = NULL;
	else if (!strchr(r->l3_cache, ':'))
		return json_error_at(&c, "l3CacheSchema", "must be like L3:0=7f0;1=1f");
	if (str_empty(r->mem_bw))
		r->mem_bw = NULL;
	else if (!str_starts(r->mem_bw, "MB:") || strchr(r->mem_bw, '\n'))
		return json_error_at(&c, "memBwSchema", "must be one line that starts with MB:");
	return check_schemata(&c, r->schemata);
}
