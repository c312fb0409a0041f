// SPDX-License-Identifier: GPL-2.0
/*
 * For bench/lines: a plugin of QEMU that counts the cache lines which functions of
 * the guest load and store, and simulates a cache.
 *
 *	-plugin lines_plugin.so,out=FILE
 *
 * A program or a module of the guest marks a function with mark(address, name) of
 * bench/floor/mark.h: from then on, each call of it is one window, which lasts until it
 * returns. Address 0 starts a phase with a name. At the end of each phase, one line
 * per function is written to FILE: "phase name windows instructions lines stored l1
 * l2 cycles". The last six are medians over the windows:
 *
 *	instructions	executed
 *	lines		different lines of 64 bytes that were loaded or stored
 *	stored		those of them that were stored
 *	l1, l2		misses of the simulated caches, without prefetched lines
 *	cycles		of the model below, without what the front end costs
 *
 * The model: data caches of 32 KiB and 8 ways and of 1 MiB and 16 ways, LRU, by
 * physical address, which everything in the guest uses, all the time. An instruction
 * takes a quarter of a cycle. A load waits for its line, 14 cycles in the second
 * cache and 250 in memory; a store does not wait, and a prefetch starts the transfer
 * of its line without waiting for it. So the model shows how far ahead a prefetch
 * comes, and nothing of what a processor reorders by itself.
 *
 * One CPU only. Interrupts within a window count.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qemu-plugin.h>

#include "../floor/mark.h"

#define LINE_SHIFT	6
#define MAX_FUNCTIONS	8
#define MAX_WINDOWS	4096
#define NR_MEASURES	6
#define TABLE_BITS	18
#define L2_CYCLES	14
#define MEMORY_CYCLES	250
#define PER_CYCLE	4	/* instructions */

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/**
 * struct cache - a set-associative cache with LRU replacement
 * @nr_sets: sets, a power of two
 * @nr_ways: lines per set
 * @lines:   the lines of all sets, the most recently used of each first
 */
struct cache {
	unsigned int nr_sets;
	unsigned int nr_ways;
	uint64_t *lines;
};

/**
 * struct touched - a line that the present window has touched
 * @line:   its physical address by LINE_SHIFT
 * @window: number of the window: of another one, the slot is free
 * @stored: at least one store
 */
struct touched {
	uint64_t line;
	uint64_t window;
	bool stored;
};

/**
 * struct function - a function whose calls are windows
 * @address:	virtual address of its first instruction
 * @name:	as printed
 * @nr_windows: calls in this phase
 * @measures:	of each of them, in the order in which they are printed
 */
struct function {
	uint64_t address;
	char name[32];
	unsigned int nr_windows;
	uint64_t measures[NR_MEASURES][MAX_WINDOWS];
};

static struct cache l1 = { .nr_sets = 64, .nr_ways = 8 };
static struct cache l2 = { .nr_sets = 1024, .nr_ways = 16 };
static struct touched table[1 << TABLE_BITS];
static struct function functions[MAX_FUNCTIONS];
static unsigned int nr_functions;
static char phase[64];
static FILE *out;

/* The instructions executed, and the address at which the window ends, or 0 */
static struct qemu_plugin_scoreboard *counters;
static qemu_plugin_u64 executed, end_address;

static struct function *current;
static uint64_t window, begin[NR_MEASURES], now[NR_MEASURES];
static uint64_t waited;		/* cycles of waiting since the start */

/* A line that is on its way from memory, and the cycle of its arrival */
static uint64_t coming_line[16], coming_at[16];
static unsigned int next_coming;

/* The registers of an address, in the order in which instructions encode them */
static struct qemu_plugin_register *registers[16];

/* Touch a line. Returns whether the cache had it. */
static bool touch(struct cache *cache, uint64_t line)
{
	uint64_t *set = cache->lines + line % cache->nr_sets * cache->nr_ways;
	unsigned int way = 0;
	bool hit;

	/* 0 is a free way. */
	line++;
	while (way < cache->nr_ways - 1 && set[way] != line)
		way++;
	hit = set[way] == line;
	memmove(set + 1, set, way * sizeof(*set));
	set[0] = line;

	return hit;
}

static uint64_t cycle(void)
{
	return qemu_plugin_u64_get(executed, 0) / PER_CYCLE + waited;
}

/* Wait for a line that a prefetch has requested, if it is still on its way. */
static void wait_for(uint64_t line)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		if (coming_line[i] != line + 1)
			continue;
		coming_line[i] = 0;
		if (coming_at[i] > cycle())
			waited += coming_at[i] - cycle();
	}
}

/* Return the cycles until a line is there, and count the misses if @misses. */
static unsigned int fetch(uint64_t line, bool misses)
{
	if (touch(&l1, line))
		return 0;
	now[3] += misses;
	if (touch(&l2, line))
		return L2_CYCLES;
	now[4] += misses;
	return MEMORY_CYCLES;
}

