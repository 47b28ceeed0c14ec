/* SPDX-License-Identifier: Apache-2.0 */
/* havre-monitor: see src/engine/monitor/monitor.h. */
#include "monitor.h"

int main(int argc, char **argv)
{
	return monitor_main(argc, argv);
}
