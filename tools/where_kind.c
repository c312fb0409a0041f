// SPDX-License-Identifier: GPL-2.0
#include <stdbool.h>

#include "where_kind.h"

/* By enum fault_kind: a word for data, and a text for people. */
static const struct {
	const char *word;
	const char *text;
} kinds[NR_KINDS] = {
	[KIND_FIRST_TOUCH] = { "first-touch", "first touch of anonymous memory" },
	[KIND_SWAP_IN] = { "swap-in", "swap-in" },
	[KIND_PAGE_CACHE] = { "page-cache", "file mapped from the page cache" },
	[KIND_DISK] = { "disk", "file read from disk" },
	[KIND_COPY] = { "copy", "copy on write" },
	[KIND_CLEAN] = { "clean", "write to a clean shared page" },
	[KIND_HINT] = { "hint", "NUMA hint or access flag" },
	[KIND_UNKNOWN] = { "unknown", "unknown" },
};

static const char *const accesses[NR_ACCESSES] = {
	[ACCESS_READ] = "read",
	[ACCESS_WRITE] = "write",
	[ACCESS_EXECUTE] = "execute",
	[ACCESS_UNKNOWN] = "unknown",
};

/* Returns what the kernel has done in a fault, as far as its flags show it. */
enum fault_kind fault_kind(const struct mp3_fault *fault)
{
	bool known = fault->flags & MP3_FAULT_ACCESS_KNOWN;
	bool write = fault->flags & MP3_FAULT_WRITE;
	bool shared = fault->flags & MP3_FAULT_SHARED;
	bool file = fault->file != MP3_NO_FILE;

	/* First: Linux 5.10 counts the first write to a clean page as major. */
	if (known && fault->flags & MP3_FAULT_PRESENT) {
		if (!write)
			return KIND_HINT;
		return shared ? KIND_CLEAN : KIND_COPY;
	}
	if (fault->flags & MP3_FAULT_MAJOR)
		return file ? KIND_DISK : KIND_SWAP_IN;
	if (!known)
		return KIND_UNKNOWN;
	if (!file)
		return KIND_FIRST_TOUCH;

	/* A private mapping gets a copy at once. */
	return write && !shared ? KIND_COPY : KIND_PAGE_CACHE;
}

/* Returns what the program has done. */
enum fault_access fault_access(const struct mp3_fault *fault)
{
	if (!(fault->flags & MP3_FAULT_ACCESS_KNOWN))
		return ACCESS_UNKNOWN;
	if (fault->flags & MP3_FAULT_WRITE)
		return ACCESS_WRITE;

	return fault->flags & MP3_FAULT_EXEC ? ACCESS_EXECUTE : ACCESS_READ;
}

/* Returns the word for a kind in data. */
const char *kind_word(enum fault_kind kind)
{
	return kinds[kind].word;
}

/* Returns the description of a kind. */
const char *kind_text(enum fault_kind kind)
{
	return kinds[kind].text;
}

/* Returns the word for an access. */
const char *access_word(enum fault_access access)
{
	return accesses[access];
}
