// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "util.h"

/* Initializes an empty table. Exits if there is no memory. */
void table_init(struct table *table)
{
	*table = (struct table){
		.by_pid = calloc(PID_LIMIT, sizeof(*table->by_pid)),
	};
	if (!table->by_pid)
		err(1, "table of processes");
}

/* Frees a table and its processes. */
void table_free(struct table *table)
{
	size_t i;

	for (i = 0; i < table->nr; i++)
		free(table->rows[i]);
	free(table->rows);
	free(table->by_pid);
	*table = (struct table){};
}

/* Returns the process that has the process id @pid now, or NULL. */
struct process *table_find(const struct table *table, __u32 pid)
{
	return pid < PID_LIMIT ? table->by_pid[pid] : NULL;
}

/*
 * Returns the process that has the process id @pid now, and adds it if there is
 * none; NULL if @pid is out of range. Exits if there is no memory.
 */
struct process *table_get(struct table *table, __u32 pid)
{
	struct process *process;

	if (pid >= PID_LIMIT)
		return NULL;
	if (table->by_pid[pid])
		return table->by_pid[pid];

	if (table->nr == table->capacity) {
		table->capacity = table->capacity ? 2 * table->capacity : 64;
		table->rows = reallocarray(table->rows, table->capacity,
					   sizeof(struct process *));
		if (!table->rows)
			err(1, "table of processes");
	}
	process = calloc(1, sizeof(*process) + table->extra);
	if (!process)
		err(1, "table of processes");
	process->pid = pid;
	table->by_pid[pid] = process;
	table->rows[table->nr++] = process;

	return process;
}

/* Notes the name of a process and the time in one of its records. */
static void update(struct process *process, const struct mp3_record *record)
{
	memcpy(process->comm, record->comm, sizeof(process->comm));
	process->comm[sizeof(process->comm) - 1] = '\0';
	if (!process->first_ns)
		process->first_ns = record->time_ns;
	process->last_ns = record->time_ns;
}

/*
 * Notes the identity of a process. Its id may still belong to another process in
 * the table, if the last record of that one was lost. Returns the process, or
 * NULL if the record's process id is out of range.
 */
static struct process *table_identify(struct table *table,
				      const struct mp3_record *record)
{
	struct process *process = table_find(table, record->pid);

	if (process && process->identified &&
	    process->start_ns != record->start_ns)
		table_end(table, process);
	process = table_get(table, record->pid);
	if (!process)
		return NULL;
	update(process, record);
	process->identified = true;
	process->ppid = record->ppid;
	process->uid = record->uid;
	process->start_ns = record->start_ns;
	process->cgroup_id = record->cgroup_id;

	return process;
}

/*
 * Adds a record to its process: an identity or counts. Returns the process, or
 * NULL if the record's process id is out of range.
 */
struct process *table_count(struct table *table,
			    const struct mp3_record *record)
{
	struct process *process;

	if (record->flags & MP3_IDENTITY)
		return table_identify(table, record);
	process = table_get(table, record->pid);
	if (!process)
		return NULL;
	update(process, record);
	process->min_flt += record->min_flt;
	process->maj_flt += record->maj_flt;
	process->cpu_ns += record->cpu_ns;
	process->rss_bytes = record->rss_bytes;
	if (process->peak_rss_bytes < record->rss_bytes)
		process->peak_rss_bytes = record->rss_bytes;
	if (record->flags & MP3_LAST)
		table_end(table, process);

	return process;
}

/* Marks a process as exited: another one may have its process id from now on. */
void table_end(struct table *table, struct process *process)
{
	process->exited = true;
	if (table->by_pid[process->pid] == process)
		table->by_pid[process->pid] = NULL;
}

/* Removes and frees the processes that @is_stale returns true for. */
void table_sweep(struct table *table,
		 bool (*is_stale)(const struct process *process))
{
	size_t i, nr = 0;

	for (i = 0; i < table->nr; i++) {
		struct process *process = table->rows[i];

		if (!is_stale(process)) {
			table->rows[nr++] = process;
			continue;
		}
		table_end(table, process);
		free(process);
	}
	table->nr = nr;
}
