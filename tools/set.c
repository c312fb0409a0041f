// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "set.h"

/* Returns a number that differs for almost all keys. */
__u64 set_hash(const void *key, size_t size)
{
	const unsigned char *bytes = key;
	__u64 hash = 0xcbf29ce484222325;
	size_t i;

	for (i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;

	/* The slot is chosen by the low bits. */
	return hash ^ hash >> 32;
}

/* Returns the slot of @key, or the one that it would be put in. */
static __u32 *find_slot(const struct set *set, const void *key)
{
	size_t i = set_hash(key, set->key_size) & (set->nr_slots - 1);

	while (set->slots[i] &&
	       memcmp(set_item(set, set->slots[i] - 1), key, set->key_size))
		i = (i + 1) & (set->nr_slots - 1);

	return &set->slots[i];
}

/* Returns the item that starts with @key, or NULL. */
void *set_find(const struct set *set, const void *key)
{
	__u32 index = set->nr ? *find_slot(set, key) : 0;

	return index ? set_item(set, index - 1) : NULL;
}

static void grow(struct set *set)
{
	size_t i;

	if (set->nr == set->capacity) {
		set->capacity = set->capacity ? 2 * set->capacity : 16;
		set->items = reallocarray(set->items, set->capacity,
					  set->item_size);
		if (!set->items)
			err(1, "table");
	}
	if (2 * (set->nr + 1) <= set->nr_slots)
		return;
	set->nr_slots = set->nr_slots ? 2 * set->nr_slots : 64;
	free(set->slots);
	set->slots = calloc(set->nr_slots, sizeof(*set->slots));
	if (!set->slots)
		err(1, "table");
	for (i = 0; i < set->nr; i++)
		*find_slot(set, set_item(set, i)) = (__u32)(i + 1);
}

/**
 * set_get() - find the item with a key, or add one
 * @set:   the set
 * @key:   @set->key_size bytes
 * @added: set to whether it was added: it is zero then, after its key; can be NULL
 *
 * Exits if there is no memory.
 *
 * Return: the item.
 */
void *set_get(struct set *set, const void *key, bool *added)
{
	void *item = set_find(set, key);

	if (added)
		*added = !item;
	if (item)
		return item;

	grow(set);
	*find_slot(set, key) = (__u32)(set->nr + 1);
	item = set_item(set, set->nr++);
	memset(item, 0, set->item_size);

	return memcpy(item, key, set->key_size);
}

/* Removes all items, and frees the memory. */
void set_free(struct set *set)
{
	free(set->items);
	free(set->slots);
	*set = (struct set){
		.item_size = set->item_size,
		.key_size = set->key_size,
	};
}
