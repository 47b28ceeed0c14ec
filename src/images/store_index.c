/* SPDX-License-Identifier: Apache-2.0 */
/* index.json (image-spec image-layout.md): every name as a descriptor of its platform's manifest with the
 * annotation org.opencontainers.image.ref.name, then images without a name. The index around a multi-platform
 * image is not what is listed: its other platforms are not here, and tools would stumble. */
#include <fcntl.h>

#include "base/file.h"
#include "base/str.h"
#include "manifest.h"
#include "store_image.h"

static void put_string(struct strbuf *b, const char *key, const char *value)
{
	strbuf_printf(b, "\"%s\":", key);
	json_quote(b, value, strlen(value));
}

struct err *store_index_text(struct store *s, struct strbuf *ret)
{
	_cleanup_db_stmt_ struct db_stmt *q = NULL;
	_cleanup_strbuf_ struct strbuf b = {0};
	bool row, first = true;

	TRY(db_query(s->db, &q,
		     "SELECT m.media_type, m.digest, m.size, n.name FROM names n JOIN manifests m ON "
		     "m.digest=n.manifest"
		     "  WHERE n.kind=0"
		     " UNION ALL SELECT m.media_type, m.digest, m.size, NULL FROM images i JOIN manifests m "
		     "ON m.digest=i.manifest"
		     "  WHERE NOT EXISTS (SELECT 1 FROM names WHERE image=i.id AND kind=0)"
		     " ORDER BY 4, 2",
		     ""));
	strbuf_puts(&b, "{\"schemaVersion\":2,");
	put_string(&b, "mediaType", MEDIA_OCI_INDEX);
	strbuf_puts(&b, ",\"manifests\":[");
	while (true) {
		TRY(db_step(q, &row));
		if (!row)
			break;
		strbuf_puts(&b, first ? "{" : ",{");
		first = false;
		put_string(&b, "mediaType", db_column_text(q, 0));
		strbuf_putc(&b, ',');
		put_string(&b, "digest", db_column_text(q, 1));
		strbuf_printf(&b, ",\"size\":%lld", (long long)db_column_i64(q, 2));
		if (db_column_text(q, 3)) {
			strbuf_puts(&b, ",\"annotations\":{");
			put_string(&b, "org.opencontainers.image.ref.name", db_column_text(q, 3));
			strbuf_putc(&b, '}');
		}
		strbuf_putc(&b, '}');
	}
	strbuf_puts(&b, "]}");
	*ret = b;
	b = (struct strbuf){0};
	return NULL;
}

struct err *store_index_write(struct store *s)
{
	_cleanup_strbuf_ struct strbuf b = {0};

	TRY(store_index_text(s, &b));
	TRY_WRAP(file_replace_at(s->root_fd, "index.json", b.data, b.len, 0644, FILE_DURABLE),
		 "image store %s", s->root);
	return NULL;
}
