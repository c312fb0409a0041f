// SPDX-License-Identifier: GPL-2.0
/*
 * For tests: replace one call of a kernel function by a given return value,
 * after an optional delay. The function itself does not run.
 *
 *	insmod fail.ko symbol=cdev_add retval=-28 pid=123
 *
 * fails the first cdev_add() that process 123 calls while it is loaded. What a
 * work item calls is found by the function that calls it:
 *
 *	insmod fail.ko symbol=kmalloc_trace caller=mp3_fill_reserve
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

static char *symbol;
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "name of the function in /proc/kallsyms");

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "process id: only its calls are counted; 0: those of all");

static char *caller = "";
module_param(caller, charp, 0444);
MODULE_PARM_DESC(caller, "how the name of the calling function begins (default: any)");

static int nth = 1;
module_param(nth, int, 0444);
MODULE_PARM_DESC(nth, "number of the call to replace (default 1: the first; 0: none)");

static long retval;
module_param(retval, long, 0444);
MODULE_PARM_DESC(retval, "value that this call returns, a pointer as a number (default 0)");

static unsigned int delay_ms;
module_param(delay_ms, uint, 0444);
MODULE_PARM_DESC(delay_ms, "milliseconds to sleep before it returns, at most until this is unloaded (default 0)");

static bool busy;
module_param(busy, bool, 0444);
MODULE_PARM_DESC(busy, "spin instead: the caller cannot sleep (default N)");

/* Calls that have been replaced, and have not returned */
static atomic_t fail_running = ATOMIC_INIT(0);
static bool fail_ending;	/* they are to return */

static atomic_t fail_calls = ATOMIC_INIT(0);
module_param_named(calls, fail_calls.counter, int, 0444);
MODULE_PARM_DESC(calls, "number of calls so far");

/* Runs in place of the function, in the context of its caller: may sleep. */
static notrace long fail_replacement(void)
{
	unsigned int ms, left = delay_ms;

	for (; left && !READ_ONCE(fail_ending); left -= ms) {
		ms = min(left, 100U);
		if (busy)
			mdelay(ms);
		else
			msleep(ms);
	}
	atomic_dec(&fail_running);
	return retval;
}

/* At its first instruction, this is where a function returns to. */
static unsigned long fail_return_address(struct pt_regs *regs)
{
#if defined(CONFIG_X86)
	return regs_get_kernel_stack_nth(regs, 0);
#elif defined(CONFIG_ARM64)
	return regs->regs[30];
#elif defined(CONFIG_RISCV)
	return regs->ra;
#elif defined(CONFIG_PPC)
	return regs->link;
#elif defined(CONFIG_S390)
	return regs->gprs[14];
#endif
}

static bool fail_is_called_by_it(struct pt_regs *regs)
{
	char name[KSYM_SYMBOL_LEN];

	if (!*caller)
		return true;
	snprintf(name, sizeof(name), "%ps",
		 (void *)fail_return_address(regs));

	return strstarts(name, caller);
}

#ifdef CONFIG_PPC64
/*
 * The caller and this module have different values of r2, and a function that is
 * called in its own module keeps r2. r12 is the address of the function to call.
 */
void fail_call(void);
asm(".pushsection .text, \"ax\"\n"
	"fail_call:\n"
	"	mflr 0\n"
	"	std 0, 16(1)\n"
	"	stdu 1, -32(1)\n"
	"	std 2, 24(1)\n"
	"	mtctr 12\n"
	"	bctrl\n"
	"	ld 2, 24(1)\n"
	"	addi 1, 1, 32\n"
	"	ld 0, 16(1)\n"
	"	mtlr 0\n"
	"	blr\n"
	".popsection");

static void fail_enter(struct pt_regs *regs)
{
	regs->gpr[12] = (unsigned long)fail_replacement;
	instruction_pointer_set(regs, (unsigned long)fail_call);
}
#else
static void fail_enter(struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)fail_replacement);
}
#endif

/*
 * At its first instruction, a function has neither saved a register nor moved
 * the stack pointer: on every architecture, another function can be entered
 * instead and returns to the same caller.
 */
static int fail_pre_handler(struct kprobe *probe, struct pt_regs *regs)
{
	if ((pid && current->tgid != pid) || !fail_is_called_by_it(regs) ||
	    atomic_inc_return(&fail_calls) != nth)
		return 0;
	atomic_inc(&fail_running);
	fail_enter(regs);
	return 1;
}

/* Only a probe with a post_handler may change the instruction pointer. */
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

/* End a delay, and wait until no task executes the replacement: it is to be freed. */
static void __exit fail_exit(void)
{
	WRITE_ONCE(fail_ending, true);
	unregister_kprobe(&fail_probe);
	while (atomic_read(&fail_running))
		msleep(20);
	/* A task may be preempted in its last instructions. */
	if (delay_ms)
		synchronize_rcu_tasks();
}

module_init(fail_init);
module_exit(fail_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("replaces one call of a kernel function, for tests");
