# SPDX-License-Identifier: GPL-2.0
# How DKMS builds the module: see dkms.conf. KDIR is the folder of the headers.

KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR)

# A build that fails for lack of memory can succeed with one job.
.PHONY: module
module:
	+$(KBUILD) modules || $(KBUILD) -j1 modules || \
		$(KBUILD) MP3_PLACEHOLDER=y modules
