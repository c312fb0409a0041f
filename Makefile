# SPDX-License-Identifier: GPL-2.0
# For people; kbuild reads Kbuild. "make help" lists the targets.

KDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr/local
# Kernel of the guest, from the table in tests/vm/lib.sh
KERNEL ?= 6.1

# Where the tools are built: make tools O=DIR
O ?= .
# kbuild has an O of its own.
MAKEOVERRIDES := $(filter-out O=%,$(MAKEOVERRIDES))

CFLAGS ?= -O2 -g
TOOL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra
TOOLS := mp3ctl userapp monitor work
# What the screen of mp3ctl top needs; empty: build without it.
CURSES ?= $(shell $(CC) $(CPPFLAGS) -include curses.h -E -x c /dev/null \
	>/dev/null 2>&1 && echo -DMP3_HAVE_CURSES -lncursesw)
# What finds functions for mp3ctl where: elfutils; empty: build without it.
LIBDW ?= $(shell echo "int main(void) { return 0; }" | $(CC) $(CPPFLAGS) \
	$(LDFLAGS) -include elfutils/libdwfl.h -o /dev/null -x c - -ldw -lelf \
	>/dev/null 2>&1 && echo -DMP3_HAVE_LIBDW -ldw -lelf -ldl)
# What serves HTTP for mp3ctl serve, which loads it; empty: build without it.
MICROHTTPD ?= $(shell $(CC) $(CPPFLAGS) -include microhttpd.h -E -x c /dev/null \
	>/dev/null 2>&1 && echo -DMP3_HAVE_MICROHTTPD -ldl)

.PHONY: all
all: tools module		## build the tools, and the module for this kernel

.PHONY: tools
tools: $(addprefix $(O)/,$(TOOLS))	## build only the tools: O=DIR CURSES= LIBDW= MICROHTTPD=

