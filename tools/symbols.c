// SPDX-License-Identifier: GPL-2.0
#include "symbols.h"

#ifdef MP3_HAVE_LIBDW

#include <dlfcn.h>
#include <elfutils/libdwfl.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "name.h"
#include "util.h"

#define DELETED " (deleted)"

/**
 * struct function - a function symbol
 * @address: in the module
 * @section: that it is in
 * @name:    its name, owned by the module
 */
struct function {
	GElf_Addr address;
	GElf_Word section;
	const char *name;
};

/**
 * struct module - a file with code
 * @opened:    an attempt was made to open it
 * @dwfl:      session with this module only; NULL if there is none
 * @module:    the module; NULL if the file cannot be read
 * @elf:       its contents
 * @bias:      added to addresses in @elf
 * @refused:   its debug information is in a file that must not be opened
 * @functions: its function symbols by address; NULL until they are needed
 * @nr_functions: how many
 */
struct module {
	bool opened;
	Dwfl *dwfl;
	Dwfl_Module *module;
	Elf *elf;
	GElf_Addr bias;
	bool refused;
	struct function *functions;
	size_t nr_functions;
};

static struct module modules[MP3_FILES];

/*
 * Returns whether an open file is the one that was profiled, if its contents have not
 * been overwritten. These file systems report other devices to stat(2) than to the
 * kernel, and some do not report generations.
 */
static bool is_same(int fd, const struct mp3_file *file)
{
	__u32 generation[2];	/* only the first word is filled */
	struct statfs fs;
	struct stat info;

	if (fstat(fd, &info) || info.st_ino != file->inode)
		return false;
	if (!ioctl(fd, FS_IOC_GETVERSION, generation) &&
	    generation[0] != (__u32)file->generation)
		return false;
	return info.st_dev == file->device ||
	       (!fstatfs(fd, &fs) && (fs.f_type == BTRFS_SUPER_MAGIC ||
				      fs.f_type == OVERLAYFS_SUPER_MAGIC));
}

/* Returns why a file cannot be opened, as its path shows it, or NULL. */
static const char *why_lost(const struct mp3_file *file)
{
	size_t length = strlen(file->path), suffix = strlen(DELETED);

	if (file->path[0] != '/' || file->flags & MP3_FILE_TRUNCATED)
		return "its path is incomplete";
	if (length >= suffix &&
	    !strcmp(file->path + length - suffix, DELETED))
		return "it was deleted";

	return NULL;
}

/*
 * Opens a file that was profiled. If that is impossible, prints why and returns
 * -1.
 */
static int open_profiled(const struct mp3_file *file)
{
	const char *why = why_lost(file);
	char link[32];
	struct stat info;
	char *name;
	int path = -1, fd = -1;

	/* A recording can name anything. To open a FIFO can block, and to open a
	 * device can change its state: open only what has been checked.
	 */
	if (!why) {
		path = open(file->path, O_PATH | O_CLOEXEC);
		if (path < 0 || fstat(path, &info))
			why = strerror(errno);
		else if (!S_ISREG(info.st_mode))
			why = "it is not a regular file";
	}
	if (!why) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
		fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			why = strerror(errno);
		else if (!is_same(fd, file))
			why = "it has been replaced";
	}
	if (path >= 0)
		close(path);
	if (!why)
		return fd;

	if (fd >= 0)
		close(fd);
	name = text_escape(file->path, "");
	warnx("%s: its functions are unknown: %s", name, why);
	free(name);

	return -1;
}

/* Returns whether a file is missing, or can be opened without an effect. */
static bool is_harmless(const char *folder, const char *below, const char *name)
{
	char *path = text_format("%s%s%s", folder, below, name);
	struct stat info;
	bool harmless = stat(path, &info) || S_ISREG(info.st_mode) ||
			S_ISDIR(info.st_mode);

	free(path);
	return harmless;
}

/*
 * Returns whether elfutils can open all files that it may try for the debug information
 * of a program. @link is the name that the program contains, or NULL.
 */
static bool are_harmless(const char *program, const char *link)
{
	static const char *const folders[] = { "", ".debug/", ".dwz/" };
	const char *slash = strrchr(program, '/');
	const char *base = slash ? slash + 1 : program;
	char *folder = text_format("%.*s", (int)(base - program), program);
	char *invented = text_format("%s.debug", base);
	bool harmless = !link || link[0] != '/' || is_harmless("", "", link);
	const char *names[2];
	size_t i, j;

	/* The name of dwz's alternate file is also tried without its folder. */
	slash = link ? strrchr(link, '/') : NULL;
	names[0] = link ? link : invented;
	names[1] = slash ? slash + 1 : link ? link : base;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		for (j = 0; j < ARRAY_SIZE(folders); j++)
			harmless = harmless &&
				   is_harmless(folder, folders[j], names[i]);
	free(folder);
	free(invented);

	return harmless;
}

