// SPDX-License-Identifier: GPL-2.0
/*
 * For bench/cost: the minimum cost of reading the counters of many processes, a
 * bare loop that loads them and adds them up, without a lock.
 *
 *	insmod floor.ko parent=123 passes=20
 *
 * reads those of the children of process 123 once every 50 ms. The parameter ns
 * is then the median duration of a pass in nanoseconds.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "mark.h"

#define FLOOR_MAX_TASKS		65536
#define FLOOR_MAX_PASSES	1000

static int parent;
module_param(parent, int, 0444);
MODULE_PARM_DESC(parent, "process id: the counters of its children are read");

static unsigned int passes = 20;
module_param(passes, uint, 0444);
MODULE_PARM_DESC(passes, "number of passes, 1..1000 (default 20)");

static ulong ns;
module_param(ns, ulong, 0444);
MODULE_PARM_DESC(ns, "median duration of a pass, in nanoseconds");

static struct task_struct *floor_tasks[FLOOR_MAX_TASKS];
static unsigned int floor_nr_tasks;
static u64 floor_times[FLOOR_MAX_PASSES];
static u64 floor_sum;

static void floor_find(void)
{
	struct task_struct *task;

	rcu_read_lock();
	for_each_process(task) {
		if (task_tgid_nr(rcu_dereference(task->real_parent)) != parent)
			continue;
		if (floor_nr_tasks == FLOOR_MAX_TASKS)
			break;
		floor_tasks[floor_nr_tasks++] = get_task_struct(task);
	}
	rcu_read_unlock();
}

static noinline u64 floor_pass(void)
{
	u64 sum = 0, start = ktime_get_ns();
	struct task_struct *thread;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < floor_nr_tasks; i++) {
		struct signal_struct *sig = floor_tasks[i]->signal;

		sum += READ_ONCE(sig->min_flt) + READ_ONCE(sig->maj_flt) +
		       READ_ONCE(sig->sum_sched_runtime);
		for_each_thread(floor_tasks[i], thread)
			sum += READ_ONCE(thread->min_flt) +
			       READ_ONCE(thread->maj_flt) +
			       READ_ONCE(thread->se.sum_exec_runtime);
	}
	rcu_read_unlock();
	WRITE_ONCE(floor_sum, sum);

	return ktime_get_ns() - start;
}

static int floor_compare(const void *a, const void *b)
{
	u64 first = *(const u64 *)a, second = *(const u64 *)b;

	return (first > second) - (first < second);
}

static int __init floor_init(void)
{
	unsigned int i;

	if (!passes || passes > FLOOR_MAX_PASSES)
		return -EINVAL;
	floor_find();
	mark((unsigned long)floor_pass, "floor");
	for (i = 0; i < passes; i++) {
		msleep(50);
		floor_times[i] = floor_pass();
	}
	sort(floor_times, passes, sizeof(*floor_times), floor_compare, NULL);
	ns = floor_times[passes / 2];
	for (i = 0; i < floor_nr_tasks; i++)
		put_task_struct(floor_tasks[i]);

	return floor_nr_tasks ? 0 : -ESRCH;
}

static void __exit floor_exit(void)
{
}

module_init(floor_init);
module_exit(floor_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("minimum cost of reading the counters of processes, for a benchmark");
