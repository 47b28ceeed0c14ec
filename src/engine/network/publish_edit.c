/* SPDX-License-Identifier: Apache-2.0 */
/* Changing what -p said. */
#include "join.h"

/* Whether `what` means the publication: where it is silent, anything does. */
static bool means(const struct port *what, const struct port *p)
{
	return what->protocol == p->protocol && what->port == p->port &&
	       (what->host_port == 0 ||
		(what->host_port >= p->host_port && what->host_port <= p->host_port_last)) &&
	       (!what->host.family || ip_equal(&what->host, &p->host));
}

/* The ports of one entry that are not meant; the entry itself when that is all of them. */
static struct err *keep_rest(const char *entry, const struct ports *remove, bool *hit, char ***to)
{
	char *const one[] = {(char *)(uintptr_t)entry, NULL};
	struct ports p = {0};
	_cleanup_strv_ char **rest = NULL;

	TRY(publish_parse(one, "--publish", &p));
	for (size_t i = 0; i < p.n; i++) {
		bool gone = false;
		for (size_t k = 0; k < remove->n; k++) {
			if (!means(&remove->items[k], &p.items[i]))
				continue;
			hit[k] = gone = true;
		}
		if (!gone)
			strv_push_take(&rest, publish_text(&p.items[i]));
	}
	if (strv_len(rest) == p.n) {
		strv_push(to, entry);
	} else {
		STRV_FOREACH (r, rest)
			strv_push(to, *r);
	}
	free(p.items);
	return NULL;
}

static struct err *remove_from(char *const *list, const struct ports *remove, char ***to)
{
	_cleanup_free_ bool *hit = xnew_array(bool, remove->n + 1);

	STRV_FOREACH (entry, list)
		TRY(keep_rest(*entry, remove, hit, to));
	for (size_t k = 0; k < remove->n; k++) {
		_cleanup_free_ char *text = publish_text(&remove->items[k]);
		if (!hit[k])
			return err_new(ERR_NOT_FOUND, "port %s is not published", text);
	}
	return NULL;
}

struct err *publish_edit(char ***list, char *const *add, char *const *remove)
{
	struct ports p = {0};
	char **result = NULL;

	TRY(publish_parse(remove, "--publish-rm", &p));
	struct err *error = remove_from(*list, &p, &result);
	free(p.items);
	if (!error) {
		p = (struct ports){0};
		error = publish_parse(add, "--publish-add", &p);
		free(p.items);
	}
	if (error) {
		strv_free(result);
		return error;
	}
	STRV_FOREACH (a, add)
		strv_push(&result, *a);
	strv_free(*list);
	*list = result;
	return NULL;
}
