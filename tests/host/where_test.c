// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl where without the module: recordings and what is read of broken ones, the
 * kinds of faults, quantiles, and the report, from faults that are made up.
 */
#include "../../tools/fit.c"
#include "../../tools/latency.c"
#include "../../tools/lookup.c"
#include "../../tools/name.c"
#include "../../tools/recording.c"
#include "../../tools/set.c"
#include "../../tools/symbols.c"
#include "../../tools/util.c"
#include "../../tools/where_count.c"
#include "../../tools/where_data.c"
#include "../../tools/where_kind.c"
#include "../../tools/where_report.c"
#include "../guest/test.h"
#include "sample_recording.h"

#define NR_FAULTS 3000

/* Before the callers of a call path */
#define INDENT "                                                "

/* ---- A file in memory, and what is printed on standard error ---- */

static int file_fd;
static char file_path[32];

static void file_open(void)
{
	file_fd = memfd_create("recording", MFD_CLOEXEC);
	if (file_fd < 0)
		err(1, "memfd");
	snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file_fd);
}

static off_t file_size(void)
{
	return lseek(file_fd, 0, SEEK_END);
}

/* Returns the contents of a file, to be freed. */
static char *contents(int fd, size_t *size)
{
	char *text;

	*size = (size_t)lseek(fd, 0, SEEK_END);
	text = malloc(*size + 1);
	if (!text || pread(fd, text, *size, 0) != (ssize_t)*size)
		err(1, "contents");
	text[*size] = '\0';

	return text;
}

static int errors_fd, stderr_fd;

/* Has standard error kept from here on. */
static void errors_begin(void)
{
	fflush(stderr);
	if (ftruncate(errors_fd, 0) || lseek(errors_fd, 0, SEEK_SET))
		err(1, "errors");
	dup2(errors_fd, STDERR_FILENO);
}

/* Returns what was printed on standard error, to be freed. */
static char *errors_end(void)
{
	size_t size;

	fflush(stderr);
	dup2(stderr_fd, STDERR_FILENO);

	return contents(errors_fd, &size);
}

static size_t count_lines(const char *text)
{
	size_t nr = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		nr++;
	}

	return nr;
}

/* ---- What a recording contains ---- */

/**
 * struct seen - what recording_read() has visited
 * @info:    keys
 * @records: records
 * @files:   files
 * @symbols: symbols
 * @totals:  totals
 * @faults:  faults
 * @same:    each fault and file was as it was written
 * @state:   of the sample
 * @next:    of the sample
 */
struct seen {
	size_t info;
	size_t records;
	size_t files;
	size_t symbols;
	size_t totals;
	size_t faults;
	bool same;
	__u64 state;
	__u64 next[SAMPLE_KINDS];
};

static struct seen seen;

static void see_info(void *pointer, const char *key, const char *value)
{
	(void)pointer;
	(void)key;
	(void)value;
	seen.info++;
}

static void see_record(void *pointer, const struct mp3_record *record)
{
	(void)pointer;
	seen.records++;
	seen.same = seen.same && strlen(record->comm) < sizeof(record->comm);
}

static void see_fault(void *pointer, const struct mp3_fault *fault)
{
	struct mp3_fault expected;

	(void)pointer;
	sample_fault(&expected, seen.faults++, &seen.state, seen.next);
	seen.same = seen.same && !memcmp(fault, &expected, sizeof(expected)) &&
		    MP3_FAULT_FRAMES(fault->flags) <= MP3_FRAMES;
}

static void see_file(void *pointer, const struct mp3_file *file)
{
	(void)pointer;
	seen.files++;
	seen.same = seen.same && file->number == seen.files &&
		    strlen(file->path) < sizeof(file->path);
}

static void see_totals(void *pointer, const struct mp3_recording_totals *totals)
{
	(void)pointer;
	(void)totals;
	seen.totals++;
}

static void see_symbol(void *pointer, const struct recording_symbol *symbol)
{
	(void)pointer;
	seen.symbols += symbol->function[0] && symbol->offset;
}

static const struct recording_visitor visitor = {
	.info = see_info,
	.record = see_record,
	.fault = see_fault,
	.file = see_file,
	.totals = see_totals,
	.symbol = see_symbol,
};

