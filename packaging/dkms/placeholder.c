// SPDX-License-Identifier: GPL-2.0
/*
 * mp3: what DKMS installs if it cannot build mp3 for a kernel. It cannot be loaded,
 * and only reports why.
 */
#include <linux/module.h>

#include "../../mp3_uapi.h"

static int __init mp3_init(void)
{
	pr_err("mp3: version %s could not be built for this kernel: see /var/lib/dkms/mp3/%s/*/*/log/make.log\n",
	       MP3_VERSION, MP3_VERSION);
	return -EOPNOTSUPP;
}
module_init(mp3_init);

MODULE_DESCRIPTION("placeholder: mp3 could not be built for this kernel");
MODULE_VERSION(MP3_VERSION);
MODULE_LICENSE("GPL");
