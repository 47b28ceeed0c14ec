// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/memory.h"
#include "cli.h"
#include "commands.h"
#include "engine/network.h"

static void print(const struct json_cursor *binding, const char *port)
{
	const char *host = "", *host_port = "";

	err_free(json_get_string(binding, "HostIp", JSON_OPTIONAL, &host));
	err_free(json_get_string(binding, "HostPort", JSON_OPTIONAL, &host_port));
	if (port)
		printf("%s -> ", port);
	printf(strchr(host, ':') ? "[%s]:%s\n" : "%s:%s\n", host, host_port);
}

static struct err *run(struct invocation *in, int *ret_status)
{
	struct engine *e;
	_cleanup_container_ struct container *c = NULL;
	_cleanup_json_ struct json *ports = NULL;
	_cleanup_free_ char *wanted = NULL;
	bool found = false;

	TRY(cli_engine(&e));
	TRY(container_find(e, in->args[0], &c));
	TRY(container_ports_json(e, c, &ports));
	if (in->n_args > 1)
		wanted = strchr(in->args[1], '/') ? xstrdup(in->args[1]) : xasprintf("%s/tcp", in->args[1]);
	struct json_cursor root = json_root(ports), member;
	struct json_iter it = json_iter(&root);
	while (json_next(&it, &member)) {
		if (wanted && !str_eq(wanted, member.key))
			continue;
		for (size_t i = 0, n = json_array_len(&member); i < n; i++) {
			struct json_cursor one = json_at(&member, i);
			print(&one, wanted ? NULL : member.key);
			found = true;
		}
	}
	if (wanted && !found)
		return err_new(ERR_NOT_FOUND, "no public port '%s' published for %s", wanted, c->name);
	return NULL;
}

const struct command cmd_port = {
	.name = "port",
	.aliases = ALIASES("container port"),
	.summary = "List the published ports of a container",
	.usage = "CONTAINER [PORT[/PROTOCOL]]",
	.examples = "# where port 80 of the container is on this machine\nPROGRAM port web 80",
	.min_args = 1,
	.max_args = 2,
	.args_values = "!running",
	.traits = COMMAND_LOCAL,
	.run = run,
};