/* Count a line as touched by the present window. */
static void count_line(uint64_t line, bool store)
{
	size_t slot = line * 0x9e3779b97f4a7c15 >> (64 - TABLE_BITS);

	while (table[slot].window == window && table[slot].line != line)
		slot = (slot + 1) % (1 << TABLE_BITS);
	if (table[slot].window != window) {
		table[slot] = (struct touched){ line, window, false };
		now[1]++;
	}
	if (store && !table[slot].stored) {
		table[slot].stored = true;
		now[2]++;
	}
}

static void access_memory(unsigned int cpu, qemu_plugin_meminfo_t info,
			  uint64_t address, void *data)
{
	struct qemu_plugin_hwaddr *hwaddr = qemu_plugin_get_hwaddr(info, address);
	unsigned int size = 1 << qemu_plugin_mem_size_shift(info);
	bool store = qemu_plugin_mem_is_store(info);
	uint64_t physical, line;

	(void)cpu;
	(void)data;
	if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr))
		return;
	physical = qemu_plugin_hwaddr_phys_addr(hwaddr);
	for (line = physical >> LINE_SHIFT;
	     line <= (physical + size - 1) >> LINE_SHIFT; line++) {
		unsigned int cycles = fetch(line, true);

		if (current)
			count_line(line, store);
		if (store)
			continue;
		wait_for(line);
		waited += cycles;
	}
}

static uint64_t read_word(uint64_t address)
{
	GByteArray *bytes = g_byte_array_new();
	uint64_t word = 0;

	if (qemu_plugin_read_memory_vaddr(address, bytes, sizeof(word)))
		memcpy(&word, bytes->data, sizeof(word));
	g_byte_array_free(bytes, TRUE);
	return word;
}

static uint64_t read_register(unsigned int nr)
{
	GByteArray *bytes = g_byte_array_new();
	uint64_t word = 0;

	if (qemu_plugin_read_register(registers[nr], bytes) >= (int)sizeof(word))
		memcpy(&word, bytes->data, sizeof(word));
	g_byte_array_free(bytes, TRUE);
	return word;
}

/**
 * struct prefetch - the address of a prefetch instruction
 * @base:  number of the register
 * @offset: that is added to it
 */
struct prefetch {
	unsigned int base;
	int32_t offset;
};

static void prefetch(unsigned int cpu, void *data)
{
	const struct prefetch *decoded = data;
	uint64_t address = read_register(decoded->base) + decoded->offset, line;
	unsigned int cycles;

	(void)cpu;
	/* The kernel's direct map; other addresses are not prefetched. */
	line = address >= 0xffff888000000000 && address < 0xffffc88000000000 ?
		       (address - 0xffff888000000000) >> LINE_SHIFT : 0;
	if (!line)
		return;
	if (current)
		count_line(line, false);
	cycles = fetch(line, false);
	if (!cycles)
		return;
	coming_line[next_coming] = line + 1;
	coming_at[next_coming] = cycle() + cycles;
	next_coming = (next_coming + 1) % 16;
}

/* Decode a prefetch with a base register and an offset, or return NULL. */
static struct prefetch *decode_prefetch(const uint8_t *code, size_t size)
{
	struct prefetch *decoded;
	unsigned int rex = 0, base;
	int32_t offset = 0;

	if (size && (*code & 0xf0) == 0x40) {
		rex = *code++;
		size--;
	}
	if (size < 3 || code[0] != 0x0f || (code[1] != 0x18 && code[1] != 0x0d))
		return NULL;
	base = code[2] & 7;
	if (base == 4 || (code[2] & 0xc0) == 0xc0)
		return NULL;
	if ((code[2] & 0xc0) == 0x40)
		offset = (int8_t)code[3];
	else if ((code[2] & 0xc0) == 0x80)
		memcpy(&offset, code + 3, sizeof(offset));
	else if (base == 5)
		return NULL;
	decoded = g_new(struct prefetch, 1);
	*decoded = (struct prefetch){ base + (rex & 1) * 8, offset };
	return decoded;
}

static int compare(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return (first > second) - (first < second);
}

static void end_phase(void)
{
	unsigned int f, m;

	for (f = 0; f < nr_functions; f++) {
		struct function *function = &functions[f];
		unsigned int nr = function->nr_windows;

		function->nr_windows = 0;
		if (!nr)
			continue;
		fprintf(out, "%s %s %u", phase, function->name, nr);
		for (m = 0; m < NR_MEASURES; m++) {
			qsort(function->measures[m], nr, sizeof(uint64_t), compare);
			fprintf(out, " %" PRIu64, function->measures[m][nr / 2]);
		}
		fputc('\n', out);
	}
	fflush(out);
}

