// SPDX-License-Identifier: GPL-2.0
/* What this user may do with the loaded module, for mp3ctl doctor. */
#include <grp.h>
#include <pwd.h>
#include <sys/sysmacros.h>

#include "capture.h"
#include "doctor.h"
#include "name.h"
#include "util.h"

#define MODULE "/sys/module/mp3/"

static const struct doctor *examined;

/* Returns a number in a file, or 0 if it cannot be read. */
static unsigned int read_count(const char *path)
{
	char *text = doctor_read(examined, path);
	unsigned int count = text ? (unsigned int)strtoul(text, NULL, 10) : 0;

	free(text);
	return count;
}

/* Returns whether a parameter that is a switch is off. */
static bool is_off(const char *path)
{
	char *text = doctor_read(examined, path);
	bool off = text && text[0] == 'N';

	free(text);
	return off;
}

static bool find_node(const char *path, struct stat *info)
{
	char *name = doctor_path(examined, path);
	bool found = !stat(name, info);

	free(name);
	return found;
}

/* Returns the mode and the group of a node, to be freed. */
static char *describe_node(const struct stat *info)
{
	const struct group *group = getgrgid(info->st_gid);
	char *name, *text;

	name = group ? text_escape(group->gr_name, "") :
		       text_format("%u", info->st_gid);
	text = text_format("mode %04o, group %s", info->st_mode & 0777, name);
	free(name);

	return text;
}

/*
 * Returns the command that adds this user to the group that may read and write a
 * node, to be freed; or NULL if there is none but that of root.
 */
static char *join_group(const struct stat *info)
{
	const struct passwd *passwd = getpwuid(geteuid());
	const struct group *group = getgrgid(info->st_gid);

	if (!passwd || !group || !info->st_gid || (~info->st_mode & 0060))
		return NULL;
	return text_format("sudo usermod -aG %s %s    (then log in again)",
			   group->gr_name, passwd->pw_name);
}

/* ---- Device numbers ---- */

/*
 * Returns the numbers that the module has given a device, such as "423 2", to be
 * freed; or NULL if they cannot be read.
 */
static char *read_numbers(const char *node)
{
	char *path = text_format("/sys/class/mp3/%s/dev", strrchr(node, '/') + 1);
	char *numbers = doctor_read(examined, path);
	char *colon = numbers ? strchr(numbers, ':') : NULL;

	free(path);
	if (colon) {
		*colon = ' ';
		return numbers;
	}
	free(numbers);
	return NULL;
}

/* Returns whether a node is that of another device than the one of its name. */
static bool is_outdated(const char *node)
{
	char *numbers = read_numbers(node), *found;
	bool outdated = false;
	struct stat info;

	if (numbers && find_node(node, &info) && S_ISCHR(info.st_mode)) {
		found = text_format("%u %u", major(info.st_rdev),
				    minor(info.st_rdev));
		outdated = strcmp(found, numbers);
		free(found);
	}
	free(numbers);

	return outdated;
}

/*
 * Returns the command that creates a node, to be freed.
 * @parameter: path of the one with its mode
 * @mode: that mode, if the parameter cannot be read
 */
static char *create_node(const char *node, const char *parameter,
			 const char *mode)
{
	char *numbers = read_numbers(node), *command;
	char *set_mode = doctor_read(examined, parameter);

	command = numbers ? text_format("%srm -f %s && %smknod -m %s %s c %s",
					doctor_sudo(), node, doctor_sudo(),
					set_mode ? set_mode : mode, node, numbers) :
			    text_format("%sudevadm trigger", doctor_sudo());
	free(numbers);
	free(set_mode);

	return command;
}

/* Returns the name of the driver that has a major number, to be freed; or NULL. */
static char *find_driver(unsigned int number)
{
	char *path = doctor_path(examined, "/proc/devices");
	FILE *file = fopen(path, "re");
	char line[128], name[64], *driver = NULL;
	unsigned int found;

	/* Block devices follow after an empty line. */
	while (file && !driver && fgets(line, sizeof(line), file) &&
	       line[0] != '\n')
		if (sscanf(line, "%u %63s", &found, name) == 2 && found == number)
			driver = text_escape(name, "");
	if (file)
		fclose(file);
	free(path);

	return driver;
}

