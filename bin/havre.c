// SPDX-License-Identifier: Apache-2.0
/* The command line. Everything is in src/interfaces/cli. Linked statically, where that is possible; HAVRE_TRANSFER is then the name of
 * the program beside it that can load libraries. */
#include "cli.h"

#ifndef HAVRE_TRANSFER
#define HAVRE_TRANSFER NULL
#endif

int main(int argc, char **argv)
{
	return cli_main(argc, argv, HAVRE_TRANSFER);
}
