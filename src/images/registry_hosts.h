/* SPDX-License-Identifier: Apache-2.0 */
/* Private: containerd's hosts.toml, one per registry below ~/.config/containerd/certs.d and /etc/containerd/certs.d (the first that is there counts):
 * who answers for a registry, and for what. */
#ifndef IMAGES_REGISTRY_HOSTS_H
#define IMAGES_REGISTRY_HOSTS_H

#include "registry.h"

/* Appends to `ret`, which has no entries, those who are asked for domain/path in their order, the registry itself last. Nothing is appended
 * when no file speaks of the registry. ERR_INVALID names the file. Headers, client certificates and time-outs of a host are ERR_UNSUPPORTED:
 * what they are meant for would not work without them. */
_must_check_ struct err *registry_hosts_read(const char *domain, const char *path, enum registry_use use,
					     struct registry_endpoints *ret);

#endif