# All headers, since compiling everything takes a second.
$(O)/mp3ctl: $(wildcard tools/*.c)
$(O)/userapp: userapp.c tools/command.c tools/proc.c tools/util.c
$(O)/monitor: monitor.c tools/util.c
$(O)/work: work.c tools/util.c
$(addprefix $(O)/,$(TOOLS)): $(wildcard *.h tools/*.h)
	@mkdir -p $(O)
	$(CC) $(TOOL_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ \
		$(filter %.c,$^) $(LDLIBS)
$(O)/mp3ctl: LDLIBS += $(CURSES) $(LIBDW) $(MICROHTTPD) -lm

# kbuild cannot build in a path that contains a blank.
BLANK_PATH := $(filter-out 1,$(words $(CURDIR)))

.PHONY: module
module:				## build only the module: KDIR=headers
	@$(if $(BLANK_PATH),echo "mp3: kbuild cannot build the module in a path" \
		"that contains a blank: $(CURDIR)" >&2; exit 1)
	@test -d $(KDIR) || { echo "mp3: no kernel headers in $(KDIR)" \
		"(Debian: apt install linux-headers-$$(uname -r))" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

.PHONY: load unload
load:				## load the module (as root): PARAMS="interval_ms=10"
	insmod ./mp3.ko $(PARAMS)
unload:				## unload the module (as root)
	rmmod mp3

.PHONY: plot
plot:				## draw profile.data: DATA=file for another, ARGS=--html
	analysis/plot $(ARGS) $(or $(DATA),profile.data)

.PHONY: demo
demo:				## profile two programs in a guest and draw the chart: 2 minutes
	analysis/demo

.PHONY: study
study:				## run the case studies again, in a guest: 20 minutes
	analysis/study

.PHONY: shell
shell:				## start a shell in a guest with the module loaded
	tests/vm/setup $(KERNEL)
	tests/vm/build -k $(KERNEL)
	$(MAKE) tools
	tests/vm/run -k $(KERNEL) $(addprefix -f ,$(TOOLS)) --shell

.PHONY: test
test:				## run all tests, in guests: KERNEL=6.12 TESTS="exact access"
	tests/run -k $(KERNEL) $(TESTS)

.PHONY: test-all
test-all:			## run all tests on every kernel: KERNELS="5.10 6.12"
	tests/all $(KERNELS)

.PHONY: test-packages
test-packages:			## build, install, upgrade and remove the packages
	tests/packages/run
	tests/packages/rpm.sh
	tests/packages/arch.sh

.PHONY: test-random
test-random:			## run 1,000 random workloads: SEED=1 NR=100
	tests/random -k $(KERNEL) $(or $(SEED),$(shell date +%s)) $(NR)

.PHONY: fuzz
fuzz:				## run random operations of several users: SEED=1 SECONDS=60
	tests/fuzz -k $(KERNEL) $(or $(SEED),$(shell date +%s)) $(SECONDS)

.PHONY: fuzz-parser
fuzz-parser:			## fuzz the parsers of commands and recordings: SECONDS=600
	tests/vm/setup --with clang --with libclang-rt-14-dev $(KERNEL)
	tests/fuzz_parser/run $(if $(SECONDS),-s $(SECONDS))

.PHONY: mutants
mutants:			## check that the tests catch faults: MUTANTS=names
	tests/mutants/run -k $(KERNEL) $(MUTANTS)

.PHONY: coverage
coverage:			## show which lines of the module the tests run
	tests/coverage $(TESTS)

.PHONY: bench
bench:				## measure mp3 and its alternatives: FULL=1 for longer
	bench/run $(if $(FULL),--full) -k $(KERNEL)

.PHONY: check
check:				## run checkpatch, sparse, W=1, cppcheck, ...
	tests/check

# The kernel that the module is for, and from which uninstall-module removes it; that
# fails if the module is installed for other kernels only. Without headers, only the
# name of the folder shows the kernel.
RELEASE ?= $(or $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null), \
	$(patsubst /lib/modules/%/build,%,$(filter /lib/modules/%/build,$(KDIR))))

# Debug information makes a module ten times as large; empty: keep it.
INSTALL_MOD_STRIP ?= 1

# kbuild does not run depmod if there is no System.map.
DEPMOD = $(if $(DESTDIR),,test ! -d /lib/modules/$(RELEASE) || depmod -a $(RELEASE))

BINDIR = $(DESTDIR)$(PREFIX)/bin
MANDIR = $(DESTDIR)$(PREFIX)/share/man
INCLUDEDIR = $(DESTDIR)$(PREFIX)/include
RULESDIR = $(DESTDIR)/etc/udev/rules.d
SHAREDIR = $(DESTDIR)$(PREFIX)/share/mp3
HEADERS := mp3_uapi.h mp3_client.h
# What mp3ctl plot runs, and what that reads
PLOT_SCRIPTS := $(addprefix analysis/,plot accumulated latency faultmap)
PLOT_FILES := analysis/lib.sh analysis/page.html \
	$(patsubst %,analysis/%.awk,accumulated counts faults latency map offsets \
		processes read records stack table text) \
	$(patsubst %,analysis/%.gp,accumulated faultmap figure filemap latency maps \
		panel picture processes profile style terminal)
MAN_SECTIONS := 1 3 4
# bash-completion loads this file when "mp3ctl" is completed for the first time.
COMPLETION = $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mp3ctl
# Units of systemd; mp3-exporter.default has their options.
UNITS := mp3-exporter.service mp3-exporter.socket mp3-textfile.service
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
EXAMPLES := python/example.py examples/measure.cpp
# The rules of Prometheus with their tests
RULES := packaging/prometheus/mp3.rules.yml packaging/prometheus/mp3.rules_test.yml
# The module for Python; PYTHONDIR= puts it where an interpreter finds it.
PYTHONDIR = $(PREFIX)/share/mp3/python

.PHONY: install install-tools install-module
install: all install-tools install-module	## install tools and module (as root)
install-tools: tools		## install tools, man pages, headers, examples, udev rule
	install -D -t $(BINDIR) $(addprefix $(O)/,$(TOOLS))
	$(foreach n,$(MAN_SECTIONS),$(if $(wildcard man/*.$n),\
		install -D -m 644 -t $(MANDIR)/man$n $(wildcard man/*.$n) &&)) :
	install -D -m 644 -t $(INCLUDEDIR) $(HEADERS)
	install -D -m 644 -t $(RULESDIR) packaging/60-mp3.rules
	install -D -t $(SHAREDIR)/analysis $(PLOT_SCRIPTS)
	install -D -m 644 -t $(SHAREDIR)/analysis $(PLOT_FILES)
	install -D -m 644 packaging/mp3ctl.bash $(COMPLETION)
	install -D -m 644 -t $(SHAREDIR)/prometheus $(RULES)
	install -D -m 644 -t $(SHAREDIR)/grafana packaging/grafana/mp3.json
	install -D -m 644 -t $(DESTDIR)$(PYTHONDIR) python/mp3.py
	install -D -m 644 -t $(SHAREDIR)/examples $(EXAMPLES)
	install -d $(UNITDIR)
	$(foreach unit,$(UNITS),sed 's|/usr/bin/mp3ctl|$(PREFIX)/bin/mp3ctl|' \
		packaging/$(unit) >$(UNITDIR)/$(unit) &&) :
	chmod 644 $(addprefix $(UNITDIR)/,$(UNITS))
install-module: module		## install only the module: KDIR=headers
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) \
		INSTALL_MOD_STRIP=$(INSTALL_MOD_STRIP) modules_install
	$(DEPMOD)

.PHONY: uninstall uninstall-tools uninstall-module
uninstall: uninstall-tools uninstall-module	## remove what install has installed
uninstall-tools:		## remove what install-tools has installed
	rm -f $(addprefix $(BINDIR)/,$(TOOLS))
	rm -f $(foreach n,$(MAN_SECTIONS),\
		$(addprefix $(MANDIR)/man$n/,$(notdir $(wildcard man/*.$n))))
	rm -f $(addprefix $(INCLUDEDIR)/,$(HEADERS))
	rm -f $(RULESDIR)/60-mp3.rules
	rm -f $(addprefix $(SHAREDIR)/,$(PLOT_SCRIPTS) $(PLOT_FILES))
	rm -f $(COMPLETION)
	rm -f $(addprefix $(SHAREDIR)/prometheus/,$(notdir $(RULES)))
	rm -f $(SHAREDIR)/grafana/mp3.json
	rm -f $(DESTDIR)$(PYTHONDIR)/mp3.py
	rm -f $(DESTDIR)$(PYTHONDIR)/__pycache__/mp3.*
	rm -f $(addprefix $(SHAREDIR)/examples/,$(notdir $(EXAMPLES)))
	rm -f $(addprefix $(UNITDIR)/,$(UNITS))
	rmdir $(addprefix $(SHAREDIR),/analysis /examples /grafana /prometheus /python) \
		$(SHAREDIR) 2>/dev/null || :
uninstall-module:		## remove what install-module has installed
	@test -n "$(RELEASE)" || { echo "mp3: no kernel headers in $(KDIR):" \
		"name the kernel, as in RELEASE=$$(uname -r)" >&2; exit 1; }
	@set -- $(DESTDIR)/lib/modules/$(RELEASE)/*/mp3.ko*; \
	test ! -e "$$1" || { echo "rm -f $$*"; rm -f "$$@"; exit; }; \
	set -- $(DESTDIR)/lib/modules/*/*/mp3.ko*; \
	test ! -e "$$1" || { echo "mp3: not installed for $(RELEASE); remove these" \
		"with RELEASE=KERNEL: $$*" >&2; exit 1; }
	$(DEPMOD)

VERSION = $(shell packaging/version)

# What DKMS needs to build the module
DKMS_FILES := dkms.conf Kbuild $(addprefix mp3,.c _compat.h _given.h _located.h _uapi.h)
DKMS_BUILD := $(addprefix packaging/dkms/,build.mk placeholder.c)
DKMSDIR = $(DESTDIR)/usr/src/mp3-$(VERSION)

.PHONY: dkms-install dkms-remove
dkms-install:			## build the module for all kernels, now and later, with DKMS
	$(if $(DESTDIR),,$(MAKE) dkms-remove)
	install -D -m 644 -t $(DKMSDIR) $(DKMS_FILES)
	install -D -m 644 -t $(DKMSDIR)/packaging/dkms $(DKMS_BUILD)
	install -D -t $(DKMSDIR)/packaging/dkms packaging/dkms/report
	$(if $(DESTDIR),,packaging/dkms/manage install)
dkms-remove:			## remove what dkms-install has installed, of all versions
	packaging/dkms/manage remove

.PHONY: deb
deb:				## build the Debian packages, in build/deb
	packaging/deb

.PHONY: clean
clean:				## remove what was built
	rm -rf build $(addprefix $(O)/,$(TOOLS))
	@$(if $(BLANK_PATH),,! test -d $(KDIR) || $(MAKE) -C $(KDIR) M=$(CURDIR) clean)

# Of the last commit, with its time: everybody who makes it gets the same bytes.
.PHONY: dist
dist: NAME = mp3-$(shell git show HEAD:mp3_uapi.h 2>/dev/null | \
	sed -n 's/.*MP3_VERSION\t"\(.*\)"$$/\1/p')
dist:				## make mp3-VERSION.tar.xz of the last commit
	@git rev-parse -q --verify HEAD >/dev/null || { echo "mp3: make dist needs" \
		"a clone of the repository" >&2; exit 1; }
	@git diff --quiet HEAD || echo "mp3: the tarball is that of the last commit," \
		"without your changes" >&2
	git -c tar.umask=0022 -c core.autocrlf=false archive --prefix=$(NAME)/ -o $(NAME).tar HEAD
	xz -f -9 -T1 $(NAME).tar

.PHONY: help
help:				## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 22
