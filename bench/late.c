// SPDX-License-Identifier: GPL-2.0
/*
 * What delays the samples of mp3 while the guest thrashes, by the kernel's own trace.
 *
 * Usage: late SECONDS PROCESSES INTERVAL_MS
 *
 * Runs in a guest with the module loaded and a swap disk, while PROCESSES registered
 * processes thrash. Divides the time from the clock tick at which a sample is due
 * until it is complete into stages, which end when
 *
 *	interrupt	the CPU of the timer takes a timer interrupt
 *	timer		the timer's function queues the work
 *	wake		the worker is on a run queue
 *	run		the worker is on a CPU
 *	start		the work function begins
 *	sample		the work function returns
 *
 * and prints "stage median p99 longest late silent": times in ms, for how many late
 * samples this stage was the longest, and in how many of these the CPU was silent for
 * at least half of the delay: it took no timer interrupt, though one was due at each
 * clock tick. A sample is late if its work function begins half an interval or more
 * after it was due. The row "control" is for a SCHED_FIFO thread of the highest
 * priority on each CPU, which sleeps until absolute times that are 10 ms apart. Each
 * late sample follows, with what it was waiting for.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

#include "bench.h"

#define TRACING		"/sys/kernel/tracing/"
#define CONTROL_MS	10
#define MAX_CPUS	8
#define WARM_UP_FAULTS	5000
#define MAX_FUNCTIONS	200000
#define NS_PER_MS	1e6

enum { INTERRUPT, TIMER, WAKE, RUN, START, SAMPLE, NR_STAGES };

static const char *const stages[] = {
	"interrupt", "timer", "wake", "run", "start", "sample",
};

/**
 * struct sample - one run of the module's work function, times in ms
 * @expires: the clock tick after which the timer was to run
 * @end:     when each stage ended
 * @cpu:     the CPU on which each stage ended
 * @before:  the task that ran before the worker
 */
struct sample {
	uint64_t expires;
	double end[NR_STAGES];
	unsigned int cpu[NR_STAGES];
	char before[20];
};

/**
 * struct interrupt - a timer interrupt
 * @ms: its time
 * @ip: the interrupted instruction
 */
struct interrupt {
	double ms;
	unsigned long ip;
};

/**
 * struct cpu - what happened on a CPU
 * @interrupts:    its timer interrupts
 * @nr_interrupts: how many there are
 * @control:       delays of its control thread, in ms
 */
struct cpu {
	struct interrupt *interrupts;
	size_t nr_interrupts;
	double *control;
};

static unsigned int seconds, nr_loads, nr_control, nr_cpus;
static double interval_ms, tick_ms;
static uint64_t control_ns;
static pthread_barrier_t control_starts;
static struct cpu cpus[MAX_CPUS];
static struct sample *samples;
static size_t nr_samples, max_samples, max_interrupts;

static struct function {
	unsigned long address;
	char name[56];
} functions[MAX_FUNCTIONS];
static size_t nr_functions;

static void *allocate(size_t nr, size_t size)
{
	void *memory = calloc(nr, size);

	if (!memory)
		err(1, "calloc");
	return memory;
}

static void thrashing(void)
{
	thrash(nr_loads);
}

/* ---- Functions of the kernel ---- */

static void read_functions(void)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	struct function *function = functions;
	char line[512], type;

	if (!file)
		err(1, "/proc/kallsyms");
	while (fgets(line, sizeof(line), file) &&
	       nr_functions < MAX_FUNCTIONS)
		if (sscanf(line, "%lx %c %55s", &function->address, &type,
			   function->name) == 3 && strchr("tTwW", type))
			function = &functions[++nr_functions];
	fclose(file);
}

static unsigned long address_of(const char *name)
{
	size_t i;

	for (i = 0; i < nr_functions; i++)
		if (!strcmp(functions[i].name, name))
			return functions[i].address;
	errx(1, "the kernel has no function %s", name);
}

