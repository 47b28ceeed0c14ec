/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates that the system's configuration and the user's have for a registry: certs.d. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "registry.h"

#define PEM_MAX ((size_t)8 << 20)

/* -- certificates --------------------------------------------------------------------------------------------- */

static struct err *append_file(const char *path, struct strbuf *b)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	TRY_WRAP(file_read(path, PEM_MAX, &text, &size), "certificate file %s", path);
	strbuf_append(b, text, size);
	strbuf_putc(b, '\n');
	return NULL;
}

/* The certificates that would be trusted anyway: adding one must not take the others away. */
static struct err *append_system(struct strbuf *b)
{
	static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
					      "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
					      "/etc/ssl/cert.pem"};
	const char *given = getenv("SSL_CERT_FILE");

	if (!str_empty(given))
		return append_file(given, b);
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++)
		if (access(bundles[i], R_OK) == 0)
			return append_file(bundles[i], b);
	return NULL;
}

/* HOST[:PORT]/{*.crt, *.cert with its *.key}, as docker and podman read them. */
static struct err *load_directory(const char *path, struct strbuf *ca, struct http_tls *tls)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	struct err *e = NULL;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", path, names[i]->d_name);
		if (!e && str_ends(file, ".crt")) {
			e = append_file(file, ca);
		} else if (!e && str_ends(file, ".cert") && !tls->cert_file) {
			_cleanup_free_ char *key = xstrndup(file, strlen(file) - 1);
			memcpy(key + strlen(key) - 3, "key", 3);
			if (access(key, R_OK) < 0)
				e = err_errno(errno, "client certificate %s needs its key %s", file, key);
			tls->cert_file = TAKE_PTR(file);
			tls->key_file = TAKE_PTR(key);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return e;
}

struct err *registry_tls_load(const char *domain, bool no_verify, const char *ca_file, const char *cert_dir,
			      struct http_tls *ret)
{
	static const char *const dirs[] = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
	const char *home = getenv("HOME");
	_cleanup_strbuf_ struct strbuf ca = {0};
	_cleanup_(http_tls_release) struct http_tls tls = {.no_verify = no_verify};

	if (ca_file)
		TRY(append_file(ca_file, &ca));
	if (cert_dir) {
		if (access(cert_dir, R_OK | X_OK) < 0)
			return err_errno(errno, "cannot read certificate directory %s", cert_dir);
		TRY(load_directory(cert_dir, &ca, &tls));
	}
	if (!str_empty(home)) {
		_cleanup_free_ char *path = xasprintf("%s/.config/containers/certs.d/%s", home, domain);
		TRY(load_directory(path, &ca, &tls));
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dirs[i], domain);
		TRY(load_directory(path, &ca, &tls));
	}
	if (ca.len) {
		TRY(append_system(&ca));
		tls.ca_pem_size = ca.len;
		tls.ca_pem = strbuf_take(&ca);
	}
	*ret = tls;
	tls = (struct http_tls){0};
	return NULL;
}
