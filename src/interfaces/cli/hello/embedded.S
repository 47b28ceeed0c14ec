/* SPDX-License-Identifier: Apache-2.0 */
/* The archive of havre/hello, as the symbols of src/interfaces/cli/embedded.h. */
	.section .rodata
	.balign 16
	.globl embedded_image_begin, embedded_image_end
	.type embedded_image_begin, %object
embedded_image_begin:
	.incbin ARCHIVE
embedded_image_end:
	.size embedded_image_begin, . - embedded_image_begin
	.section .note.GNU-stack,"",%progbits
