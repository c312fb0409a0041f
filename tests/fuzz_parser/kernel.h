/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the command parser of mp3.c uses of the kernel and calls in the module, for
 * user space. The functions behave as the kernel's documentation describes them,
 * and record what the parser requests. A call that no correct parser makes aborts.
 */
#ifndef MP3_FUZZ_PARSER_KERNEL_H
#define MP3_FUZZ_PARSER_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "../../mp3_uapi.h"

/* A real page is larger. The parser does not depend on its size. */
#define PAGE_SIZE 512UL

#define __user
#define PF_KTHREAD 0x00200000
#define PIDTYPE_PID 0
#define THIS_MODULE NULL
#define MP3_CLASSIC 0
#define MP3_TURN 3
#define current (&writer)
#define mp3_user_follow (!environment.no_follow)
#define READ_ONCE(value) (value)

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define min(a, b) ({ \
	__auto_type min_a = (a); \
	__auto_type min_b = (b); \
	min_a < min_b ? min_a : min_b; \
})

/* Abort unless @condition holds. */
#define require(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s(): %s does not hold\n", __func__, \
			#condition); \
		abort(); \
	} \
} while (0)

/* ---- The write, and what it leads to ---- */

/**
 * struct environment - what an input defines, apart from the text
 * @capture: the text is written to a capture, else to the status file
 * @absent:  the text can only be read with page faults
 * @waits:   another command of the user is being executed
 * @out_of_memory: there is none for a command that waits for others
 * @no_follow: user_follow is N
 * @privileged: the writer and the opener have CAP_PERFMON
 * @fault:   bytes of the text from this one on cannot be read at all
 * @killed:  a fatal signal arrives after so many lines have been read
 * @changed: then, another thread has overwritten the text by X
 * @removed: the removal of the module begins when so many lines have been, or are
 *	     about to be read
 */
struct environment {
	bool capture;
	bool absent;
	bool waits;
	bool out_of_memory;
	bool no_follow;
	bool privileged;
	size_t fault;
	size_t killed;
	size_t changed;
	size_t removed;
};

/**
 * struct call - a request to the rest of the module
 * @letter:  of the command
 * @pid:     R, F, U: the process id
 * @n:	     L: one minor fault in n
 * @callers: L: callers of each fault
 */
struct call {
	char letter;
	int pid;
	unsigned int n;
	unsigned int callers;
};

/**
 * struct outcome - what a write has done
 * @result: its return value
 * @nr:	    number of calls
 * @calls:  the calls, in their order; a command has at least three bytes
 */
struct outcome {
	ssize_t result;
	size_t nr;
	struct call calls[PAGE_SIZE / 3];
};

/*
 * The last four digits of an id define the process. The last one: it does not exist,
 * it is a kernel thread, or see permission() and execution(). The one before: see
 * turns_of(). The third last: it becomes another user's during a turn. The fourth last:
 * it has many threads.
 */
#define PID_NONE(pid)	((pid) % 10 == 0)
#define PID_KTHREAD(pid) ((pid) % 10 == 1)
#define PID_LEAVES(pid)	((pid) / 100 % 10 == 9)
#define PID_LARGE(pid)	((pid) / 1000 % 10 == 9)

/* Returns how many turns R and U of a process take. */
static inline int turns_of(int pid)
{
	int digit = pid / 10 % 10;

	return digit % 2 ? 1 + (digit > 4) : 0;
}

/* Returns whether the writer may profile a process: 0 or an errno. */
static inline int permission(int pid)
{
	switch (pid % 10) {
	case 2: return -EPERM;
	case 3: return -ESRCH;
	default: return 0;
	}
}

/* Returns the result of R, F or U for a process that may be profiled. */
static inline int execution(int pid)
{
	switch (pid % 10) {
	case 4: return -EEXIST;
	case 5: return -ENOMEM;
	default: return 0;
	}
}

/* Returns the result of a well-formed L. */
static inline int location(unsigned int n)
{
	switch (n) {
	case 2: return -EPERM;
	case 4: return -ENOMEM;
	case 8: return -EOPNOTSUPP;
	default: return 0;
	}
}

struct file { int unused; };
struct signal_struct { int unused; };
struct mp3_capture { unsigned int holder; };
struct mutex { bool held; };
struct mp3_gate { struct mutex turn; };

struct mp3_caller {
	const struct file *file;
	const struct signal_struct *signal;
};

struct pid { int nr; };

/**
 * struct task_struct - a process
 * @signal:    of the writer
 * @flags:     PF_KTHREAD, or 0
 * @pid:       its id
 * @permitted: the writer may profile it, and that was checked after the last turn
 * @turns:     turns that have been waited for
 */
