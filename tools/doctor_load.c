// SPDX-License-Identifier: GPL-2.0
/* Whether the kernel can load the module, and whether it has, for mp3ctl doctor. */
#include <err.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../mp3_uapi.h"
#include "doctor.h"
#include "name.h"
#include "util.h"

#define EFI_SECURE_BOOT \
	"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/* ---- The kernel ---- */

/* Returns a printable file, or a copy of @other if it cannot be read. */
static char *read_or(const struct doctor *doctor, const char *path,
		     const char *other)
{
	char *text = doctor_read(doctor, path);

	return text ? text : text_escape(other, "");
}

static bool is_64_bit(const char *machine)
{
	return strstr(machine, "64") || !strcmp(machine, "s390x") ||
	       !strcmp(machine, "alpha");
}

/* Returns whether this kernel can load the module, as far as its kind matters. */
static bool check_kernel(struct doctor *doctor)
{
	unsigned int major = 0, minor = 0;
	struct utsname system;
	char *machine;
	bool good = false;

	uname(&system);
	doctor->release = read_or(doctor, "/proc/sys/kernel/osrelease",
				  system.release);
	machine = read_or(doctor, "/proc/sys/kernel/arch", system.machine);
	if (sscanf(doctor->release, "%u.%u", &major, &minor) < 2)
		major = 0;
	if (!is_64_bit(machine))
		doctor_problem(doctor, "kernel",
			       text_format("boot a 64-bit kernel"),
			       "%s is for %s, and mp3 needs a 64-bit kernel",
			       doctor->release, machine);
	else if (major < 5 || (major == 5 && minor < 10))
		doctor_problem(doctor, "kernel",
			       text_format("boot a kernel from 5.10 on"),
			       "%s is too old: mp3 needs Linux 5.10 or newer",
			       doctor->release);
	else if (!doctor_has(doctor, "/proc/modules"))
		doctor_problem(doctor, "kernel",
			       text_format("boot a kernel that has CONFIG_MODULES=y"),
			       "%s cannot load any module", doctor->release);
	else
		good = true;

	if (good && major > 7)
		doctor_note("kernel", NULL,
			    "%s is newer than those that mp3 was written for",
			    doctor->release);
	else if (good)
		doctor_ok("kernel", "%s for %s", doctor->release, machine);
	free(machine);

	return good;
}

/* Reports an oops, after which the kernel may misbehave in any way. */
static void check_taint(const struct doctor *doctor)
{
	char *text = doctor_read(doctor, "/proc/sys/kernel/tainted");

	if (text && strtoull(text, NULL, 10) & (1 << 7))
		doctor_note("kernel", text_format("%sdmesg", doctor_sudo()),
			    "there was an oops since the boot: reboot before you measure");
	free(text);
}

/* ---- Headers and compiler ---- */

/*
 * Reports what is missing to build the module. That is a problem only as long as
 * there is no module.
 */
static void check_build(struct doctor *doctor)
{
	char *path = text_format("/lib/modules/%s/build/Makefile",
				 doctor->release);
	bool needed = !doctor->loaded && !doctor->installed;

	if (doctor_has(doctor, path))
		doctor_ok("headers", "installed");
	else if (needed)
		doctor_problem(doctor, "headers",
			       doctor_install(doctor, PACKAGE_HEADERS),
			       "not installed, and needed to build the module");
	else
		doctor_note("headers", doctor_install(doctor, PACKAGE_HEADERS),
			    "not installed: the module cannot be built again");
	free(path);

	if (needed && (!doctor_has_program(doctor, "make") ||
		       (!doctor_has_program(doctor, "cc") &&
			!doctor_has_program(doctor, "gcc"))))
		doctor_problem(doctor, "compiler",
			       doctor_install(doctor, PACKAGE_COMPILER),
			       "there is no make or no C compiler");
}

/* ---- The installed module ---- */

/* Returns whether a path names mp3.ko, which may be compressed. */
static bool is_module(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !strncmp(slash ? slash + 1 : path, "mp3.ko", 6);
}

/* Returns the path of the module that modprobe loads, to be freed; or NULL. */
static char *find_installed(const struct doctor *doctor)
{
	char *list = text_format("%s/lib/modules/%s/modules.dep", doctor->root,
				 doctor->release);
	FILE *file = fopen(list, "re");
	char *line = NULL, *path, *found = NULL;
	size_t size = 0;

	while (file && !found && getline(&line, &size, file) > 0) {
		line[strcspn(line, ":")] = '\0';
		if (!is_module(line))
			continue;
		/* A path that starts with a slash is complete. */
		path = line[0] == '/' ? text_format("%s", line) :
			text_format("/lib/modules/%s/%s", doctor->release, line);
		found = text_escape(path, "");
		free(path);
	}
	if (file)
		fclose(file);
	free(line);
	free(list);

	return found;
}

