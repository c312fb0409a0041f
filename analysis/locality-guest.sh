#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Usage: locality-guest.sh COMMAND COMMAND
#
# What "make study" runs in the guest for study "locality" after its two runs: locates
# the faults of both commands. Leaves the recordings in /out, and prints notes of the run.

set -e

echo "kernel $(uname -srv)"
# shellcheck disable=SC2086	# a command is words
mp3ctl where -o /out/random.rec -- $1 >/dev/null 2>&1
# shellcheck disable=SC2086	# likewise
mp3ctl where -o /out/local.rec -- $2 >/dev/null 2>&1