/* Reports another major number than that for which many clients have a node. */
static void check_major(void)
{
	unsigned int number = read_count(MODULE "parameters/major");
	char *driver;

	if (!number || number == MP3_MAJOR)
		return;
	driver = find_driver(MP3_MAJOR);
	doctor_note("major number", NULL,
		    "%u, and %s has %u: a client with a node of its own needs one for %u",
		    number, driver ? driver : "no driver", MP3_MAJOR, number);
	free(driver);
}

/* ---- Captures ---- */

static void report_denied(struct doctor *doctor)
{
	struct stat info = {};
	char *command, *node;

	find_node(MP3_CAPTURE_PATH, &info);
	node = describe_node(&info);
	command = join_group(&info);
	if (!command)
		command = text_format("%smodprobe -r mp3 && %smodprobe mp3 user_mode=0666",
				      doctor_sudo(), doctor_sudo());
	doctor_problem(doctor, "captures", command,
		       "you may not open %s (%s)", MP3_CAPTURE_PATH, node);
	free(node);
}

static char *who_captures(void)
{
	return text_format("%sfuser -v %s", doctor_sudo(), MP3_CAPTURE_PATH);
}

/* Reports why a capture cannot be opened. */
static void report_failure(struct doctor *doctor, int error, __u32 version)
{
	bool missing = error == -ENOENT || error == -ENXIO ||
		       error == -ENODEV || is_outdated(MP3_CAPTURE_PATH);

	if (doctor->container && (missing || error == -EPERM))
		doctor_problem(doctor, "captures",
			       text_format("start the container with --device " MP3_CAPTURE_PATH),
			       "this container has no access to " MP3_CAPTURE_PATH);
	else if (missing)
		doctor_problem(doctor, "captures",
			       create_node(MP3_CAPTURE_PATH,
					   MODULE "parameters/user_mode", "0666"),
			       "the device node " MP3_CAPTURE_PATH " is missing or outdated");
	else if (error == -EACCES)
		report_denied(doctor);
	else if (error == -EMFILE)
		doctor_problem(doctor, "captures", who_captures(),
			       "you have as many as a user may have (8), or too many open files");
	else if (error == -EBUSY)
		doctor_problem(doctor, "captures", who_captures(),
			       "all are in use (63, of which 16 are reserved for CAP_PERFMON)");
	else if (version && version != MP3_ABI_VERSION)
		doctor_problem(doctor, "captures",
			       text_format("%smodprobe -r mp3 && %smodprobe mp3",
					   doctor_sudo(), doctor_sudo()),
			       "the loaded module has ABI version %u, and this mp3ctl reads version %u",
			       version, MP3_ABI_VERSION);
	else
		doctor_problem(doctor, "captures",
			       text_format("%sdmesg", doctor_sudo()),
			       "%s: %s", MP3_CAPTURE_PATH,
			       mp3_strerror(error));
}

/* Returns whether a capture counts this program. */
static bool capture_works(struct mp3_reader *capture)
{
	struct mp3_record record;
	bool ended = false;

	if (mp3_capture_register(capture, getpid()) ||
	    mp3_capture_unregister(capture, getpid()))
		return false;
	while (mp3_reader_next_record(capture, &record))
		ended = ended || (record.flags & MP3_LAST);

	return ended;
}

/* Opens a capture. Returns whether that is possible. */
static bool check_capture(struct doctor *doctor, struct mp3_reader *capture)
{
	/* An open file has a reference to its device and one to its operations. */
	unsigned int nr_open = read_count(MODULE "refcnt") / 2;
	char *path = doctor_path(doctor, MP3_CAPTURE_PATH);
	int error;

	error = mp3_reader_map(capture, path, O_RDWR, PROT_READ,
			       MP3_RECORD_WORDS, 0, MP3_MAX_RECORDS);
	free(path);
	if (error) {
		report_failure(doctor, error, capture->version);
		return false;
	}
	if (!doctor->root[0] && !capture_works(capture)) {
		doctor_problem(doctor, "captures",
			       text_format("%sdmesg", doctor_sudo()),
			       "one can be opened, but it does not count this program");
	} else {
		doctor_ok("captures", "you can profile %s processes",
			  has_perfmon() ? "all" : "your own");
	}
	doctor_ok("captures", "%s%u of 63 were open",
		  nr_open ? "at most " : "", nr_open);

	return true;
}