/* Reads the recording. Returns recording_read()'s result. */
static bool see(const char *path)
{
	seen = (struct seen){ .same = true, .state = 1 };

	return recording_read(path, &visitor, NULL);
}

/*
 * Reads the recording. Returns whether that fails with one line on standard error
 * that contains @text.
 */
static bool is_refused(const char *path, const char *text)
{
	bool good, refused;
	char *errors;

	errors_begin();
	good = see(path);
	errors = errors_end();
	refused = !good && count_lines(errors) == 1 && strstr(errors, text);
	if (!refused)
		diag("%s, '%s'", good ? "read" : "refused", errors);
	free(errors);

	return refused;
}

static void write_sample(void)
{
	if (ftruncate(file_fd, 0))
		err(1, "ftruncate");
	sample_recording(file_path, NR_FAULTS, 1);
}

static void overwrite(off_t offset, const void *bytes, size_t size)
{
	if (pwrite(file_fd, bytes, size, offset) != (ssize_t)size)
		err(1, "pwrite");
}

/* Returns where the last chunk starts. */
static off_t last_chunk(void)
{
	off_t at = sizeof(struct mp3_recording_header), next = at;
	struct mp3_recording_chunk chunk;

	while (next < file_size()) {
		at = next;
		if (pread(file_fd, &chunk, sizeof(chunk), at) != sizeof(chunk))
			err(1, "pread");
		next = at + (off_t)(sizeof(chunk) + chunk.bytes +
				    padding(chunk.bytes));
	}

	return at;
}

static void test_round_trip(void)
{
	write_sample();
	ok(see(file_path) && seen.same && seen.faults == NR_FAULTS &&
	   seen.info == 12 && seen.records == 4 && seen.files == 4 &&
	   seen.symbols == 20 && seen.totals == 1,
	   "a recording contains what was written, in the same order");
	ok(!(file_size() % 8) && last_chunk() + 16 +
	   (off_t)sizeof(struct mp3_recording_totals) == file_size(),
	   "the chunks of a recording start at multiples of 8 bytes");
}

/* Cuts each byte off the end of the recording, up to and with its last chunk. */
static void test_truncated(void)
{
	off_t end = last_chunk(), cut;
	bool good = true;
	char *errors;

	for (cut = file_size() - 1; cut >= end && good; cut--) {
		if (ftruncate(file_fd, cut))
			err(1, "ftruncate");
		errors_begin();
		good = see(file_path) && seen.same && !seen.totals &&
		       seen.faults == NR_FAULTS && seen.symbols == 20;
		errors = errors_end();
		good = good && count_lines(errors) == (cut != end) &&
		       (cut == end || strstr(errors, "its end is missing"));
		free(errors);
	}
	ok(good, "a recording that is cut off anywhere in its last chunk is read without it");

	write_sample();
	good = true;
	for (cut = 0; cut < (off_t)sizeof(struct mp3_recording_header); cut++) {
		if (ftruncate(file_fd, cut))
			err(1, "ftruncate");
		good = good && is_refused(file_path, "not a recording");
	}
	ok(good, "a recording without its whole header is refused in one line");
}

static void test_refused(void)
{
	struct mp3_fault fault = { .flags = (MP3_FRAMES + 1u) << 28 };
	struct mp3_recording_header header = { .magic = MP3_RECORDING_MAGIC };
	struct mp3_recording_chunk chunk;
	off_t first = sizeof(header);

	write_sample();
	overwrite(6, "\n", 1);
	ok(is_refused(file_path, "not a recording"),
	   "a file with another magic is refused in one line");
	write_sample();
	header.order = __builtin_bswap32(MP3_RECORDING_ORDER);
	header.version = __builtin_bswap32(MP3_RECORDING_VERSION);
	overwrite(0, &header, sizeof(header));
	ok(is_refused(file_path, "another byte order"),
	   "a recording of another byte order is refused in one line");
	header.order = MP3_RECORDING_ORDER;
	header.version = MP3_RECORDING_VERSION + 1;
	overwrite(0, &header, sizeof(header));
	ok(is_refused(file_path, "version 2"),
	   "a recording of a newer version is refused in one line");

	write_sample();
	if (pread(file_fd, &chunk, sizeof(chunk), first) != sizeof(chunk))
		err(1, "pread");
	chunk.type = 1000;
	overwrite(first, &chunk, sizeof(chunk));
	ok(see(file_path) && seen.same && !seen.info &&
	   seen.faults == NR_FAULTS,
	   "a chunk of an unknown type is skipped");
	chunk.type = MP3_RECORDING_FAULTS;
	overwrite(first, &chunk, sizeof(chunk));
	ok(is_refused(file_path, "broken"),
	   "a chunk that contains a part of a fault is refused in one line");
	chunk.type = 0;
	overwrite(first, &chunk, sizeof(chunk));
	ok(is_refused(file_path, "broken"),
	   "a chunk of type 0 is refused in one line");

	write_sample();
	chunk.type = MP3_RECORDING_FAULTS;
	chunk.bytes = sizeof(fault);
	overwrite(file_size(), &chunk, sizeof(chunk));
	overwrite(file_size(), &fault, sizeof(fault));
	ok(is_refused(file_path, "broken"),
	   "a fault with more frames than there can be is refused in one line");
	ok(is_refused("/dev/zero", "not a regular file") &&
	   is_refused("/proc/self/fd", "not a regular file") &&
	   is_refused("/no/such/file", "No such file"),
	   "a device, a directory and a missing file are refused in one line");
}

