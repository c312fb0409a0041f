// SPDX-License-Identifier: GPL-2.0
/*
 * For tests: one call of a kernel function does not happen. It returns a value
 * of the test's choice instead, after a delay if one is given.
 *
 *	insmod fail.ko symbol=cdev_add retval=-28 pid=123
 *
 * fails the first cdev_add() that process 123 asks for while this is loaded.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

static char *symbol;
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "the function, by its name in /proc/kallsyms");

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "the process whose calls count");

static int nth = 1;
module_param(nth, int, 0444);
MODULE_PARM_DESC(nth, "which of its calls (default 1: the first; 0: none)");

static long retval;
module_param(retval, long, 0444);
MODULE_PARM_DESC(retval, "what that call returns, pointers too (default 0)");

static unsigned int delay_ms;
module_param(delay_ms, uint, 0444);
MODULE_PARM_DESC(delay_ms, "how long it sleeps before (default 0)");

static atomic_t fail_calls = ATOMIC_INIT(0);
module_param_named(calls, fail_calls.counter, int, 0444);
MODULE_PARM_DESC(calls, "how many there were");

/* Runs in the function's place, with its caller's stack: it may sleep. */
static notrace long fail_instead(void)
{
	if (delay_ms)
		msleep(delay_ms);
	return retval;
}

/*
 * At its first instruction a function has saved nothing and moved nothing, so
 * that on every architecture another can be entered instead, and returns to
 * the same caller.
 */
static int fail_pre_handler(struct kprobe *probe, struct pt_regs *regs)
{
	if (current->tgid != pid || atomic_inc_return(&fail_calls) != nth)
		return 0;
	instruction_pointer_set(regs, (unsigned long)fail_instead);
	return 1;
}

/* Only a probe that has one may change where execution goes on. */
static void fail_post_handler(struct kprobe *probe, struct pt_regs *regs,
			      unsigned long flags)
{
}

static struct kprobe fail_probe = {
	.pre_handler = fail_pre_handler,
	.post_handler = fail_post_handler,
};

static int __init fail_init(void)
{
	fail_probe.symbol_name = symbol;
	return register_kprobe(&fail_probe);
}

static void __exit fail_exit(void)
{
	unregister_kprobe(&fail_probe);
}

module_init(fail_init);
module_exit(fail_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("makes one call of a kernel function fail, for tests");
