// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <errno.h>
#include <string.h>

#include "habits.h"
#include "util.h"

/**
 * struct habit - what to use in place of options that mp3ctl does not have
 * @commands: sub-commands that it is for
 * @options:  the options, or the sub-commands if @commands is empty
 * @hint:     what to use; part of a line
 *
 * The names are words between blanks.
 */
static const struct habit {
	const char *commands;
	const char *options;
	const char *hint;
} habits[] = {
	{ "", " stat time ", "mp3ctl run reports what a command costs" },
	{ "", " trace script ", "mp3ctl watch prints records" },
	{ "", " list ", "mp3ctl --help lists the commands" },
	{ "", " version -v ", "mp3ctl --version" },

	{ " run ", " -p --pid ", "mp3ctl attach -p profiles running processes" },
	{ " run ", " -a --all --all-cpus ",
	  "mp3ctl attach -a profiles all processes" },
	{ " run ", " -I --interval --interval-print -i ",
	  "mp3ctl watch -i prints the counts of intervals" },
	{ " run attach ", " -e --event -d --detailed ",
	  "the report contains all counts" },
	{ " run attach ", " -v --verbose -c --summary-only ",
	  "the report contains all counts" },
	{ " run attach diff ",
	  " -x --field-separator --format --export-csv --export-json ",
	  "--csv and --json write the report for programs, -o into a file" },
	{ " run diff ", " -N --runs --max-runs --min-runs ",
	  "-r repeats the command" },
	{ " run diff ", " -w --warmup ",
	  "run the command once before, as in mp3ctl run -q" },
	{ " run diff ", " -S --shell ", "a line for a shell is: sh -c '...'" },
	{ " attach record where ", " -t --tid ",
	  "-p takes the id of any thread of a process" },
	{ " attach record where ", " -u --uid --user ",
	  "-p selects processes: -p \"$(pgrep -d, -u USER)\"" },

	{ " record ", " -g --call-graph ",
	  "--stacks locates faults with their callers" },
	{ " record ", " -F --freq -c --count -e --event ",
	  "--faults locates each fault, --faults=N one in N" },
	{ " report ", " -i --input ", "the recording is an argument" },
	{ " report ", " --csv --json --format ",
	  "mp3ctl export writes a recording for programs" },
	{ " report ", " -s --sort -g --call-graph ",
	  "mp3ctl where shows files, functions and call paths" },

	{ " top ", " -o --sort-key ", "-s KEY sorts" },
	{ " top ", " -u -U ", "--user selects a user" },
	{ " top ", " -F ", "--name selects processes by name" },
	{ " top ", " --delay ", "-i sets the interval" },

	{ " watch ", " -n -c --count ",
	  "the count follows the interval: mp3ctl watch 1 10" },
	{ " watch ", " -r -u -l ", "each line contains all counts" },
	{ " watch ", " -C -G ", "--filter name=NAME selects names" },
	{ " watch ", " -U --user ", "--filter user=USER selects a user" },
	{ " watch ", " -T -t ", "--by sums up by name, user, cgroup or tree" },
	{ " watch ", " -o --output ", "redirect the output: > FILE" },
	{ " watch ", " -H ", "--time wall prints date and time" },
	{ " watch ", " --csv ", "--format csv prints csv" },
	{ " watch ", " --json ", "--format json prints JSON" },
};

/* Returns whether a list contains a word between blanks. */
static bool contains(const char *list, const char *word)
{
	size_t length = strlen(word);
	const char *found = list;

	while (length && (found = strstr(found, word))) {
		if (found > list && found[-1] == ' ' && found[length] == ' ')
			return true;
		found++;
	}

	return false;
}

/* Returns the hint for an option of a sub-command, or NULL. */
static const char *find(const char *command, const char *option)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(habits); i++)
		if (contains(habits[i].options, option) &&
		    (command ? contains(habits[i].commands, command) :
			       !habits[i].commands[0]))
			return habits[i].hint;

	return NULL;
}

/* Returns what to use in place of an option of the current sub-command, or NULL. */
const char *habit_of_option(const char *option)
{
	const char *command = strchr(program_invocation_short_name, ' ');

	return command ? find(command + 1, option) : NULL;
}

/* Returns what to use in place of a sub-command, or NULL. */
const char *habit_of_command(const char *word)
{
	return find(NULL, word);
}