/*
 * Finds debug information for elfutils. Any user can own the program, and what it names
 * can be a FIFO or a device: see open_profiled(). If there is one, only debug information
 * of the same build id is found, in a folder for that.
 */
static int find_debuginfo(Dwfl_Module *dwfl_module, void **data, const char *name,
			  Dwarf_Addr base, const char *program, const char *link,
			  GElf_Word crc, char **found)
{
	struct module *module = *data;
	char *text;
	int fd;

	if (program && are_harmless(program, link))
		return dwfl_standard_find_debuginfo(dwfl_module, data, name, base,
						    program, link, crc, found);
	fd = dwfl_build_id_find_debuginfo(dwfl_module, data, name, base, program,
					  link, crc, found);
	if (fd < 0 && !module->refused) {
		text = text_escape(program ? program : name, "");
		warnx("%s: its debug information is not in a regular file", text);
		free(text);
		module->refused = true;
	}

	return fd;
}

static void open_module(struct module *module, const struct mp3_file *file)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	int fd = open_profiled(file);
	void **data;

	module->opened = true;
	if (fd < 0)
		return;
	module->dwfl = dwfl_begin(&callbacks);
	if (!module->dwfl) {
		close(fd);
		return;
	}
	/* On success, it owns the descriptor. */
	module->module = dwfl_report_offline(module->dwfl, file->path,
					     file->path, fd);
	dwfl_report_end(module->dwfl, NULL, NULL);
	if (!module->module) {
		close(fd);
		return;
	}
	dwfl_module_info(module->module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	*data = module;
	module->elf = dwfl_module_getelf(module->module, &module->bias);
}

/* Converts an offset in the file to an address. Returns false if it has none. */
static bool find_address(const struct module *module, __u64 offset,
			 GElf_Addr *address)
{
	size_t nr, i;

	if (!module->elf || elf_getphdrnum(module->elf, &nr))
		return false;
	for (i = 0; i < nr; i++) {
		GElf_Phdr segment;

		if (!gelf_getphdr(module->elf, (int)i, &segment) ||
		    segment.p_type != PT_LOAD || offset < segment.p_offset ||
		    offset - segment.p_offset >= segment.p_filesz)
			continue;
		*address = offset - segment.p_offset + segment.p_vaddr +
			   module->bias;
		return true;
	}

	return false;
}

static int compare_functions(const void *a, const void *b)
{
	const struct function *function = a, *other = b;

	return (function->address > other->address) -
	       (function->address < other->address);
}

/* Fills the functions of a module. */
static void read_functions(struct module *module)
{
	int nr = dwfl_module_getsymtab(module->module), i;
	struct function *functions;
	size_t nr_functions = 0;

	functions = calloc(nr > 0 ? (size_t)nr : 1, sizeof(*functions));
	if (!functions)
		err(1, "symbols");
	for (i = 0; i < nr; i++) {
		GElf_Addr address;
		GElf_Word section;
		const char *name;
		GElf_Sym sym;
		int type;

		name = dwfl_module_getsym_info(module->module, i, &sym,
					       &address, &section, NULL, NULL);
		type = GELF_ST_TYPE(sym.st_info);
		if (name && name[0] && section != SHN_UNDEF &&
		    (type == STT_FUNC || type == STT_GNU_IFUNC))
			functions[nr_functions++] = (struct function){
				address, section, name,
			};
	}
	qsort(functions, nr_functions, sizeof(*functions), compare_functions);
	module->functions = functions;
	module->nr_functions = nr_functions;
}

/*
 * Returns the last function that starts before an address, in the same section, or
 * NULL.
 */
