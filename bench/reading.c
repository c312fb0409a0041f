// SPDX-License-Identifier: GPL-2.0
/*
 * How fast the rings are read, and how soon a reader wakes up after a tick.
 *
 * Usage: reading ring SECONDS
 *	  reading wake SECONDS READERS...
 *	  reading all SECONDS READERS...
 *
 * "ring" runs on any machine, without the module: it reads rings in memory, of
 * various sizes, from the oldest to the newest entry. Prints "what KiB median lowest
 * highest" in millions of entries per second of CPU time.
 *
 * The others run in a guest with the module loaded. For each number of concurrent
 * readers, they print "what readers median lowest highest". "wake" prints microseconds
 * from a tick until poll(2) returns in a reader: in each, in the first one and in the
 * last one of each tick; and the mean of what the ticks take themselves, which includes
 * waking the readers. "all" precedes them by millions of samples, and of records, that
 * each reader copies through its mapping per second, repeating for SECONDS.
 */
#include "../mp3_client.h"
#include "bench.h"

#define MAX_READERS	64
#define MAX_WAKES	100000
#define ENTRIES		12000	/* capacity of the ring of samples */
#define ROUNDS		15

static unsigned int seconds;

/**
 * struct wake - a reader has woken up
 * @tick:  time of the tick
 * @delay: microseconds since then
 */
struct wake {
	uint64_t tick;
	double delay;
};

/**
 * struct result - results of all readers of a run, in shared memory
 * @rates: millions of entries per second
 * @nr:    number of wake-ups
 * @wakes: the wake-ups
 */
static struct result {
	double rates[MAX_READERS];
	unsigned int nr;
	struct wake wakes[MAX_WAKES];
} *result;

static void pinging(void)
{
	for (;;)
		sleep_ms(10);
}

static void open_or_die(struct mp3_reader *reader, bool records)
{
	int ret = records ? mp3_reader_open_records(reader, MP3_PROCS_PATH) :
			    mp3_reader_open(reader, MP3_DEVICE_PATH, false);

	if (ret)
		errx(1, "open a ring: %s", mp3_strerror(ret));
}

/* Read all entries of a ring. Returns how many. */
static uint64_t read_once(struct mp3_reader *reader, bool records)
{
	struct mp3_record record;
	struct mp3_sample sample;
	uint64_t entries = 0;

	reader->next = mp3_reader_oldest(reader, mp3_reader_head(reader));
	while (records ? mp3_reader_next_record(reader, &record) :
			 mp3_reader_next(reader, &sample))
		entries++;

	return entries;
}

static double read_all(bool records)
{
	uint64_t entries = 0, start = now_ns(), time;
	struct mp3_reader reader;

	open_or_die(&reader, records);
	do {
		entries += read_once(&reader, records);
		time = now_ns() - start;
	} while (time < seconds * 1000000000ULL);

	return entries * 1e3 / time;
}

static void read_samples(unsigned int i)
{
	result->rates[i] = read_all(false);
}

static void read_records(unsigned int i)
{
	result->rates[i] = read_all(true);
}

/* The registered process has something to report in each tick. */
static void wait_for_ticks(unsigned int i)
{
	uint64_t end = now_ns() + seconds * 1000000000ULL, now;
	struct mp3_reader reader;
	struct mp3_record record;

	(void)i;
	open_or_die(&reader, true);
	do {
		bool any = false;
		unsigned int at;

		reader.next = mp3_reader_head(&reader);
		if (mp3_reader_wait(&reader, 1000) <= 0)
			errx(1, "no tick");
		now = now_ns();
		while (mp3_reader_next_record(&reader, &record))
			any = true;
		if (!any)
			continue;
		at = __atomic_fetch_add(&result->nr, 1, __ATOMIC_RELAXED);
		if (at < MAX_WAKES)
			result->wakes[at] = (struct wake){
				record.time_ns, (now - record.time_ns) / 1e3,
			};
	} while (now < end);
}

static void run_readers(void (*body)(unsigned int), unsigned int nr)
{
	unsigned int i;
	int status;

	result->nr = 0;
	for (i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			body(i);
			_exit(0);
		}
	}
	for (i = 0; i < nr; i++)
		if (wait(&status) < 0 || status)
			errx(1, "a reader failed");
}

static void print(const char *what, unsigned int readers, double *values,
		  unsigned int nr)
{
	if (!nr)
		errx(1, "%s: nothing measured", what);
	sort(values, nr);
	printf("%s %u %.2f %.2f %.2f\n", what, readers,
	       quantile(values, nr, 0.5), values[0], values[nr - 1]);
	fflush(stdout);
}

static int compare_wakes(const void *a, const void *b)
{
	const struct wake *x = a, *y = b;

	if (x->tick != y->tick)
		return x->tick < y->tick ? -1 : 1;
	return compare_doubles(&x->delay, &y->delay);
}

