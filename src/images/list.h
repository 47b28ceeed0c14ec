/* SPDX-License-Identifier: Apache-2.0 */
/* Private: a list of manifests as it is kept. */
#ifndef IMAGES_LIST_PRIVATE_H
#define IMAGES_LIST_PRIVATE_H

#include "base/json.h"
#include "images/list.h"
#include "manifest.h"

struct list {
	struct store *store;
	char *file; /* below the store's root */
	struct json *doc;
	struct json *index, *sources; /* borrowed from doc */
	int lock;                     /* against other changes; -1: none */
};
/* `change`: locked until list_close. */
_must_check_ struct err *list_open(struct store *s, const struct reference *name, bool change,
				   struct list *ret);
void list_close(struct list *l); /* also after a list_open that failed */
#define _cleanup_list_ _cleanup_(list_close)
_must_check_ struct err *list_write(const struct list *l);
/* *root must live as long as *ret. */
_must_check_ struct err *list_entries(const struct list *l, struct json_cursor *root,
				      struct json_cursor *ret);
/* Adds or replaces; `source`: where the manifest is. */
_must_check_ struct err *list_put(struct list *l, const struct descriptor *d, const char *source,
				  const struct list_entry_options *o);

#endif