/* Take a mark of bench/floor/mark.h: rdi has the address, rsi the name. */
static void take_mark(unsigned int cpu, void *data)
{
	uint64_t address = read_register(7), words[4], at = read_register(6);
	unsigned int f;

	(void)cpu;
	(void)data;
	for (f = 0; f < 4; f++)
		words[f] = read_word(at + f * sizeof(*words));
	((char *)words)[sizeof(words) - 1] = '\0';
	if (!address) {
		end_phase();
		snprintf(phase, sizeof(phase), "%s", (char *)words);
		return;
	}
	for (f = 0; f < nr_functions; f++)
		if (!strcmp(functions[f].name, (char *)words))
			break;
	if (f == MAX_FUNCTIONS)
		return;
	nr_functions = f == nr_functions ? f + 1 : nr_functions;
	functions[f].address = address;
	strcpy(functions[f].name, (char *)words);
}

static void begin_window(unsigned int cpu, void *data)
{
	(void)data;
	if (current)
		return;
	for (current = functions; current < functions + nr_functions; current++)
		if (current->address == (uintptr_t)data)
			break;
	if (current == functions + nr_functions) {
		current = NULL;
		return;
	}
	qemu_plugin_u64_set(end_address, cpu, read_word(read_register(4)));
	window++;
	memset(now, 0, sizeof(now));
	begin[0] = qemu_plugin_u64_get(executed, cpu);
	begin[5] = cycle();
}

static void end_window(unsigned int cpu, void *data)
{
	unsigned int m, nr = current->nr_windows;

	(void)data;
	qemu_plugin_u64_set(end_address, cpu, 0);
	now[0] = qemu_plugin_u64_get(executed, cpu) - begin[0];
	now[5] = cycle() - begin[5];
	if (nr < MAX_WINDOWS) {
		for (m = 0; m < NR_MEASURES; m++)
			current->measures[m][nr] = now[m];
		current->nr_windows++;
	}
	current = NULL;
}

/* Have the callbacks called for what is in an instruction. */
static void translate_insn(struct qemu_plugin_insn *insn)
{
	uint8_t code[16];
	size_t size = qemu_plugin_insn_data(insn, code, sizeof(code));
	struct prefetch *decoded = decode_prefetch(code, size);

	if (size == strlen(MARK_CODE) && !memcmp(code, MARK_CODE, size))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, take_mark,
						       QEMU_PLUGIN_CB_R_REGS,
						       NULL);
	if (decoded)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, prefetch,
						       QEMU_PLUGIN_CB_R_REGS,
						       decoded);
	qemu_plugin_register_vcpu_mem_cb(insn, access_memory,
					 QEMU_PLUGIN_CB_NO_REGS,
					 QEMU_PLUGIN_MEM_RW, NULL);
}

/* The same for a block. A function and a return to it begin a block. */
static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t nr = qemu_plugin_tb_n_insns(tb), i;
	unsigned int f;

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cond_cb(tb, end_window,
						  QEMU_PLUGIN_CB_NO_REGS,
						  QEMU_PLUGIN_COND_EQ,
						  end_address, address, NULL);
	for (f = 0; f < nr_functions; f++)
		if (functions[f].address == address)
			qemu_plugin_register_vcpu_tb_exec_cb(tb, begin_window,
							     QEMU_PLUGIN_CB_R_REGS,
							     (void *)(uintptr_t)address);
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb,
							  QEMU_PLUGIN_INLINE_ADD_U64,
							  executed, nr);
	for (i = 0; i < nr; i++)
		translate_insn(qemu_plugin_tb_get_insn(tb, i));
}

/* Find the registers of the only CPU. */
static void init_cpu(qemu_plugin_id_t id, unsigned int cpu)
{
	static const char *const names[16] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	GArray *all = qemu_plugin_get_registers();
	unsigned int r, n;

	(void)id;
	(void)cpu;
	for (r = 0; r < all->len; r++) {
		qemu_plugin_reg_descriptor *found =
			&g_array_index(all, qemu_plugin_reg_descriptor, r);

		for (n = 0; n < 16; n++)
			if (!strcmp(found->name, names[n]))
				registers[n] = found->handle;
	}
	g_array_free(all, TRUE);
	for (n = 0; n < 16; n++)
		if (!registers[n])
			fprintf(stderr, "lines_plugin: no register %s\n", names[n]);
}

static void end_all(qemu_plugin_id_t id, void *data)
{
	(void)id;
	(void)data;
	end_phase();
	fclose(out);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
					   const qemu_info_t *info, int argc,
					   char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4) || info->system.max_vcpus != 1) {
		fprintf(stderr, "lines_plugin: out=FILE, and one CPU, are required\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	l1.lines = calloc(l1.nr_sets * l1.nr_ways, sizeof(*l1.lines));
	l2.lines = calloc(l2.nr_sets * l2.nr_ways, sizeof(*l2.lines));
	if (!out || !l1.lines || !l2.lines)
		return -1;
	counters = qemu_plugin_scoreboard_new(2 * sizeof(uint64_t));
	executed = (qemu_plugin_u64){ counters, 0 };
	end_address = (qemu_plugin_u64){ counters, sizeof(uint64_t) };
	qemu_plugin_register_vcpu_init_cb(id, init_cpu);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, end_all, NULL);
	return 0;
}