static void measure_wakes(const char *what, unsigned int readers)
{
	static double all[MAX_WAKES], first[MAX_WAKES], last[MAX_WAKES];
	unsigned int nr, i, ticks = 0;
	struct mp3_reader reader;
	uint64_t cost, served;
	char name[64];
	double tick;

	open_or_die(&reader, true);
	cost = reader.header->cost_ns;
	served = reader.header->ticks;
	run_readers(wait_for_ticks, readers);
	tick = (reader.header->cost_ns - cost) / 1e3 /
	       (reader.header->ticks - served);
	mp3_reader_close(&reader);

	nr = result->nr < MAX_WAKES ? result->nr : MAX_WAKES;
	qsort(result->wakes, nr, sizeof(*result->wakes), compare_wakes);
	for (i = 0; i < nr; i++) {
		const struct wake *wake = &result->wakes[i];

		all[i] = wake->delay;
		if (!i || wake->tick != wake[-1].tick)
			first[ticks++] = wake->delay;
		last[ticks - 1] = wake->delay;
	}
	print(what, readers, all, nr);
	snprintf(name, sizeof(name), "%s-first", what);
	print(name, readers, first, ticks);
	snprintf(name, sizeof(name), "%s-last", what);
	print(name, readers, last, ticks);
	snprintf(name, sizeof(name), "%s-tick", what);
	print(name, readers, &tick, 1);
}

/* ---- Rings in memory ---- */

/* Print the name of the processor. */
static void describe_cpu(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "model name", 10)) {
			printf("#%s", strchr(line, ':') + 1);
			break;
		}
	if (file)
		fclose(file);
}

/* Measure a ring of @capacity entries, in a file in memory, on this machine. */
static void measure_ring(bool records, uint32_t capacity)
{
	size_t page = getpagesize();
	size_t size = records ? sizeof(struct mp3_record) :
				sizeof(struct mp3_sample);
	int fd = memfd_create("ring", MFD_CLOEXEC), ret;
	struct mp3_reader reader;
	double rates[ROUNDS];
	struct mp3_header *header;
	unsigned int i;
	char path[32];
	void *data;

	if (fd < 0 || ftruncate(fd, MP3_OFF_HEADER + page))
		err(1, "memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	data = mmap(NULL, capacity * size, PROT_WRITE, MAP_SHARED, fd, 0);
	header = mmap(NULL, page, PROT_WRITE, MAP_SHARED, fd, MP3_OFF_HEADER);
	if (data == MAP_FAILED || header == MAP_FAILED)
		err(1, "mmap");
	memset(data, 1, capacity * size);
	*header = (struct mp3_header){
		.magic = MP3_MAGIC,
		.version = MP3_ABI_VERSION,
		.entry_size = size,
		.capacity = capacity,
		.head = capacity,
		.hz = 250,
	};
	ret = mp3_reader_map(&reader, path, O_RDONLY, PROT_READ, size / 8, 0,
			     capacity);
	if (ret)
		errx(1, "%s: %s", path, mp3_strerror(ret));

	read_once(&reader, records);
	for (i = 0; i < ROUNDS; i++) {
		uint64_t entries = 0, start = cpu_ns(getpid()), time;

		do {
			entries += read_once(&reader, records);
			time = cpu_ns(getpid()) - start;
		} while (time < seconds * 1000000000ULL / ROUNDS);
		rates[i] = entries * 1e3 / time;
	}
	print(records ? "records" : "samples", capacity * size >> 10, rates,
	      ROUNDS);
	mp3_reader_close(&reader);
	munmap(data, capacity * size);
	munmap(header, page);
	close(fd);
}

static void measure_rings(void)
{
	describe_cpu();
	printf("# what KiB median lowest highest\n");
	measure_ring(false, 12000);
	measure_ring(false, 4 << 15);
	measure_ring(false, 4 << 20);
	measure_ring(true, 6000);
	measure_ring(true, 2 << 15);
	measure_ring(true, 2 << 20);
}

/* ---- The rings of the module ---- */

static void measure_copies(unsigned int readers)
{
	run_readers(read_samples, readers);
	print("samples", readers, result->rates, readers);
	run_readers(read_records, readers);
	print("records", readers, result->rates, readers);
}

/* Unregistering the only process makes a sample and a record. */
static void fill_rings(void)
{
	pid_t sleeper = start(asleep);
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		command_or_die('R', sleeper);
		command_or_die('U', sleeper);
	}
	end(sleeper, SIGKILL);
}

static void measure_module(bool copies, char **numbers)
{
	pid_t ping = start(pinging), *spinners;
	unsigned int cpus = get_nprocs();

	describe();
	printf("# what readers median lowest highest\n");
	if (copies)
		fill_rings();
	for (; *numbers; numbers++) {
		unsigned int nr = parse_number(*numbers);

		if (nr > MAX_READERS)
			errx(2, "at most %d readers", MAX_READERS);
		if (copies)
			measure_copies(nr);
		command_or_die('R', ping);
		measure_wakes("wake-idle", nr);
		spinners = start_many(spinning, cpus);
		measure_wakes("wake-cpu-bound", nr);
		end_many(spinners, cpus);
		command_or_die('U', ping);
	}
	end(ping, SIGKILL);
}

int main(int argc, char **argv)
{
	bool all = argc > 1 && !strcmp(argv[1], "all");

	if (argc < 3)
		errx(2, "usage: reading ring|wake|all SECONDS [READERS...]");
	seconds = parse_number(argv[2]);
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED)
		err(1, "mmap");
	if (!strcmp(argv[1], "ring"))
		measure_rings();
	else
		measure_module(all, argv + 3);

	return 0;
}
