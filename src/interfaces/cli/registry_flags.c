// SPDX-License-Identifier: Apache-2.0
#include "registry_flags.h"

#include "base/memory.h"

struct err *registry_flags_credentials(const struct invocation *in, const struct registry_flags *f,
				       char **ret_username, const char **ret_password)
{
	const char *colon = f->credentials ? strchr(f->credentials, ':') : NULL;

	*ret_username = NULL;
	*ret_password = NULL;
	if (f->credentials && !colon)
		return usage_error(in, "--creds: the form is USER:PASSWORD");
	if ((f->username != NULL) != (f->password != NULL))
		return usage_error(in, "--username and --password go together");
	if (f->credentials && f->username)
		return usage_error(in, "--creds and --username say the same: give one of them");
	if (f->credentials) {
		*ret_username = xstrndup(f->credentials, (size_t)(colon - f->credentials));
		*ret_password = colon + 1;
	} else if (f->username) {
		*ret_username = xstrdup(f->username);
		*ret_password = f->password;
	}
	return NULL;
}

struct err *registry_flags_options(const struct invocation *in, const struct registry_flags *f,
				   char **ret_user, struct transport_options *ret)
{
	struct transport_options o = {.insecure = !f->tls_verify,
				      .ca_file = f->ca_file,
				      .cert_dir = f->cert_dir,
				      .auth_file = f->auth_file,
				      .daemon_host = f->daemon_host,
				      .no_credentials = f->no_credentials};

	TRY(registry_flags_credentials(in, f, ret_user, &o.password));
	o.username = *ret_user;
	*ret = o;
	return NULL;
}
