/* SPDX-License-Identifier: Apache-2.0 */
/* The Docker Engine API, 1.24 to 1.51, over the engine: what havred serves. It holds no state of its own but what belongs to open connections
 * (and execs that were made and not started): it may be killed at any moment. */
#ifndef API_API_H
#define API_API_H

#include "engine/engine.h"

struct api_options {
	struct engine_options engine;
	char *const *hosts; /* unix:///PATH or fd:// (sockets that systemd passed); NULL: api_default_host */
	const char *group;  /* of the socket file; NULL: "docker" where there is such a group */
	/* Called when the sockets listen. */
	void (*ready)(void *user, char *const *hosts);
	void *user;
};
/* Serves until SIGTERM or SIGINT; requests that are being served have some seconds to end. */
_must_check_ struct err *api_serve(const struct api_options *o);
/* unix:///run/havre/havred.sock, or the user's own. Caller frees. */
char *api_default_host(void);

#endif
