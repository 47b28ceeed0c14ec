// SPDX-License-Identifier: Apache-2.0
/* The service: docker's API. Everything is in src/interfaces/api. Linked for loading libraries, because pulls need them. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "base/log.h"
#include "base/memory.h"

static const char help[] =
	"Usage: havred [OPTIONS]\n\n"
	"Serve docker's API, for docker's client and whatever else speaks it\n\n"
	"Options:\n"
	"  -H, --host list             Where to listen: unix:///PATH, or fd:// for sockets from systemd\n"
	"                              (default unix:///run/havre/havred.sock)\n"
	"  -G, --group string          Group that may connect (default docker, where there is one)\n"
	"      --root directory        Where all state is kept (default /var/lib/havre)\n"
	"      --run directory         Where what does not survive a reboot is kept (default /run/havre)\n"
	"      --storage-driver string How new images are kept: overlay, erofs, vfs\n"
	"  -D, --debug                 Say more\n"
	"  -v, --version               Print the version\n"
	"  -h, --help                  Print this\n\n"
	"It keeps nothing to itself: `havre` shows the same containers, and it may be stopped or killed at "
	"any time\n"
	"without one of them noticing.\n";

static void ready(void *user, char *const *hosts)
{
	(void)user;
	STRV_FOREACH (h, hosts)
		fprintf(stderr, "havred: docker's API is served on %s\n", *h);
}

static int fail(struct err *e)
{
	log_err(LOG_LEVEL_ERROR, e);
	err_free(e);
	return 1;
}

int main(int argc, char **argv)
{
	enum { ROOT = 256, RUN, DRIVER };
	static const struct option options[] = {
		{"host", required_argument, NULL, 'H'},
		{"group", required_argument, NULL, 'G'},
		{"root", required_argument, NULL, ROOT},
		{"run", required_argument, NULL, RUN},
		{"storage-driver", required_argument, NULL, DRIVER},
		{"debug", no_argument, NULL, 'D'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	_cleanup_strv_ char **hosts = NULL;
	_cleanup_free_ char *program = NULL;
	struct api_options o = {.ready = ready};
	int c;

	log_init("havred");
	while ((c = getopt_long(argc, argv, "H:G:Dvh", options, NULL)) != -1) {
		switch (c) {
		case 'H':
			strv_push(&hosts, optarg);
			break;
		case 'G':
			o.group = optarg;
			break;
		case ROOT:
			o.engine.root = optarg;
			break;
		case RUN:
			o.engine.run = optarg;
			break;
		case DRIVER:
			o.engine.storage_driver = optarg;
			break;
		case 'D':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'v':
			puts("havred version " HAVRE_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return 125;
		}
	}
	if (optind < argc)
		return fail(err_new(ERR_INVALID, "unexpected argument \"%s\"; see --help", argv[optind]));
	/* Monitors run `havre container cleanup`, not us. */
	struct err *e = engine_program_path(NULL, "havre", &program);
	o.engine.program = program;
	o.hosts = hosts;
	if (!e)
		e = api_serve(&o);
	return e ? fail(e) : 0;
}