/* Return the name of the function that contains an instruction. */
static const char *function_at(unsigned long ip)
{
	struct function user = { 1UL << 63, "user space" }, *best = &user;
	size_t i;

	for (i = 0; i < nr_functions; i++)
		if (functions[i].address <= ip &&
		    functions[i].address > best->address)
			best = &functions[i];
	return best->name;
}

/* ---- Control ---- */

static void *control(void *arg)
{
	struct cpu *cpu = arg;
	struct sched_param param = {
		.sched_priority = sched_get_priority_max(SCHED_FIFO),
	};
	unsigned int i;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu - cpus, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) ||
	    pthread_setschedparam(pthread_self(), SCHED_FIFO, &param))
		errx(1, "no SCHED_FIFO thread");
	/* Once before control_ns is set, and once after that */
	pthread_barrier_wait(&control_starts);
	pthread_barrier_wait(&control_starts);
	for (i = 0; i < nr_control; i++) {
		uint64_t ns = control_ns + i * CONTROL_MS * 1000000ULL;
		struct timespec until = { ns / 1000000000, ns % 1000000000 };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		cpu->control[i] = (now_ns() - ns) / NS_PER_MS;
	}
	return NULL;
}

/* Return the longest delay of the control on a CPU between two times. */
static double control_delay(const struct cpu *cpu, double from, double to)
{
	double longest = 0;
	unsigned int i;

	for (i = 0; i < nr_control; i++) {
		double due = control_ns / NS_PER_MS + i * CONTROL_MS;

		if (due < to && due + cpu->control[i] > from &&
		    cpu->control[i] > longest)
			longest = cpu->control[i];
	}
	return longest;
}

/* ---- Trace ---- */

static void trace_write(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "%s", file);
	write_file(path, text);
}

static void trace_event(const char *event)
{
	char file[96];

	snprintf(file, sizeof(file), "events/%s/enable", event);
	trace_write(file, "1");
}

/* Record an event if one of its fields has a value. */
static void trace_event_of(const char *event, const char *field,
			   unsigned long value)
{
	char file[96], filter[96];

	snprintf(file, sizeof(file), "events/%s/filter", event);
	snprintf(filter, sizeof(filter), "%s == %#lx", field, value);
	trace_write(file, filter);
	trace_event(event);
}

/* While the guest thrashes, the kernel refuses to allocate so much. */
static void allocate_trace(void)
{
	char size[16];

	trace_write("trace_clock", "mono");
	/* About 400 interrupts and 140 other events per second */
	snprintf(size, sizeof(size), "%u", 1024 + 40 * seconds);
	trace_write("buffer_size_kb", size);
	trace_write("options/overwrite", "0");
}

static void start_trace(pid_t worker)
{
	unsigned long timer = address_of("kthread_delayed_work_timer_fn");
	unsigned long tick = address_of("mp3_tick");

	/* Its argument is a struct pt_regs. */
	trace_write("kprobe_events",
		    "p:late/interrupt __sysvec_apic_timer_interrupt ip=+128(%di):x64");
	trace_event("late/interrupt");
	trace_event_of("timer/timer_start", "function", timer);
	trace_event_of("timer/timer_expire_entry", "function", timer);
	trace_event_of("sched/sched_kthread_work_execute_start", "function",
		       tick);
	trace_event_of("sched/sched_kthread_work_execute_end", "function", tick);
	trace_event_of("sched/sched_wakeup", "pid", worker);
	trace_event_of("sched/sched_switch", "next_pid", worker);
}

static void stop_trace(void)
{
	trace_write("tracing_on", "0");
	trace_write("events/enable", "0");
	trace_write("kprobe_events", "");
}