/* Replaces the value of "command" in the recording by bytes of the same length. */
static void set_command(const char *bytes)
{
	size_t size;
	char *text = contents(file_fd, &size), *at;

	at = memmem(text, size, "command=", 8);
	if (!at)
		errx(1, "the sample has no command");
	overwrite(at + 8 - text, bytes, strlen(bytes));
	free(text);
}

static void test_text(void)
{
	static const char *const refused[] = {
		"\033[2J", "\033]0;x\a", "\r", "\b", "\177", "\302\233", "\377",
	};
	bool good = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		write_sample();
		set_command(refused[i]);
		good = good && is_refused(file_path, "broken");
	}
	ok(good, "a recording with text that could control a terminal is refused in one line");
	write_sample();
	set_command(" !~\\x1b\t");
	ok(see(file_path) && seen.info == 12,
	   "a recording with printable text, escapes and a tab is read");
}

/* Overwrites random bytes. Nothing may crash, or pass invalid elements on. */
static void test_damaged(void)
{
	size_t size, i, refused = 0;
	bool good = true;
	char *whole, *errors;
	__u64 state = 7;

	write_sample();
	whole = contents(file_fd, &size);
	for (i = 0; i < 3000 && good; i++) {
		/* Half of them where the numbers of chunks are */
		size_t range = i % 2 ? size : 2048;
		off_t at = (off_t)(sample_random(&state) % range);
		char byte = (char)sample_random(&state);

		overwrite(at, &byte, 1);
		errors_begin();
		refused += !see(file_path);
		errors = errors_end();
		good = count_lines(errors) <= 1;
		free(errors);
		overwrite(at, whole + at, 1);
	}
	free(whole);
	if (!ok(good && refused > 20,
		"a recording with a damaged byte is read, or refused in one line"))
		diag("%zu of %zu were refused", refused, i);
}

static void test_disk_full(void)
{
	static struct mp3_fault faults[100];
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };
	struct recording recording;
	struct seen expected;
	bool written, good;
	char *errors;

	errors_begin();
	good = !recording_create(&recording, "/dev/full") &&
	       !recording_write(&recording, MP3_RECORDING_FAULTS, faults,
				sizeof(faults)) && !recording_close(&recording);
	errors = errors_end();
	ok(good && count_lines(errors) == 1 && strstr(errors, "No space left"),
	   "a full disk is reported in one line, once");
	free(errors);

	/* A limit, instead of a disk, lets a part of a chunk be written. */
	signal(SIGXFSZ, SIG_IGN);
	write_sample();
	good = see(file_path);
	expected = seen;
	recording = (struct recording){
		.path = file_path,
		.fd = dup(file_fd),
		.end = lseek(file_fd, 0, SEEK_END),
	};
	limit.rlim_cur = (rlim_t)recording.end + 1000;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		err(1, "setrlimit");
	errors_begin();
	written = recording_write(&recording, MP3_RECORDING_FAULTS, faults,
				  sizeof(faults)) ||
		  recording_write(&recording, MP3_RECORDING_FILES, faults, 256) ||
		  recording_close(&recording);
	errors = errors_end();
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	ok(good && !written && count_lines(errors) == 1 &&
	   see(file_path) && !memcmp(&seen, &expected, sizeof(seen)) &&
	   file_size() == recording.end,
	   "a recording on a disk that is full keeps its whole chunks, and no other");
	free(errors);
}

