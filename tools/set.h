/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A set of items that are found by their first bytes.
 */
#ifndef MP3_TOOLS_SET_H
#define MP3_TOOLS_SET_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

/**
 * struct set - items, each of which starts with its key
 * @item_size: bytes of an item
 * @key_size:  bytes of its key, without padding
 * @items:     the items, in the order in which they were added
 * @nr:	       how many
 * @capacity:  how many @items has memory for
 * @slots:     for each hash, the index of an item plus one, or 0
 * @nr_slots:  a power of two, at least twice @nr; 0 in an empty set
 *
 * The caller sets the first two fields, and zeros the others. It may sort the
 * items once it adds and finds none any longer.
 */
struct set {
	size_t item_size;
	size_t key_size;
	char *items;
	size_t nr;
	size_t capacity;
	__u32 *slots;
	size_t nr_slots;
};

__u64 set_hash(const void *key, size_t size);
void *set_find(const struct set *set, const void *key);
void *set_get(struct set *set, const void *key, bool *added);
void set_free(struct set *set);

/* Returns an item by its index. It moves when one is added. */
static inline void *set_item(const struct set *set, size_t index)
{
	return set->items + index * set->item_size;
}

#endif /* MP3_TOOLS_SET_H */
