/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic for about ten milliseconds: how far this machine's processors scale when nothing but themselves is in the way. */
int main(void)
{
	volatile unsigned x = 1;

	for (int i = 0; i < 10000000; i++)
		x = x * 1664525u + 1013904223u;
	return 0;
}
