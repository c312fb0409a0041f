/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kinds of faults, and kinds of accesses.
 */
#ifndef MP3_TOOLS_WHERE_KIND_H
#define MP3_TOOLS_WHERE_KIND_H

#include "../mp3_uapi.h"

/**
 * enum fault_kind - what the kernel has done in a fault
 * @KIND_FIRST_TOUCH: supplied anonymous memory; or, if that was minor, mapped a
 *		      page of it that was in the swap cache
 * @KIND_SWAP_IN:     read anonymous memory from swap
 * @KIND_PAGE_CACHE:  mapped a page of a file that was in the page cache
 * @KIND_DISK:	      read a page of a file
 * @KIND_COPY:	      copied a page, or made the last copy writable
 * @KIND_CLEAN:	      made a clean page of a shared mapping writable
 * @KIND_HINT:	      made a page accessible again: a NUMA hint, or the access flag
 * @KIND_UNKNOWN:     minor, and the access is unknown
 * @NR_KINDS:	      how many kinds there are
 */
enum fault_kind {
	KIND_FIRST_TOUCH,
	KIND_SWAP_IN,
	KIND_PAGE_CACHE,
	KIND_DISK,
	KIND_COPY,
	KIND_CLEAN,
	KIND_HINT,
	KIND_UNKNOWN,
	NR_KINDS,
};

/**
 * enum fault_access - what the program has done
 * @ACCESS_READ:    read
 * @ACCESS_WRITE:   write
 * @ACCESS_EXECUTE: fetch an instruction
 * @ACCESS_UNKNOWN: not known
 * @NR_ACCESSES:    how many accesses there are
 */
enum fault_access {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_EXECUTE,
	ACCESS_UNKNOWN,
	NR_ACCESSES,
};

enum fault_kind fault_kind(const struct mp3_fault *fault);
enum fault_access fault_access(const struct mp3_fault *fault);

const char *kind_word(enum fault_kind kind);
const char *kind_text(enum fault_kind kind);
const char *access_word(enum fault_access access);

#endif /* MP3_TOOLS_WHERE_KIND_H */
