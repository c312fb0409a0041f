// SPDX-License-Identifier: GPL-2.0
/*
 * How fast the rings are read, and how soon a reader wakes up after a tick.
 *
 * Usage: reading SECONDS READERS...
 *
 * Runs in a guest with the module loaded. For each number of concurrent readers,
 * prints "what readers median lowest highest": millions of samples, and of records,
 * that each reader copies through its mapping per second, repeating from the oldest
 * to the newest entry for SECONDS; then microseconds from a tick until poll(2)
 * returns in each reader, over the same time.
 */
#include "../mp3_client.h"
#include "bench.h"

#define MAX_READERS	64
#define MAX_WAKES	100000
#define ENTRIES		12000	/* capacity of the ring of samples */

static unsigned int seconds;

/**
 * struct result - results of all readers of a run, in shared memory
 * @rates: millions of entries per second
 * @nr:    number of wake-ups
 * @wakes: delays of the wake-ups in microseconds
 */
static struct result {
	double rates[MAX_READERS];
	unsigned int nr;
	double wakes[MAX_WAKES];
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

static double read_all(bool records)
{
	uint64_t entries = 0, start = now_ns(), time;
	struct mp3_reader reader;
	struct mp3_record record;
	struct mp3_sample sample;

	open_or_die(&reader, records);
	do {
		reader.next = mp3_reader_oldest(&reader, mp3_reader_head(&reader));
		while (records ? mp3_reader_next_record(&reader, &record) :
				 mp3_reader_next(&reader, &sample))
			entries++;
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
			result->wakes[at] = (now - record.time_ns) / 1e3;
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

static void measure_wakes(const char *what, unsigned int readers)
{
	run_readers(wait_for_ticks, readers);
	print(what, readers, result->wakes,
	      result->nr < MAX_WAKES ? result->nr : MAX_WAKES);
}

int main(int argc, char **argv)
{
	pid_t sleeper = start(asleep), ping = start(pinging), *spinners;
	unsigned int cpus = get_nprocs();
	int i;

	if (argc < 3)
		errx(2, "usage: reading SECONDS READERS...");
	seconds = parse_number(argv[1]);
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED)
		err(1, "mmap");
	describe();
	printf("# what readers median lowest highest\n");

	/* Unregistering the only process makes a sample and a record. */
	for (i = 0; i < ENTRIES; i++) {
		command_or_die('R', sleeper);
		command_or_die('U', sleeper);
	}
	for (i = 2; i < argc; i++) {
		unsigned int nr = parse_number(argv[i]);

		if (nr > MAX_READERS)
			errx(2, "at most %d readers", MAX_READERS);
		run_readers(read_samples, nr);
		print("samples", nr, result->rates, nr);
		run_readers(read_records, nr);
		print("records", nr, result->rates, nr);
		command_or_die('R', ping);
		measure_wakes("wake-idle", nr);
		spinners = start_many(spinning, cpus);
		measure_wakes("wake-cpu-bound", nr);
		end_many(spinners, cpus);
		command_or_die('U', ping);
	}
	end(ping, SIGKILL);
	end(sleeper, SIGKILL);

	return 0;
}
