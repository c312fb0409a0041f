#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build-guest.sh [NAME...]
#
# The build of study "build", in the guest: compiles and then links the C programs
# of /src/tests/guest, or only those named, four at a time.

set -e

# shellcheck disable=SC2046	# names are words
[ $# != 0 ] || set -- $(cd /src/tests/guest && echo *.c | sed 's/\.c\>//g')
export PATH="$PATH:/usr/bin"
mkdir /tmp/build
cd /tmp/build
cat >Makefile <<END
programs := $*
compile: \$(programs:=.o)
link: \$(programs)
%.o: /src/tests/guest/%.c
	gcc -std=gnu11 -D_GNU_SOURCE -g -c -o \$@ \$<
%: %.o
	gcc -pthread -o \$@ \$<
END
make -s -j4 compile
make -s -j4 link