static const struct function *find_nearest(struct module *module,
					   GElf_Addr address)
{
	size_t low = 0, high, middle;
	GElf_Addr offset = address;
	Elf_Scn *section;
	GElf_Addr bias;

	if (!module->functions)
		read_functions(module);
	section = dwfl_module_address_section(module->module, &offset, &bias);
	for (high = module->nr_functions; low < high;) {
		middle = low + (high - low) / 2;
		if (module->functions[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || !section ||
	    module->functions[low - 1].section != elf_ndxscn(section))
		return NULL;

	return &module->functions[low - 1];
}

/*
 * Finds where the function of an address starts, by the information for unwinding,
 * which stripped files have, too. Returns false if it is unknown.
 */
static bool find_start(const struct module *module, GElf_Addr address,
		       GElf_Addr *start)
{
	Dwarf_Frame *frame;
	Dwarf_Addr end;
	GElf_Addr bias;
	Dwarf_CFI *cfi;

	cfi = dwfl_module_eh_cfi(module->module, &bias);
	if (!cfi || dwarf_cfi_addrframe(cfi, address - bias, &frame))
		return false;
	dwarf_frame_info(frame, start, &end, NULL);
	free(frame);
	*start += bias;

	return *start <= address;
}

/*
 * Returns the name of a C++ function, to be freed, or NULL if it is none. The
 * runtime library of C++ is loaded if there is one.
 */
static char *demangle(const char *name)
{
	static char *(*function)(const char *name, char *buffer, size_t *size,
				 int *status);
	static bool searched;
	void *library;

	if (strncmp(name, "_Z", 2))
		return NULL;
	if (!searched) {
		searched = true;
		library = dlopen("libstdc++.so.6", RTLD_NOW);
		if (library)
			*(void **)&function = dlsym(library, "__cxa_demangle");
	}

	return function ? function(name, NULL, NULL, NULL) : NULL;
}

/* Returns the name of a function, demangled. To be freed. */
static char *display_name(const char *name)
{
	char *demangled = demangle(name), *copied;

	if (demangled)
		return demangled;
	copied = strdup(name);
	if (!copied)
		err(1, "symbols");

	return copied;
}

/*
 * Returns a name for a function without a symbol, to be freed; or NULL. @offset is
 * that of @address in the file.
 */
static char *invent_name(struct module *module, const struct mp3_file *file,
			 __u64 offset, GElf_Addr address)
{
	const struct function *nearest = find_nearest(module, address);
	const char *slash = strrchr(file->path, '/');
	bool has_start;
	GElf_Addr start;
	char *name = NULL;
	int size = 0;

	has_start = find_start(module, address, &start);
	if (has_start && nearest && start < nearest->address)
		has_start = false;
	if (nearest && has_start && start > nearest->address)
		size = asprintf(&name, "~%s+%#llx", nearest->name,
				(unsigned long long)(start - nearest->address));
	else if (nearest)
		size = asprintf(&name, "~%s", nearest->name);
	else if (has_start)
		size = asprintf(&name, "%s+%#llx",
				slash ? slash + 1 : file->path,
				(unsigned long long)(offset - (address - start)));
	if (size < 0)
		err(1, "symbols");

	return name;
}

/* Returns whether functions can be found at all. */
bool symbols_supported(void)
{
	return true;
}

/**
 * symbols_find() - find the function and the line of a code address
 * @file:   the file
 * @offset: of the code in it
 * @symbol: filled; with zeros if nothing is known
 *
 * If the file was deleted or replaced since it was profiled, prints a line the
 * first time. Exits if there is no memory. A hostile file can have this function take
 * any time and memory, or crash: see lookup_symbol().
 *
 * Return: false if nothing can be found in the file.
 */
bool symbols_find(const struct mp3_file *file, __u64 offset,
		  struct symbol *symbol)
{
	struct module *module = &modules[file->number - 1];
	const char *name, *source;
	GElf_Addr address, bias;
	GElf_Off start;
	Dwfl_Line *line;
	GElf_Sym sym;
	int number = 0;

	*symbol = (struct symbol){};
	if (!module->opened)
		open_module(module, file);
	if (!module->module)
		return false;
	if (!find_address(module, offset, &address))
		return true;

	name = dwfl_module_addrinfo(module->module, address, &start, &sym,
				    NULL, NULL, NULL);
	symbol->function = name ? display_name(name) :
				  invent_name(module, file, offset, address);
	/* Opens what the debug information names, too: see find_debuginfo(). */
	dwfl_module_getdwarf(module->module, &bias);
	line = module->refused ? NULL :
				 dwfl_module_getsrc(module->module, address);
	source = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) :
			NULL;
	if (!source || number <= 0)
		return true;
	symbol->source = strdup(source);
	if (!symbol->source)
		err(1, "symbols");
	symbol->line = (unsigned int)number;

	return true;
}

#else

bool symbols_supported(void)
{
	return false;
}

bool symbols_find(const struct mp3_file *file, __u64 offset,
		  struct symbol *symbol)
{
	(void)file;
	(void)offset;
	*symbol = (struct symbol){};

	return false;
}

#endif /* MP3_HAVE_LIBDW */