/* ---- The sampler ---- */

static void check_sampler(const struct mp3_header *header)
{
	char *nohz;

	doctor_ok("interval", "%.4g ms; the shortest is a clock tick, %.4g ms (HZ %u)",
		  (double)header->interval_ns / 1e6, 1000.0 / header->hz,
		  header->hz);
	if (header->missed)
		doctor_note("ticks", NULL,
			    "%llu were served and %llu missed: some intervals were longer",
			    (unsigned long long)header->ticks,
			    (unsigned long long)header->missed);
	if (header->dropped)
		doctor_note("memory", NULL,
			    "%llu processes could not be followed for lack of memory",
			    (unsigned long long)header->dropped);

	nohz = doctor_read(examined, "/sys/devices/system/cpu/nohz_full");
	if (nohz && strpbrk(nohz, "0123456789"))
		doctor_note("CPU time", NULL,
			    "on the CPUs %s (nohz_full), it can arrive seconds late",
			    nohz);
	free(nohz);
}

/* ---- What needs more than a capture ---- */

static char *switch_on(const char *path)
{
	return text_format("echo Y | %stee %s", doctor_sudo(), path);
}

static void check_privileges(const struct doctor *doctor)
{
	static const char follow[] = MODULE "parameters/user_follow";
	static const char faults[] = MODULE "parameters/user_faults";
	bool privileged = has_perfmon();

	if (!privileged && is_off(follow))
		doctor_note("following", switch_on(follow),
			    "without CAP_PERFMON, you have to use --no-follow");
	else
		doctor_ok("following", "you can follow the descendants of processes");

	if (!doctor_has(doctor, "/proc/sys/kernel/perf_event_paranoid"))
		doctor_note("locating", NULL,
			    "where cannot work: this kernel has no perf events");
	else if (!privileged && is_off(faults))
		doctor_note("locating", switch_on(faults),
			    "without CAP_PERFMON, you cannot use where");
	else
		doctor_ok("locating", "you can use where");
}

/* Whether this user may use the status file and the classic rings */
static void check_classic(const struct doctor *doctor)
{
	static const struct {
		const char *what, *path, *users;
		int flags;
	} nodes[] = {
		{ "status file", MP3_STATUS_PATH, "userapp and work need it",
		  O_RDWR },
		{ "samples", MP3_DEVICE_PATH,
		  "monitor and watch --samples need them", O_RDONLY },
		{ "records", MP3_PROCS_PATH,
		  "only watch, top and alert with -d need them", O_RDONLY },
	};
	char *path, *text;
	struct stat info;
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		/* Opening another driver's device can have any effect. */
		if (is_outdated(nodes[i].path)) {
			doctor_note(nodes[i].what,
				    create_node(nodes[i].path,
						MODULE "parameters/ring_mode", "0600"),
				    "the device node %s is outdated; %s",
				    nodes[i].path, nodes[i].users);
			continue;
		}
		path = doctor_path(doctor, nodes[i].path);
		fd = open(path, nodes[i].flags | O_CLOEXEC);
		free(path);
		if (fd >= 0) {
			doctor_ok(nodes[i].what, "you can open %s",
				  nodes[i].path);
			close(fd);
		} else if (!find_node(nodes[i].path, &info)) {
			doctor_note(nodes[i].what, NULL, "%s is missing; %s",
				    nodes[i].path, nodes[i].users);
		} else {
			text = describe_node(&info);
			doctor_note(nodes[i].what, join_group(&info),
				    "you may not open %s (%s); %s",
				    nodes[i].path, text, nodes[i].users);
			free(text);
		}
	}
}

/* Reports another pid namespace, as that of most containers. */
static void check_namespace(const struct doctor *doctor)
{
	if (doctor_has_namespace(doctor, "pid", 0xeffffffc))
		doctor_note("process ids", NULL,
			    "reports contain those of the initial pid namespace");
}

/**
 * doctor_use() - check what this user may do with the loaded module
 * @doctor: filled by doctor_load()
 */
void doctor_use(struct doctor *doctor)
{
	struct mp3_reader capture;

	examined = doctor;
	check_major();
	if (check_capture(doctor, &capture)) {
		check_sampler(capture.header);
		check_privileges(doctor);
		mp3_capture_close(&capture);
	}
	check_classic(doctor);
	check_namespace(doctor);
}