/*
 * Returns the release of a kernel, or of @release if that is not NULL, that has a
 * file with the module; to be freed. Returns NULL if there is none.
 */
static char *find_release(const struct doctor *doctor, const char *release)
{
	static const char *const below[] = { "*/mp3.ko*", "*/*/mp3.ko*" };
	char *directory = doctor_path(doctor, "/lib/modules/");
	char *pattern, *name, *found = NULL;
	glob_t list;
	size_t i;

	for (i = 0; !found && i < ARRAY_SIZE(below); i++) {
		pattern = text_format("%s%s/%s", directory,
				      release ? release : "*", below[i]);
		if (!glob(pattern, 0, NULL, &list)) {
			name = list.gl_pathv[0] + strlen(directory);
			name[strcspn(name, "/")] = '\0';
			found = text_escape(name, "");
			globfree(&list);
		}
		free(pattern);
	}
	free(directory);

	return found;
}

/* Returns a field of the installed module, printable, to be freed; or NULL. */
static char *read_field(const struct doctor *doctor, const char *field)
{
	char *path = doctor_path(doctor, doctor->installed), *text = NULL;
	/* The module may be compressed, and PATH without /sbin. */
	char *command = text_format("PATH=$PATH:/sbin modinfo -F %s \"$MP3_PATH\" 2>/dev/null",
				    field);
	char line[128];
	FILE *pipe;

	setenv("MP3_PATH", path, 1);
	pipe = popen(command, "re");
	if (pipe && fgets(line, sizeof(line), pipe)) {
		line[strcspn(line, "\n")] = '\0';
		text = text_escape(line, "");
	}
	if (pipe)
		pclose(pipe);
	free(command);
	free(path);

	return text;
}

/*
 * Returns the version of mp3 that DKMS could not build for this kernel, to be freed:
 * that of packaging/dkms/placeholder.c. Returns NULL if the module is installed.
 */
static char *find_placeholder(const struct doctor *doctor)
{
	char *description = read_field(doctor, "description");
	char *version = NULL;

	if (description && !strncmp(description, "placeholder:", 12))
		version = read_field(doctor, "version");
	free(description);

	return version;
}

static void report_placeholder(struct doctor *doctor, const char *version)
{
	static const char text[] = "DKMS could not build it for this kernel: see %s";
	const char *sudo = doctor_sudo(), *release = doctor->release;
	char *module = text_format("mp3/%s -k %s", version, release);
	char *command = text_format("%sdkms build --force %s && %sdkms install --force %s",
				    sudo, module, sudo, module);
	char *log = text_format("/var/lib/dkms/mp3/%s/%s/*/log/make.log",
				version, release);

	if (doctor->loaded)
		doctor_note("module", command, text, log);
	else
		doctor_problem(doctor, "module", command, text, log);
	free(module);
	free(log);
}

static void check_installed(struct doctor *doctor)
{
	const bool dkms = doctor_has(doctor, "/var/lib/dkms/mp3");
	const char *build = dkms ? "DKMS has not built it" :
				   "in mp3's sources, build it";
	char *command, *here, *other, *version;

	if (doctor->installed) {
		version = find_placeholder(doctor);
		if (version)
			report_placeholder(doctor, version);
		else
			doctor_ok("module", "%s is installed", doctor->installed);
		free(version);
		return;
	}
	here = find_release(doctor, doctor->release);
	other = find_release(doctor, NULL);
	command = here ? text_format("%sdepmod -a", doctor_sudo()) :
		  dkms ? text_format("%sdkms autoinstall", doctor_sudo()) :
		  text_format("make module && %smake install-module", doctor_sudo());
	if (doctor->loaded)
		doctor_note("module", command,
			    "not installed: modprobe will not find it after a reboot");
	else if (here)
		doctor_problem(doctor, "module", command,
			       "installed, but not in the list of modprobe");
	else if (other)
		doctor_problem(doctor, "module", command,
			       "installed for kernel %s only; %s for this one",
			       other, build);
	else
		doctor_problem(doctor, "module", command,
			       "not installed; %s", build);
	free(here);
	free(other);
}

/* ---- Signatures ---- */

static bool secure_boot_is_on(const struct doctor *doctor)
{
	char *path = doctor_path(doctor, EFI_SECURE_BOOT);
	FILE *file = fopen(path, "re");
	/* Four bytes of attributes precede the value. */
	unsigned char bytes[5] = {};
	bool on = file && fread(bytes, sizeof(bytes), 1, file) == 1 && bytes[4];

	if (file)
		fclose(file);
	free(path);

	return on;
}