struct task_struct {
	struct signal_struct *signal;
	unsigned int flags;
	int pid;
	bool permitted;
	int turns;
};

static struct environment environment;
static struct outcome outcome;
static struct file written_file;
static struct signal_struct writer_signal;
static struct task_struct writer = { .signal = &writer_signal };
static struct mp3_capture written_capture = { .holder = 17 };
static const char *written;
static size_t written_size;

/* Lines that have been read, and those that have been or are about to be read */
static size_t nr_read, nr_begun;

/* References and locks that the parser holds, and whether it has pinned the module */
static size_t nr_held;
static bool pinned, faults_disabled;

/* The process of the command that is being executed */
static struct task_struct *target;

static inline void record_call(struct call call)
{
	require(outcome.nr < ARRAY_SIZE(outcome.calls));
	outcome.calls[outcome.nr++] = call;
}

/* ---- Library ---- */

/* The C library's depends on the locale, and not every char may be passed. */
static inline int isdigit(int character)
{
	return character >= '0' && character <= '9';
}

static inline bool is_power_of_2(unsigned long number)
{
	return number && !(number & (number - 1));
}

/*
 * Parse digits that a newline may follow, up to the NUL. Returns 0, -EINVAL or, if
 * @value would exceed @max, -ERANGE.
 */
static inline int parse_digits(const char *text, unsigned long long max,
			       unsigned long long *value)
{
	bool too_large = false;

	*value = 0;
	if (!isdigit(*text))
		return -EINVAL;
	for (; isdigit(*text); text++) {
		unsigned int digit = (unsigned int)(*text - '0');

		too_large |= *value > (max - digit) / 10;
		if (!too_large)
			*value = *value * 10 + digit;
	}
	if (too_large)
		return -ERANGE;
	if (*text == '\n')
		text++;

	return *text ? -EINVAL : 0;
}

/* A plus or a minus sign may precede the digits. */
static inline int kstrtoint(const char *text, unsigned int base, int *result)
{
	bool negative = *text == '-';
	unsigned long long value;
	int err;

	require(base == 10);
	if (*text == '-' || *text == '+')
		text++;
	err = parse_digits(text, INT_MAX + (negative ? 1ULL : 0), &value);
	if (!err)
		*result = (int)(negative ? -(long long)value : (long long)value);

	return err;
}

/* A plus sign may precede the digits, a minus sign not. */
static inline int kstrtouint(const char *text, unsigned int base,
			     unsigned int *result)
{
	unsigned long long value;
	int err;

	require(base == 10);
	if (*text == '+')
		text++;
	err = parse_digits(text, UINT_MAX, &value);
	if (!err)
		*result = (unsigned int)value;

	return err;
}

/* ---- The module, user memory and signals ---- */

static inline bool module_is_live(const void *module)
{
	(void)module;
	return nr_begun < environment.removed;
}

static inline bool try_module_get(const void *module)
{
	require(!pinned);
	pinned = module_is_live(module);

	return pinned;
}

static inline void module_put(const void *module)
{
	(void)module;
	require(pinned);
	pinned = false;
}

static inline void pagefault_disable(void)
{
	require(!faults_disabled);
	faults_disabled = true;
	nr_begun++;
}

static inline void pagefault_enable(void)
{
	require(faults_disabled);
	faults_disabled = false;
}

/*
 * Returns the number of bytes that could not be copied, which are zeros in @to.
 * The parser has to stay within what was written. A page fault can take forever:
 * the module has to be pinned.
 */
static inline unsigned long copy_from_user(void *to, const void *from,
					   unsigned long size)
{
	size_t at = (size_t)((const char *)from - written), good = size;

	require(at <= written_size && size <= written_size - at);
	require(faults_disabled || pinned);
	if (environment.fault < at + size)
		good = environment.fault > at ? environment.fault - at : 0;
	if (environment.absent && faults_disabled)
		good = 0;
	if (nr_read >= environment.changed)
		memset(to, 'X', good);
	else
		memcpy(to, from, good);
	memset((char *)to + good, 0, size - good);
	nr_read += good == size;

	return size - good;
}

static inline bool fatal_signal_pending(const struct task_struct *task)
{
	require(task == &writer);
	return nr_read >= environment.killed;
}

static inline void cond_resched(void)
{
	require(!nr_held && !pinned && !faults_disabled);
}

static inline bool mp3_is_privileged(const struct file *file)
{
	require(file == &written_file);
	return environment.privileged;
}

/* ---- Turns ---- */

static inline bool mp3_is_large(const struct task_struct *task)
{
	return PID_LARGE(task->pid);
}