/* ---- Kinds ---- */

static bool is_kind(__u32 file, __u32 flags, enum fault_kind kind,
		    enum fault_access access)
{
	struct mp3_fault fault = { .file = file, .flags = flags };

	if (fault_kind(&fault) == kind && fault_access(&fault) == access)
		return true;
	diag("file %u, flags %#x: %s by %s", file, flags,
	     kind_text(fault_kind(&fault)), access_word(fault_access(&fault)));
	return false;
}

static void test_kinds(void)
{
	const __u32 known = MP3_FAULT_ACCESS_KNOWN, major = MP3_FAULT_MAJOR;
	const __u32 write = known | MP3_FAULT_WRITE;
	const __u32 execute = known | MP3_FAULT_EXEC;
	const __u32 shared = MP3_FAULT_SHARED, present = MP3_FAULT_PRESENT;

	ok(is_kind(MP3_NO_FILE, write, KIND_FIRST_TOUCH, ACCESS_WRITE) &&
	   is_kind(MP3_NO_FILE, known, KIND_FIRST_TOUCH, ACCESS_READ),
	   "a minor fault in anonymous memory is its first touch");
	ok(is_kind(MP3_NO_FILE, known | major, KIND_SWAP_IN, ACCESS_READ) &&
	   is_kind(MP3_NO_FILE, major, KIND_SWAP_IN, ACCESS_UNKNOWN),
	   "a major fault in anonymous memory is a swap-in");
	ok(is_kind(1, known, KIND_PAGE_CACHE, ACCESS_READ) &&
	   is_kind(1, execute, KIND_PAGE_CACHE, ACCESS_EXECUTE) &&
	   is_kind(1, write | shared, KIND_PAGE_CACHE, ACCESS_WRITE),
	   "a minor fault in a file maps it from the page cache");
	ok(is_kind(1, known | major, KIND_DISK, ACCESS_READ) &&
	   is_kind(MP3_UNKNOWN_FILE, execute | major, KIND_DISK,
		   ACCESS_EXECUTE),
	   "a major fault in a file reads it from disk");
	ok(is_kind(MP3_NO_FILE, write | present, KIND_COPY, ACCESS_WRITE) &&
	   is_kind(1, write | present, KIND_COPY, ACCESS_WRITE) &&
	   is_kind(1, write, KIND_COPY, ACCESS_WRITE),
	   "a write to a page of a private mapping copies it");
	ok(is_kind(1, write | shared | present, KIND_CLEAN, ACCESS_WRITE) &&
	   is_kind(1, write | shared | present | major, KIND_CLEAN,
		   ACCESS_WRITE),
	   "a write to a present page of a shared mapping is one to a clean page");
	ok(is_kind(MP3_NO_FILE, known | present, KIND_HINT, ACCESS_READ) &&
	   is_kind(1, execute | present, KIND_HINT, ACCESS_EXECUTE),
	   "a read of a present page is a NUMA hint or an access flag");
	ok(is_kind(MP3_NO_FILE, 0, KIND_UNKNOWN, ACCESS_UNKNOWN) &&
	   is_kind(1, MP3_FAULT_WRITE, KIND_UNKNOWN, ACCESS_UNKNOWN),
	   "the kind of a minor fault with an unknown access is unknown");
}

/* ---- Latencies ---- */

