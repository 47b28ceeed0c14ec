/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of files to copy, by docker's rules, in a container's root or this machine's. */
#ifndef ENGINE_FILE_PATH_H
#define ENGINE_FILE_PATH_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/inroot.h"

/* Joins `path` to `base` when it is relative and resolves "." and ".." by text. Caller frees. */
char *file_path_clean(const char *base, const char *path);
/* Of a cleaned path: its last name ("." of "/"; borrowed), and what is before it (caller frees). */
const char *file_path_base(const char *path);
char *file_path_directory(const char *path);
/* Follows symbolic links at the end of *path (replaced, owned), also to what is not there yet. *ret: of what is there. */
_must_check_ struct err *file_path_follow(const struct inroot *root, char **path, bool *ret_exists,
					  struct stat *ret);

#endif