static struct mp3_gate writer_gate;

static inline struct mp3_gate *mp3_gate_get(void)
{
	if (environment.out_of_memory)
		return NULL;
	nr_held++;

	return &writer_gate;
}

static inline void mp3_gate_put(struct mp3_gate *gate)
{
	require(gate == &writer_gate && !gate->turn.held);
	nr_held--;
}

/* A signal is noticed only if the lock is held by another. */
static inline int mutex_lock_killable(struct mutex *mutex)
{
	require(mutex == &writer_gate.turn);
	require(!mutex->held);
	if (environment.waits && fatal_signal_pending(current))
		return -EINTR;
	mutex->held = true;
	nr_held++;

	return 0;
}

static inline void mutex_unlock(struct mutex *mutex)
{
	require(mutex->held);
	mutex->held = false;
	nr_held--;
}

static inline long schedule_timeout_killable(long timeout)
{
	require(timeout == MP3_TURN && writer_gate.turn.held);
	target->permitted = false;
	target->turns++;

	return 0;
}

/* ---- Processes ---- */

/* Every other id that names no process has a struct pid, as a zombie's has. */
static inline struct pid *find_get_pid(int nr)
{
	struct pid *pid;

	require(nr > 0);
	if (PID_NONE(nr) && nr % 20)
		return NULL;
	pid = malloc(sizeof(*pid));
	require(pid);
	pid->nr = nr;
	nr_held++;

	return pid;
}

static inline void put_pid(struct pid *pid)
{
	nr_held -= !!pid;
	free(pid);
}

static inline struct task_struct *get_pid_task(struct pid *pid, int type)
{
	struct task_struct *task;

	require(type == PIDTYPE_PID);
	if (!pid || PID_NONE(pid->nr))
		return NULL;
	task = malloc(sizeof(*task));
	require(task);
	*task = (struct task_struct){
		.flags = PID_KTHREAD(pid->nr) ? PF_KTHREAD : 0,
		.pid = pid->nr,
	};
	nr_held++;
	target = task;

	return task;
}

static inline void put_task_struct(struct task_struct *task)
{
	nr_held--;
	free(task);
}

/* ---- The rest of the module ---- */

static inline int mp3_may_profile(const struct mp3_caller *caller,
				  struct task_struct *task)
{
	int err = permission(task->pid);

	require(caller->file == &written_file && caller->signal == &writer_signal);
	if (task->turns && PID_LEAVES(task->pid))
		err = -EPERM;
	task->permitted = !err;

	return err;
}

static inline int execute(char letter, unsigned int holder,
			  const struct task_struct *task)
{
	require(!PID_KTHREAD(task->pid) && !permission(task->pid));
	require(holder == (environment.capture ? written_capture.holder :
						 MP3_CLASSIC));
	record_call((struct call){ .letter = letter, .pid = task->pid });

	return execution(task->pid);
}

/* Returns whether a command of the writer has to wait for a turn. */
static inline bool takes_turn(const struct task_struct *task, bool in_turn)
{
	require(in_turn == (task->turns > 0 || environment.privileged));
	require(writer_gate.turn.held ==
		(task->turns > 0 ||
		 (PID_LARGE(task->pid) && !environment.privileged)));
	require(task->permitted);
	return task->turns < turns_of(task->pid);
}

static inline int mp3_register(const struct mp3_caller *caller,
			       unsigned int holder, struct task_struct *task,
			       bool in_turn)
{
	require(caller->file == &written_file && caller->signal == &writer_signal);

	return takes_turn(task, in_turn) ? -EAGAIN : execute('R', holder, task);
}

static inline int mp3_follow(const struct mp3_caller *caller,
			     unsigned int holder, struct task_struct *task,
			     struct mp3_gate *gate)
{
	int err = -EINTR;

	require(caller->file == &written_file && caller->signal == &writer_signal);
	require(task->permitted);
	if (!environment.waits || !fatal_signal_pending(current))
		err = module_is_live(THIS_MODULE) ?
		      execute('F', holder, task) : -EIO;
	mp3_gate_put(gate);

	return err;
}

static inline int mp3_unregister(unsigned int holder, struct task_struct *task,
				 bool in_turn)
{
	return takes_turn(task, in_turn) ? -EAGAIN : execute('U', holder, task);
}

static inline int mp3_locate(struct mp3_capture *capture, unsigned int n,
			     unsigned int callers)
{
	require(capture == &written_capture && environment.capture);
	record_call((struct call){ .letter = 'L', .n = n, .callers = callers });

	return location(n);
}

#endif /* MP3_FUZZ_PARSER_KERNEL_H */