static int compare_u64(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Compares the histogram of some times with the sorted times. */
static bool is_exact(__u64 *times, size_t nr)
{
	static const double quantiles[] = { 0, 0.01, 0.5, 0.9, 0.99, 0.999, 1 };
	static struct latency latency;
	__u64 powers[64], expected[64] = {};
	size_t i, rank;

	memset(&latency, 0, sizeof(latency));
	for (i = 0; i < nr; i++) {
		latency_add(&latency, times[i]);
		expected[times[i] ? 63 - __builtin_clzll(times[i]) : 0]++;
	}
	qsort(times, nr, sizeof(*times), compare_u64);
	for (i = 0; i < ARRAY_SIZE(quantiles); i++) {
		__u64 got = latency_quantile(&latency, quantiles[i]), want;

		rank = 1;
		while ((double)rank < quantiles[i] * (double)nr)
			rank++;
		want = times[rank - 1];
		if ((got > want ? got - want : want - got) * 100 <= want)
			continue;
		diag("quantile %g: got %llu, want %llu", quantiles[i],
		     (unsigned long long)got, (unsigned long long)want);
		return false;
	}
	latency_powers(&latency, powers);

	return latency.max_ns == times[nr - 1] && latency.nr == nr &&
	       !memcmp(powers, expected, sizeof(powers));
}

static void test_latencies(void)
{
	static __u64 times[10000];
	__u64 state = 3, end;
	bool good = true;
	size_t i, nr;

	for (nr = 1; nr <= ARRAY_SIZE(times) && good; nr = nr * 3 + 1) {
		for (i = 0; i < nr; i++)
			times[i] = sample_random(&state) >>
				   (sample_random(&state) % 31);
		good = is_exact(times, nr);
	}
	ok(good, "quantiles are within 1 percent of those of the sorted times");
	for (i = 0; i < 65; i++) {
		end = i < 64 ? 1ULL << i : 0;
		times[3 * i] = end - 1;
		times[3 * i + 1] = i < 64 ? end : 1;
		times[3 * i + 2] = i < 63 ? end + 1 : 1;
	}
	ok(is_exact(times, 3 * 64) && is_exact(&(__u64){ ~0ULL - 1 }, 1) &&
	   is_exact(&(__u64){ 0 }, 1),
	   "quantiles and powers of two are right at each power of two");
	ok(!latency_quantile(&(struct latency){}, 0.5),
	   "the quantile of no times is 0");
}

/* ---- Processes ---- */

static struct where_data found;

static void add_identity(__u32 pid, __u64 start_ns, const char *name)
{
	struct mp3_record record = {
		.pid = pid,
		.flags = MP3_IDENTITY,
		.start_ns = start_ns,
	};

	strcpy(record.comm, name);
	data_record(&found, &record);
}

static bool is_process(__u32 pid, __u64 time_ns, const char *name)
{
	size_t index = data_process(&found, pid, time_ns);

	return !strcmp(found.processes[index].comm, name);
}

static void test_processes(void)
{
	struct mp3_record record = { .pid = 10, .comm = "renamed" };

	data_init(&found);
	ok(is_process(10, 150, "") && is_process(10, 160, "") &&
	   found.nr_processes == 1,
	   "faults that are read before the first record are those of one process");
	add_identity(10, 100, "first");
	ok(is_process(10, 150, "first") && found.nr_processes == 1,
	   "a process gets its name after its first faults");
	data_record(&found, &record);
	ok(is_process(10, 150, "renamed"), "a process has its last name");
	add_identity(10, 200, "second");
	add_identity(10, 300, "third");
	ok(is_process(10, 100, "renamed") && is_process(10, 199, "renamed") &&
	   is_process(10, 200, "second") && is_process(10, 299, "second") &&
	   is_process(10, 400, "third") && is_process(10, 1, "renamed") &&
	   found.nr_processes == 3,
	   "a fault belongs to the process that had the id at its time");
}

static void test_callers(void)
{
	struct recording_symbol symbol = {
		.file = 1,
		.offset = 0x100,
		.function = "caller",
		.source = "",
	};

	data_init(&found);
	data_symbol(&found, &symbol);
	symbol.offset++;
	symbol.function = "next";
	data_symbol(&found, &symbol);
	ok(!strcmp(frame_text(&found, SAMPLE_FRAME(1, 0x101), true), "caller") &&
	   !strcmp(frame_text(&found, SAMPLE_FRAME(1, 0x101), false), "next"),
	   "a return address is named after the call before it, another address is not");
	ok(!strcmp(frame_text(&found, 0x7f0000000101, true), "0x7f0000000101") &&
	   !strcmp(frame_text(&found, SAMPLE_FRAME(9, 0x101), false),
		   "[file 9]+0x101"),
	   "code in no file has its address as its name, code in an unknown file its offset");
}

static void test_set(void)
{
	struct set set = { .item_size = 16, .key_size = 8 };
	__u64 key, *item, state = 5;
	bool good = true, added;
	size_t i;

	for (i = 0; i < 20000; i++) {
		key = sample_random(&state) % 5000;
		item = set_get(&set, &key, &added);
		good = good && item[0] == key && added == !item[1];
		item[1]++;
	}
	for (i = 0, key = 0; i < set.nr; i++)
		key += ((__u64 *)set_item(&set, i))[1];
	ok(good && key == 20000 && set.nr > 4000 && set.nr <= 5000,
	   "a set keeps its items while it grows");
	key = 5000;
	ok(!set_find(&set, &key), "a set does not contain what was not added");
	set_free(&set);
}

/* ---- The report ---- */

static struct where_count counted;

static void add_fault(void *unused, const struct mp3_fault *fault)
{
	(void)unused;
	count_fault(&counted, &found, fault);
}

/* Returns the report of the recording, to be freed. */
static char *make_report(enum where_sort sort, size_t nr_rows, bool stacks)
{
	static const struct recording_visitor all = {
		.info = data_info,
		.record = data_record,
		.fault = add_fault,
		.file = data_file,
		.totals = data_totals,
		.symbol = data_symbol,
	};
	struct where_report what = { .nr_rows = nr_rows, .sort = sort };
	size_t size;
	char *text;

	data_init(&found);
	count_init(&counted, stacks);
	what.file = open_memstream(&text, &size);
	if (!what.file || !recording_read(file_path, &all, &found))
		err(1, "report");
	where_report(&what, &counted, &found);
	fclose(what.file);

	return text;
}

/* Returns the sum of the faults in a table, or -1 if there is no such table. */
static long long table_sum(const char *text, const char *heading)
{
	long long sum = 0, value;
	char line[64];
	const char *at;
	int used;

	snprintf(line, sizeof(line), " share  %s\n", heading);
	at = strstr(text, line);
	if (!at)
		return -1;
	at += strlen(line);
	/* Frames of a call path have no numbers. */
	for (; *at && *at != '\n'; at = strchr(at, '\n') + 1)
		if (sscanf(at, "%lld%n", &value, &used) == 1 && used == 12)
			sum += value;

	return sum;
}

static bool sums_are(const char *text, long long sum)
{
	static const char *const headings[] = {
		"mapping", "function", "process", "kind",
		"call path, innermost first",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(headings); i++) {
		if (table_sum(text, headings[i]) == sum)
			continue;
		diag("%s: %lld of %lld", headings[i],
		     table_sum(text, headings[i]), sum);
		return false;
	}

	return true;
}

/* Returns whether labels that are the same in each report are whole in 80 columns. */
static bool labels_fit(void)
{
	size_t size;
	char *text;
	bool good;

	report.file = open_memstream(&text, &size);
	if (!report.file)
		err(1, "report");
	columns = 80;
	counted.other_stacks.minor = 1;
	counted.by_kernel.minor = 1;
	print_paths(&counted);
	print_kinds(&counted);
	fclose(report.file);
	good = strstr(text, "  paths beyond the first million\n") &&
	       strstr(text, "  file mapped from the page cache\n") &&
	       strstr(text, "  of these: in a system call\n");
	free(text);

	return good;
}

static void test_report(void)
{
	char *text, *other;
	const char *first;

	write_sample();
	text = make_report(SORT_STALL, 3, true);
	ok(strstr(text, "  others (") && sums_are(text, NR_FAULTS),
	   "each table of the report has all faults, those of other rows included");
	free(text);
	text = make_report(SORT_STALL, 10, true);
	ok(strstr(text, "  fillbuf  sort.c:1780  /usr/bin/sort\n") &&
	   strstr(text, "  operator new(unsigned long)\n" INDENT
		  "sequential_sort\n" INDENT "main\n") &&
	   strstr(text, "  /home/user/big \"data\", 1;2.txt\n") &&
	   strstr(text, "  sort 4001\n"),
	   "the report names files, functions, lines, callers and processes");
	other = make_report(SORT_STALL, 10, true);
	ok(!strcmp(text, other), "two reports of a recording are the same");
	free(other);
	other = make_report(SORT_FAULTS, 3, true);
	first = strstr(other, " share  mapping\n") + 16;
	ok(!strcmp(strstr(first, "  [heap]\n"), strchr(first, '[') - 2),
	   "the mapping with most faults is the first if the report is sorted by faults");
	free(other);
	free(text);

	if (ftruncate(file_fd, 0))
		err(1, "ftruncate");
	sample_recording(file_path, NR_FAULTS, 16);
	text = make_report(SORT_STALL, 100, true);
	ok(sums_are(text, 16 * (long long)counted.total.minor +
			  (long long)counted.total.major) &&
	   strstr(text, "one in 16 was located"),
	   "minor faults are multiplied by n, and said to be estimates");
	free(text);
	ok(labels_fit(), "no label that is always the same is cut in 80 columns");
}

/* Returns the title of a recording that starts at @time, to be freed. */
static char *make_title(const char *time)
{
	size_t size;
	char *text;
	FILE *file;

	data_init(&found);
	data_info(&found, "start_time", time);
	file = open_memstream(&text, &size);
	if (!file)
		err(1, "open_memstream");
	where_title(file, &found);
	fclose(file);

	return text;
}

static void test_title(void)
{
	static const char *const times[] = {
		"253402300800", "67768036191676799", "67768036191676800",
		"9223372036854775807", "99999999999999999999", "-1",
		"-9223372036854775808", "-99999999999999999999",
	};
	char *none = make_title("0"), *title = make_title("1764201600.25");
	bool good = strstr(title, "recorded 2025-11-2");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(times); i++) {
		free(title);
		title = make_title(times[i]);
		good = good && !strcmp(title, none);
	}
	if (!ok(good, "a time that is no date of four digits is ignored in the title"))
		diag("%s", title);
	free(title);
	free(none);
}