/* Return the number after @key in a line, or 0. */
static uint64_t number_after(const char *line, const char *key, int base)
{
	const char *at = strstr(line, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

static void end_stage(struct sample *sample, unsigned int stage, double ms,
		      unsigned int cpu)
{
	sample->end[stage] = ms;
	sample->cpu[stage] = cpu;
}

/*
 * Read an event of the sample in progress. An event that the worker does not need,
 * as it was still running, has the time of the one before. Returns the time of clock
 * tick 0 by a timer that has run, or 0.
 */
static double read_event(const char *event, const char *args, double ms,
			 unsigned int cpu)
{
	static struct sample sample;
	static uint64_t expires;
	unsigned int stage;
	const char *before;

	if (!strcmp(event, "timer_start")) {
		expires = number_after(args, "expires=", 10);
	} else if (!strcmp(event, "timer_expire_entry")) {
		memset(&sample, 0, sizeof(sample));
		sample.expires = expires;
		for (stage = INTERRUPT; stage < NR_STAGES; stage++)
			end_stage(&sample, stage, ms, cpu);
		return ms - number_after(args, "now=", 10) * tick_ms;
	} else if (!sample.expires) {
		return 0;
	} else if (!strcmp(event, "sched_wakeup")) {
		for (stage = WAKE; stage < NR_STAGES; stage++)
			end_stage(&sample, stage, ms, cpu);
	} else if (!strcmp(event, "sched_switch")) {
		for (stage = RUN; stage < NR_STAGES; stage++)
			end_stage(&sample, stage, ms, cpu);
		before = strstr(args, "prev_comm=") + strlen("prev_comm=");
		snprintf(sample.before, sizeof(sample.before), "%.*s",
			 (int)(strstr(before, " prev_pid=") - before), before);
	} else if (!strcmp(event, "sched_kthread_work_execute_start")) {
		end_stage(&sample, START, ms, cpu);
	} else if (!strcmp(event, "sched_kthread_work_execute_end")) {
		end_stage(&sample, SAMPLE, ms, cpu);
		if (nr_samples < max_samples)
			samples[nr_samples++] = sample;
		sample.expires = 0;
	}
	return 0;
}

/* Read the trace. Returns the time of clock tick 0 in ms, by the earliest timer. */
static double read_trace(void)
{
	FILE *file = fopen(TRACING "trace", "re");
	char line[512], event[64];
	double zero = 1e300;

	if (!file)
		err(1, TRACING "trace");
	while (fgets(line, sizeof(line), file)) {
		char *at = strstr(line, " [0");
		unsigned int nr;
		double s, tick;
		int args;

		/* "task-pid [cpu] flags seconds: event: arguments" */
		if (*line == '#' || !at ||
		    sscanf(at, " [%u] %*s %lf: %63[^:]: %n", &nr, &s, event,
			   &args) != 3 || nr >= nr_cpus)
			continue;
		if (!strcmp(event, "interrupt")) {
			struct cpu *cpu = &cpus[nr];

			if (cpu->nr_interrupts == max_interrupts)
				errx(1, "too many timer interrupts");
			cpu->interrupts[cpu->nr_interrupts++] = (struct interrupt){
				s * 1000, number_after(at + args, "ip=", 16),
			};
			continue;
		}
		tick = read_event(event, at + args, s * 1000, nr);
		if (tick && tick < zero)
			zero = tick;
	}
	fclose(file);
	if (!nr_samples)
		errx(1, "the trace has no samples");

	return zero;
}

/* ---- Report ---- */

/* Return the first timer interrupt of a CPU at or after a time, or NULL. */
static const struct interrupt *interrupt_after(const struct cpu *cpu, double ms)
{
	size_t low = 0, high = cpu->nr_interrupts;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (cpu->interrupts[middle].ms < ms)
			low = middle + 1;
		else
			high = middle;
	}
	return low < cpu->nr_interrupts ? &cpu->interrupts[low] : NULL;
}

static double due(const struct sample *sample, double zero)
{
	/* A timer runs at the clock tick after its expiry. */
	return zero + (sample->expires + 1) * tick_ms;
}

/* Return the length of a stage. */
static double length(const struct sample *sample, unsigned int stage, double zero)
{
	double from = stage == INTERRUPT ? due(sample, zero) :
					   sample->end[stage - 1];

	return sample->end[stage] > from ? sample->end[stage] - from : 0;
}

static unsigned int longest_stage(const struct sample *sample, double zero)
{
	unsigned int stage, longest = INTERRUPT;

	for (stage = TIMER; stage <= START; stage++)
		if (length(sample, stage, zero) > length(sample, longest, zero))
			longest = stage;
	return longest;
}

/* Return how long after it was due a sample began. */
static double delay_of(const struct sample *sample, double zero)
{
	return sample->end[START] - due(sample, zero);
}

static bool is_late(const struct sample *sample, double zero)
{
	return delay_of(sample, zero) >= interval_ms / 2;
}

/**
 * struct silence - the time that a CPU took no timer interrupt, though it was due
 * @ms:      all of it, in ms: what exceeds a clock tick between two interrupts
 * @longest: the longest
 * @after:   the interrupt that ended that, or NULL
 */
struct silence {
	double ms;
	double longest;
	const struct interrupt *after;
};

/* Return the silence of the CPU that a late sample was waiting for. */
static struct silence silence_of(const struct sample *sample, double zero)
{
	const struct cpu *cpu = &cpus[sample->cpu[longest_stage(sample, zero)]];
	const struct interrupt *at, *end = cpu->interrupts + cpu->nr_interrupts;
	struct silence silence = { 0 };
	double last = due(sample, zero);

	for (at = interrupt_after(cpu, last);
	     at && at < end && last < sample->end[START]; at++) {
		double ms = at->ms - last - tick_ms;

		if (ms > silence.longest) {
			silence.longest = ms;
			silence.after = at;
		}
		silence.ms += ms > 0 ? ms : 0;
		last = at->ms;
	}
	return silence;
}

static bool is_silent(const struct sample *sample, double zero)
{
	return silence_of(sample, zero).ms >= delay_of(sample, zero) / 2;
}

static void report_late(const struct sample *sample, double zero)
{
	unsigned int stage = longest_stage(sample, zero);
	unsigned int cpu = sample->cpu[stage];
	struct silence silence = silence_of(sample, zero);
	double from = due(sample, zero);

	printf("# late by %.1f ms: %s %.1f ms; CPU %u silent for %.1f ms, until %s; ",
	       delay_of(sample, zero), stages[stage],
	       length(sample, stage, zero), cpu, silence.ms,
	       silence.after ? function_at(silence.after->ip) : "-");
	printf("control on it late by %.1f ms; the worker ran after %s\n",
	       control_delay(&cpus[cpu], from, sample->end[START]),
	       *sample->before ? sample->before : "itself");
}

static void report_row(const char *name, double *values, size_t nr)
{
	sort(values, nr);
	printf("%s %.3f %.3f %.3f", name, quantile(values, nr, 0.5),
	       quantile(values, nr, 0.99), values[nr - 1]);
}

static void report(double zero)
{
	double *values = allocate(nr_samples + nr_cpus * nr_control,
				  sizeof(*values));
	unsigned int stage, late, silent, all_late = 0, all_silent = 0;
	size_t i, j, nr = 0;

	/* What the trace does not show: the first interrupt after it was due */
	for (i = 0; i < nr_samples; i++) {
		const struct interrupt *at =
			interrupt_after(&cpus[samples[i].cpu[TIMER]],
					due(&samples[i], zero));

		if (at && at->ms < samples[i].end[TIMER])
			samples[i].end[INTERRUPT] = at->ms;
	}

	printf("# stage median p99 longest late silent\n");
	for (stage = INTERRUPT; stage < NR_STAGES; stage++) {
		late = 0;
		silent = 0;
		for (i = 0; i < nr_samples; i++) {
			const struct sample *sample = &samples[i];

			values[i] = length(sample, stage, zero);
			if (!is_late(sample, zero) ||
			    stage != longest_stage(sample, zero))
				continue;
			late++;
			silent += is_silent(sample, zero);
		}
		report_row(stages[stage], values, nr_samples);
		printf(" %u %u\n", late, silent);
		all_late += late;
		all_silent += silent;
	}
	for (i = 0; i < nr_samples; i++)
		values[i] = delay_of(&samples[i], zero);
	report_row("all", values, nr_samples);
	printf(" %u %u\n", all_late, all_silent);
	late = 0;
	for (i = 0; i < nr_cpus; i++)
		for (j = 0; j < nr_control; j++) {
			values[nr++] = cpus[i].control[j];
			late += cpus[i].control[j] >= interval_ms / 2;
		}
	report_row("control", values, nr);
	printf(" %u -\n", late);
	for (i = 0; i < nr_samples; i++)
		if (is_late(&samples[i], zero))
			report_late(&samples[i], zero);
}

/* ---- Run ---- */

static double major_faults(void)
{
	return number_by(SUM("/^pgmajfault /", "$2") "/proc/vmstat");
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_CPUS];
	uint64_t ticks, missed;
	struct ring ring;
	double faults, zero;
	unsigned int i;
	pid_t *pids;

	if (argc != 4)
		errx(2, "usage: late SECONDS PROCESSES INTERVAL_MS");
	seconds = parse_number(argv[1]);
	nr_loads = parse_number(argv[2]);
	interval_ms = parse_number(argv[3]);
	set_interval(argv[3]);
	ring = ring_open();
	tick_ms = 1000.0 / ring.header->hz;
	nr_cpus = get_nprocs();
	if (nr_cpus > MAX_CPUS)
		errx(1, "more than %d CPUs", MAX_CPUS);
	nr_control = seconds * 1000 / CONTROL_MS;
	max_samples = seconds * 1000 / interval_ms + 100;
	max_interrupts = (seconds + 10) * 1000;
	samples = allocate(max_samples, sizeof(*samples));
	for (i = 0; i < nr_cpus; i++) {
		cpus[i].interrupts = allocate(max_interrupts,
					      sizeof(*cpus[i].interrupts));
		cpus[i].control = allocate(nr_control, sizeof(double));
	}
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) && errno != EBUSY)
		err(1, "tracefs");
	allocate_trace();
	read_functions();

	pids = start_many(thrashing, nr_loads);
	for (i = 0; i < nr_loads; i++)
		command_or_die('R', pids[i]);
	/* Thrashing does not start at once, nor is its start typical. */
	faults = major_faults();
	while (major_faults() - faults < WARM_UP_FAULTS)
		sleep_ms(100);
	/* This program must not thrash itself. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(1, "mlockall");
	pthread_barrier_init(&control_starts, NULL, nr_cpus + 1);
	for (i = 0; i < nr_cpus; i++)
		if (pthread_create(&threads[i], NULL, control, &cpus[i]))
			errx(1, "pthread_create");
	pthread_barrier_wait(&control_starts);
	start_trace(number_by("grep -lx mp3 /proc/[0-9]*/comm | cut -d/ -f3"));
	ticks = ring.header->ticks;
	missed = ring.header->missed;
	faults = major_faults();
	control_ns = now_ns() + CONTROL_MS * 1000000ULL;
	pthread_barrier_wait(&control_starts);
	for (i = 0; i < nr_cpus; i++)
		pthread_join(threads[i], NULL);
	ticks = ring.header->ticks - ticks;
	missed = ring.header->missed - missed;
	faults = major_faults() - faults;
	stop_trace();
	end_many(pids, nr_loads);

	describe();
	printf("# %u s, interval %g ms, %u processes: %.0f major faults per second\n",
	       seconds, interval_ms, nr_loads, faults / seconds);
	printf("# %llu samples, %.4f per second, %llu missed\n",
	       (unsigned long long)ticks, (double)ticks / seconds,
	       (unsigned long long)missed);
	if (faults < 10 * seconds)
		errx(1, "the guest does not thrash");
	zero = read_trace();
	report(zero);

	return 0;
}
