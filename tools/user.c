// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "name.h"
#include "set.h"
#include "user.h"

/* Inode of the initial user namespace: PROC_USER_INIT_INO. */
#define INITIAL_USER_NAMESPACE 0xeffffffd

/**
 * struct user - a user that was looked up
 * @uid:  user id
 * @name: its name, printable, or NULL
 */
struct user {
	__u32 uid;
	char *name;
};

static bool are_recorded;	/* they are those of a recording */
static struct set users = {
	.item_size = sizeof(struct user),
	.key_size = sizeof(__u32),
};

/* Returns the name of a user, or NULL. Exits if there is no memory. */
static char *look_up_user(__u32 uid)
{
	const struct passwd *entry;
	struct stat info;

	/* The ids in records are those of the initial user namespace. */
	if (are_recorded || (!stat("/proc/self/ns/user", &info) &&
			     info.st_ino != INITIAL_USER_NAMESPACE))
		return NULL;
	entry = getpwuid(uid);

	return entry ? text_escape(entry->pw_name, "") : NULL;
}

/**
 * user_name() - look up the name of a user
 * @uid: the user id, from an identity record
 *
 * The first call for an @uid looks it up, later ones return the same name.
 *
 * Return: the name, printable, or NULL if the user has none, or if this is another user
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

static bool is_id(const char *text)
{
	return text[0] && !text[strspn(text, "0123456789")];
}

/* Returns whether a text is the id of a user, or the name, as it is or as it is printed. */
bool user_is(__u32 uid, const char *text)
{
	const char *name;
	char *original;
	bool is;

	if (is_id(text))
		return strtoull(text, NULL, 10) == uid;
	name = user_name(uid);
	if (!name)
		return false;
	original = text_original(name);
	is = !strcmp(original, text) || !strcmp(name, text);
	free(original);

	return is;
}

/* Returns whether a text is an id, or the name of a user of this machine. */
bool user_exists(const char *text)
{
	return is_id(text) || getpwnam(text);
}

/**
 * user_recorded() - add the name of a user from a recording
 * @uid:  its user id
 * @name: its name, printable; NULL: none
 *
 * From now on, user_name() looks up no user of this machine. Exits if there is no
 * memory.
 */
void user_recorded(__u32 uid, const char *name)
{
	struct user *user;
	bool added;

	are_recorded = true;
	if (!name)
		return;
	user = set_get(&users, &uid, &added);
	if (!added)
		return;
	user->name = strdup(name);
	if (!user->name)
		err(1, "name of a user");
}