/* Returns whether the proof of @totals contains @text. */
static bool proves(const struct mp3_recording_totals *totals, const char *text)
{
	size_t size;
	char *proof;
	FILE *file;
	bool contained;

	file = open_memstream(&proof, &size);
	if (!file)
		err(1, "open_memstream");
	where_proof(file, totals);
	fclose(file);
	contained = strstr(proof, text);
	if (!contained)
		diag("no '%s' in: %s", text, proof);
	free(proof);

	return contained;
}

static void test_proof(void)
{
	const struct mp3_recording_totals exact = {
		.counted = 1000,
		.located = 600,
		.sampled_out = 350,
		.flags = MP3_RECORDING_COMPLETE | MP3_RECORDING_CLOSED,
	};
	struct mp3_recording_totals totals = exact;

	ok(proves(&totals, "counted 1000 = located 600 + taken by the kernel 50 + ") &&
	   proves(&totals, " + sampled out 350: exact\nnothing was dropped or lost\n"),
	   "the proof adds up, and is exact if all processes were registered before they ran");
	totals.flags = MP3_RECORDING_CLOSED;
	ok(proves(&totals, "not exact: profiling has not ended"),
	   "the proof of an interrupted recording is not exact");
	totals.flags = MP3_RECORDING_COMPLETE;
	ok(proves(&totals, "not exact: processes were running at the start"),
	   "the proof is not exact if processes were running at the start");
	totals = exact;
	totals.running = 1;
	ok(proves(&totals, "not exact: 1 process was still running"),
	   "the proof is not exact if processes are still running");
	totals = exact;
	totals.denied = 1;
	ok(proves(&totals, "not exact: a process gained privileges or is another user's"),
	   "the proof is not exact if a process gained privileges");
	totals = exact;
	totals.counted = 900;
	ok(proves(&totals, "taken by the kernel -50 + sampled out 350: not exact"),
	   "the proof is not exact if the sum is wrong");
	totals = exact;
	totals.lost_faults = 3;
	totals.not_written = 4;
	totals.lost_records = 5;
	totals.dropped = 6;
	ok(proves(&totals, ": exact\nlost: 3 faults") &&
	   proves(&totals, "\nnot written: 4 faults") &&
	   proves(&totals, "\nlost: 5 records") &&
	   proves(&totals, "\ndropped: 6 processes"),
	   "the proof names each loss");
}

int main(void)
{
	errors_fd = memfd_create("errors", MFD_CLOEXEC);
	stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	if (errors_fd < 0 || stderr_fd < 0)
		err(1, "errors");
	file_open();
	test_round_trip();
	test_truncated();
	test_refused();
	test_text();
	test_damaged();
	test_disk_full();
	test_kinds();
	test_latencies();
	test_processes();
	test_callers();
	test_set();
	test_report();
	test_title();
	test_proof();

	return done();
}
