/* SPDX-License-Identifier: Apache-2.0 */
/* The image inside the program: an archive made at build time in hello/. */
#ifndef CLI_EMBEDDED_H
#define CLI_EMBEDDED_H

#define EMBEDDED_REFERENCE "havre/hello:latest"
extern const char embedded_image_begin[], embedded_image_end[];

#endif
