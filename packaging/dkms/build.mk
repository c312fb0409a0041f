# SPDX-License-Identifier: GPL-2.0
# How DKMS builds the module: see dkms.conf. KDIR is the folder of the headers.

KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR)

.PHONY: module
module:
	+$(KBUILD) modules || $(KBUILD) MP3_PLACEHOLDER=y modules
