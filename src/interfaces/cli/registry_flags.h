/* SPDX-License-Identifier: Apache-2.0 */
/* How a registry is reached: one set of flags for every command that talks to one, podman's and skopeo's names. */
#ifndef CLI_REGISTRY_FLAGS_H
#define CLI_REGISTRY_FLAGS_H

#include "cli.h"
#include "images/copy.h"

struct registry_flags {
	const char *credentials, *username, *password, *ca_file, *cert_dir, *auth_file, *daemon_host;
	bool tls_verify, no_credentials;
};
#define REGISTRY_FLAGS_DEFAULT     \
	{                          \
		.tls_verify = true \
	}

/* Rows of a command's table whose options have a struct registry_flags in `field`; `prefix` is "", "src-" or "dest-". */
#define REGISTRY_FLAGS_REACH(type, field, prefix)                                                          \
	{FLAG_STRING_FIELD(type, field.cert_dir), .name = prefix "cert-dir", .metavar = "directory",       \
	 .help = "Certificates of the registry: *.crt, *.cert, *.key", .values = "@dir"},                  \
		{FLAG_STRING_FIELD(type, field.credentials), .name = prefix "creds",                       \
		 .metavar = "user:password",                                                               \
		 .help = "Credentials for the registry (default: the credential files)"},                  \
	{                                                                                                  \
		FLAG_BOOL_FIELD(type, field.tls_verify), .name = prefix "tls-verify",                      \
							 .help = "Require HTTPS with a valid certificate " \
								 "(not for this machine's own registry)"   \
	}
#define REGISTRY_FLAGS_FILES(type, field, prefix)                                                       \
	{FLAG_STRING_FIELD(type, field.auth_file), .name = prefix "authfile", .metavar = "file",        \
	 .help = "Read credentials from this file and no other", .values = "@file"},                    \
	{                                                                                               \
		FLAG_STRING_FIELD(type, field.ca_file),                                                 \
			.name = prefix "ca-file", .metavar = "file",                                    \
			.help = "Trust the certificate authorities in this file too", .values = "@file" \
	}
#define REGISTRY_FLAGS_MORE(type, field, prefix)                                                        \
	{FLAG_STRING_FIELD(type, field.daemon_host), .name = prefix "daemon-host", .metavar = "url",    \
	 .help = "Where docker's daemon is (default: $DOCKER_HOST, unix:///var/run/docker.sock)"},      \
		{FLAG_BOOL_FIELD(type, field.no_credentials), .name = prefix "no-creds",                \
		 .help = "Go to the registry without credentials, whatever the files have"},            \
		{FLAG_STRING_FIELD(type, field.password), .name = prefix "password", .metavar = "text", \
		 .help = "Password for the registry, together with the user name"},                     \
	{                                                                                               \
		FLAG_STRING_FIELD(type, field.username), .name = prefix "username", .metavar = "name",  \
							 .help = "User name for the registry"           \
	}

/* All of them. */
#define REGISTRY_FLAGS(type, field, prefix)                                                   \
	REGISTRY_FLAGS_REACH(type, field, prefix), REGISTRY_FLAGS_FILES(type, field, prefix), \
		REGISTRY_FLAGS_MORE(type, field, prefix)

/* The parts of credentials: *ret_username is NULL when none were given, and freed by the caller; *ret_password is borrowed. */
_must_check_ struct err *registry_flags_credentials(const struct invocation *in,
						    const struct registry_flags *f, char **ret_username,
						    const char **ret_password);

/* All of it for images/copy.h. `user` keeps what the options borrow and is freed by the caller. */
_must_check_ struct err *registry_flags_options(const struct invocation *in, const struct registry_flags *f,
						char **ret_user, struct transport_options *ret);

#endif
