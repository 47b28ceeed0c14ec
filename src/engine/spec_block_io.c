/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources.blockIO: weights and limits of devices, which are named by their path. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "spec.h"

static struct err *one(const char *text, const char *key, struct json *list)
{
	const char *colon = strrchr(text, ':');
	_cleanup_free_ char *path = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
	uint64_t number;
	struct stat st;

	TRY(parse_u64(colon ? colon + 1 : "", "block I/O limit", 0, INT64_MAX, &number));
	if (stat(path, &st) < 0)
		return err_errno(errno, "cannot limit the block device %s", path);
	if (!S_ISBLK(st.st_mode))
		return err_new(ERR_INVALID, "cannot limit %s: it is no block device", path);
	struct json *o = json_new_object();
	json_set_i64(o, "major", major(st.st_rdev));
	json_set_i64(o, "minor", minor(st.st_rdev));
	json_set_u64(o, key, number);
	json_append(list, o);
	return NULL;
}

struct err *spec_block_io(const struct container_spec *s, struct json *resources)
{
	const struct {
		char *const *from;
		const char *name, *key;
	} lists[] = {
		{s->blkio_weight_devices, "weightDevice", "weight"},
		{s->device_read_bps, "throttleReadBpsDevice", "rate"},
		{s->device_write_bps, "throttleWriteBpsDevice", "rate"},
		{s->device_read_iops, "throttleReadIOPSDevice", "rate"},
		{s->device_write_iops, "throttleWriteIOPSDevice", "rate"},
	};
	_cleanup_json_ struct json *o = json_new_object();
	bool any = s->blkio_weight != 0;

	if (s->blkio_weight)
		json_set_i64(o, "weight", s->blkio_weight);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		if (!lists[i].from)
			continue;
		_cleanup_json_ struct json *list = json_new_array();
		STRV_FOREACH (text, lists[i].from)
			TRY(one(*text, lists[i].key, list));
		json_set(o, lists[i].name, TAKE_PTR(list));
		any = true;
	}
	if (any)
		json_set(resources, "blockIO", TAKE_PTR(o));
	return NULL;
}
