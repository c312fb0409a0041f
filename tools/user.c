// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "set.h"
#include "user.h"

/* Inode of the initial user namespace: PROC_USER_INIT_INO. */
#define INITIAL_USER_NAMESPACE 0xeffffffd

/**
 * struct user - a user that was looked up
 * @uid:  user id
 * @name: its name, or NULL
 */
struct user {
	__u32 uid;
	char *name;
};

static struct set users = {
	.item_size = sizeof(struct user),
	.key_size = sizeof(__u32),
};

/* Returns the name of a user, or NULL. Exits if there is no memory. */
static char *look_up_user(__u32 uid)
{
	const struct passwd *entry;
	struct stat info;
	char *name;

	/* The ids in records are those of the initial user namespace. */
	if (!stat("/proc/self/ns/user", &info) &&
	    info.st_ino != INITIAL_USER_NAMESPACE)
		return NULL;
	entry = getpwuid(uid);
	if (!entry)
		return NULL;
	name = strdup(entry->pw_name);
	if (!name)
		err(1, "name of a user");

	return name;
}

/**
 * user_name() - look up the name of a user
 * @uid: the user id, from an identity record
 *
 * The first call for an @uid looks it up, later ones return the same name.
 *
 * Return: the name, or NULL if the user has none, or if this is another user
 * namespace than the initial one. Exits if there is no memory.
 */
const char *user_name(__u32 uid)
{
	struct user *user;
	bool added;

	user = set_get(&users, &uid, &added);
	if (added)
		user->name = look_up_user(uid);

	return user->name;
}
