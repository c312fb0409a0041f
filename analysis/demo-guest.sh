#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What "make demo" runs in the guest
set -e
work 200 R 50000 >/dev/null &
work 200 L 10000 >/dev/null &
wait
monitor >/out/profile.data