/* Returns why the kernel loads only signed modules, or NULL if it does not. */
static const char *signature_rule(const struct doctor *doctor)
{
	char *lockdown = doctor_read(doctor, "/sys/kernel/security/lockdown");
	char *enforce = doctor_read(doctor,
				    "/sys/module/module/parameters/sig_enforce");
	const char *rule = NULL;

	if (lockdown && (strstr(lockdown, "[integrity]") ||
			 strstr(lockdown, "[confidentiality]")))
		rule = "the kernel is locked down";
	else if (enforce && enforce[0] == 'Y')
		rule = "the kernel enforces signatures";
	free(lockdown);
	free(enforce);

	return rule;
}

/* Returns whether a file ends as a signed module does. */
static bool is_signed(const struct doctor *doctor, const char *module)
{
	static const char mark[] = "~Module signature appended~\n";
	char *path = doctor_path(doctor, module), end[sizeof(mark) - 1];
	FILE *file = fopen(path, "re");
	bool found;

	found = file && !fseek(file, -(long)sizeof(end), SEEK_END) &&
		fread(end, sizeof(end), 1, file) == 1 &&
		!memcmp(end, mark, sizeof(end));
	if (file)
		fclose(file);
	free(path);

	return found;
}

static void check_signature(struct doctor *doctor)
{
	static const char see[] = "see docs/secure-boot.md";
	const char *boot = secure_boot_is_on(doctor) ? ", Secure Boot is on" : "";
	const char *rule = signature_rule(doctor), *module = doctor->installed;
	size_t length = module ? strlen(module) : 0;

	if (!rule) {
		doctor_ok("signature", "none is required%s", boot);
	} else if (doctor->loaded) {
		doctor_ok("signature", "%s%s, and has accepted the module", rule,
			  boot);
	} else if (!module) {
		doctor_problem(doctor, "signature",
			       text_format("mokutil --list-enrolled"),
			       "%s%s: the module needs one, by an enrolled key; %s",
			       rule, boot, see);
	} else if (length < 3 || strcmp(module + length - 3, ".ko")) {
		doctor_note("signature",
			    text_format("modinfo -F signer %s", module),
			    "%s%s: the module needs one, by an enrolled key; %s",
			    rule, boot, see);
	} else if (is_signed(doctor, module)) {
		doctor_note("signature", text_format("mokutil --list-enrolled"),
			    "%s%s: the module has one, and its key must be enrolled; %s",
			    rule, boot, see);
	} else {
		doctor_problem(doctor, "signature",
			       text_format("%s/lib/modules/%s/%s mp3.key mp3.der %s",
					   doctor_sudo(), doctor->release,
					   "build/scripts/sign-file sha256", module),
			       "%s%s: the module has none; %s",
			       rule, boot, see);
	}
}

/* ---- The loaded module ---- */

static void check_loaded(struct doctor *doctor)
{
	char *version = doctor_read(doctor, "/sys/module/mp3/version");
	char *disabled = doctor_read(doctor, "/proc/sys/kernel/modules_disabled");

	if (doctor->loaded && version && strcmp(version, MP3_VERSION))
		doctor_note("module",
			    text_format("%smodprobe -r mp3 && %smodprobe mp3",
					doctor_sudo(), doctor_sudo()),
			    "version %s is loaded, and this is mp3ctl " MP3_VERSION,
			    version);
	else if (doctor->loaded)
		doctor_ok("module", "version %s is loaded",
			  version ? version : "unknown");
	else if (disabled && disabled[0] == '1')
		doctor_problem(doctor, "module",
			       text_format("%sreboot", doctor_sudo()),
			       "not loaded, and kernel.modules_disabled is set until the next boot");
	else
		doctor_problem(doctor, "module",
			       text_format("%smodprobe mp3", doctor_sudo()),
			       "not loaded");
	free(version);
	free(disabled);
}

/**
 * doctor_load() - check whether the module can be loaded, and whether it is
 * @doctor: its @release, @installed and @loaded are set
 */
void doctor_load(struct doctor *doctor)
{
	bool suitable;

	doctor->loaded = doctor_has(doctor, "/sys/module/mp3");
	suitable = check_kernel(doctor);
	check_taint(doctor);
	if (!suitable)
		return;

	doctor->installed = find_installed(doctor);
	if (doctor->container && !doctor->loaded) {
		doctor_problem(doctor, "module",
			       text_format("modprobe mp3    (as root, on the host)"),
			       "not loaded; this is a container, so load it on the host");
		return;
	}
	if (!doctor->container) {
		check_build(doctor);
		check_installed(doctor);
		check_signature(doctor);
	}
	check_loaded(doctor);
}
