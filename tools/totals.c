// SPDX-License-Identifier: GPL-2.0
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "totals.h"
#include "util.h"

/* How many ids of cgroups are remembered. Each new container has one. */
#define MAX_CGROUP_IDS 4096

/* The least time between two searches for rows that can be used again */
#define REUSE_NS (60 * NSEC_PER_SEC)

/* The longest time of each bucket */
const __u64 totals_stall_ns[STALL_BUCKETS] = {
	1000, 3000, 10000, 30000, 100000, 300000, 1000000, 3000000, 10000000,
	30000000, 100000000, 300000000, 1000000000, 3000000000, 10000000000,
};

/**
 * struct waiting_fault - a fault that is not counted yet
 * @time_ns:  when it was completed
 * @stall_ns: its stalled time
 * @pid:      of its process
 * @major:    it is a major fault
 */
struct waiting_fault {
	__u64 time_ns;
	__u64 stall_ns;
	__u32 pid;
	bool major;
};

/**
 * struct cgroup_id - the row of a cgroup
 * @id:  its id
 * @row: the row; NULL: to be looked up
 */
struct cgroup_id {
	__u64 id;
	struct total *row;
};

/* ---- Rows ---- */

static void init_rows(struct total_rows *rows, size_t limit)
{
	rows->limit = limit + 1;
	rows->rows = calloc(rows->limit, sizeof(*rows->rows));
	if (!rows->rows)
		err(1, "totals");
	rows->rows[0].label = strdup("other");
	if (!rows->rows[0].label)
		err(1, "totals");
	rows->nr = 1;
}

/*
 * Returns the row of a name, and adds it if there is room. Takes @label. The caller
 * has a process refer to the row.
 */
static struct total *find_row(struct total_rows *rows, char *label)
{
	struct total *row, *unused = NULL;
	size_t i;

	for (i = 0; i < rows->nr; i++) {
		row = &rows->rows[i];
		if (!row->label) {
			unused = row;
		} else if (!strcmp(row->label, label)) {
			free(label);
			return row;
		}
	}
	if (!unused && rows->nr < rows->limit)
		unused = &rows->rows[rows->nr++];
	if (!unused) {
		rows->refused = true;
		free(label);
		return rows->rows;
	}
	unused->label = label;

	return unused;
}

/* Returns the row of a cgroup. One whose name is unknown has none of its own. */
static struct total *find_cgroup(struct totals *totals, __u64 id)
{
	struct cgroup_id *known;
	char *name, *label;

	if (totals->cgroup_ids.nr == MAX_CGROUP_IDS) {
		set_free(&totals->cgroup_ids);
		cgroup_forget();
	}
	known = set_get(&totals->cgroup_ids, &id, NULL);
	if (known->row)
		return known->row;
	known->row = &totals->cgroups.rows[0];
	if (!id || cgroup_name(id)[0] != '/')
		return known->row;
	name = text_original(cgroup_name(id));
	label = text_label(name);
	free(name);
	known->row = find_row(&totals->cgroups, label);

	return known->row;
}

/* Notes that a process no longer refers to a row. */
static void release_row(const struct totals *totals, struct total *row)
{
	if (!--row->nr_members)
		row->unused_ns = totals->now_ns;
}

/* Has @link, a reference of a process, refer to another row. */
static void set_row(const struct totals *totals, struct total **link,
		    struct total *row)
{
	row->nr_members++;
	release_row(totals, *link);
	*link = row;
}

/* ---- Processes ---- */

/* Initializes totals. Exits if there is no memory. */
void totals_init(struct totals *totals, size_t nr_names, size_t nr_cgroups)
{
	*totals = (struct totals){
		.cgroup_ids = {
			.item_size = sizeof(struct cgroup_id),
			.key_size = sizeof(__u64),
		},
		.patience_ns = NSEC_PER_SEC,
		.by_pid = calloc(PID_LIMIT, sizeof(*totals->by_pid)),
	};
	if (!totals->by_pid)
		err(1, "table of processes");
	init_rows(&totals->names, nr_names);
	init_rows(&totals->cgroups, nr_cgroups);
}

static void set_rss(struct member *member, __u64 rss_bytes)
{
	member->name->rss_bytes += rss_bytes - member->rss_bytes;
	member->cgroup->rss_bytes += rss_bytes - member->rss_bytes;
	member->rss_bytes = rss_bytes;
}

/* Has totals_settle() forget a process, unless a record of it comes in time. */
static void set_end(struct totals *totals, struct member *member, __u64 end_ns)
{
	set_rss(member, 0);
	if (!member->end_ns)
		totals->nr_ended++;
	member->end_ns = end_ns;
}

/* Notes that a process has exited. */
static void end_member(struct totals *totals, struct member *member,
		       __u64 end_ns)
{
	set_end(totals, member, end_ns);
	member->exited = true;
}

/*
 * Adds the process that has an id from now on. Its records show its name. Exits if
 * there is no memory.
 */
static struct member *add_member(struct totals *totals, __u32 pid)
{
	struct member *member = malloc(sizeof(*member));

	if (totals->nr_members == totals->max_members) {
		totals->max_members = totals->max_members ?
				      2 * totals->max_members : 64;
		totals->members = reallocarray(totals->members,
					       totals->max_members,
					       sizeof(*totals->members));
	}
	if (!member || !totals->members)
		err(1, "table of processes");
	*member = (struct member){
		.pid = pid,
		.older = totals->by_pid[pid],
		.name = totals->names.rows,
		.cgroup = totals->cgroups.rows,
	};
	member->name->nr_members++;
	member->cgroup->nr_members++;
	totals->by_pid[pid] = member;
	totals->members[totals->nr_members++] = member;

	return member;
}

/*
 * Returns the process that has an id, as a record of it shows. Adds it if it is not
 * known.
 */
static struct member *get_member(struct totals *totals, __u32 pid)
{
	struct member *member = totals->by_pid[pid];

	if (!member || member->exited)
		return add_member(totals, pid);
	/* totals_sweep() was too early. */
	if (member->end_ns)
		totals->nr_ended--;
	member->end_ns = 0;

	return member;
}

/* Finds the row of the name of a process, which its resident memory becomes part of. */
static void find_name(struct totals *totals, struct member *member)
{
	__u64 rss_bytes = member->rss_bytes;

	set_rss(member, 0);
	set_row(totals, &member->name,
		find_row(&totals->names, text_label(member->comm)));
	set_rss(member, rss_bytes);
}

/* Notes the name of a process. */
static void set_name(struct totals *totals, struct member *member,
		     const char comm[COMM_SIZE])
{
	char name[COMM_SIZE] = "";

	strncpy(name, comm, sizeof(name) - 1);
	if (member->named && !strcmp(member->comm, name))
		return;
	member->named = true;
	memcpy(member->comm, name, sizeof(member->comm));
	find_name(totals, member);
}

/* Notes the cgroup of a process, which its resident memory becomes part of. */
static void set_cgroup(struct totals *totals, struct member *member, __u64 id)
{
	__u64 rss_bytes = member->rss_bytes;

	set_rss(member, 0);
	member->cgroup_id = id;
	set_row(totals, &member->cgroup, find_cgroup(totals, id));
	set_rss(member, rss_bytes);
}

static void identify(struct totals *totals, const struct mp3_record *record)
{
	struct member *member = totals->by_pid[record->pid];
	bool is_known = member && member->start_ns == record->start_ns;

	/* The last record of the process that had the id may be lost. */
	if (member && !member->exited && member->start_ns && !is_known)
		end_member(totals, member, record->time_ns);
	member = get_member(totals, record->pid);
	member->start_ns = record->start_ns;
	set_rss(member, 0);
	set_cgroup(totals, member, record->cgroup_id);
	set_name(totals, member, record->comm);
	if (!is_known && record->start_ns >= totals->since_ns) {
		member->name->started++;
		member->cgroup->started++;
	}
}

static void add(struct total *total, const struct mp3_record *record)
{
	total->min_flt += record->min_flt;
	total->maj_flt += record->maj_flt;
	total->cpu_ns += record->cpu_ns;
}

/* Adds a record: counts, or an identity. */
void totals_record(struct totals *totals, const struct mp3_record *record)
{
	struct member *member;

	/* None has such an id: the record is broken. */
	if (record->pid >= PID_LIMIT)
		return;
	if (record->flags & MP3_IDENTITY) {
		identify(totals, record);
		return;
	}
	member = get_member(totals, record->pid);
	set_name(totals, member, record->comm);
	set_rss(member, record->rss_bytes);
	add(member->name, record);
	add(member->cgroup, record);
	if (record->flags & MP3_LAST)
		end_member(totals, member, record->time_ns);
}

/* Returns whether a process has records, and none of them is its last one. */
bool totals_has(const struct totals *totals, __u32 pid)
{
	return pid < PID_LIMIT && totals->by_pid[pid] &&
	       !totals->by_pid[pid]->exited;
}

/**
 * totals_sweep() - end processes whose last record is lost
 * @totals:  the totals
 * @now_ns:  the time, on the clock of records
 * @is_gone: returns whether the process that has a process id is not registered
 * @data:    passed to @is_gone
 *
 * Their resident memory is no longer counted. They are forgotten later: the last
 * record of a process that has just exited may still follow.
 */
void totals_sweep(struct totals *totals, __u64 now_ns,
		  bool (*is_gone)(void *data, __u32 pid), void *data)
{
	struct member *member;
	size_t i;

	for (i = 0; i < totals->nr_members; i++) {
		member = totals->members[i];
		if (!member->exited && !member->end_ns &&
		    is_gone(data, member->pid))
			set_end(totals, member, now_ns);
	}
}

/* Forgets the processes that have ended before a time. */
static void forget_ended(struct totals *totals, __u64 time_ns)
{
	struct member *member, **link;
	size_t i, nr = 0;

	if (!totals->nr_ended)
		return;
	for (i = 0; i < totals->nr_members; i++) {
		member = totals->members[i];
		if (!member->end_ns || member->end_ns >= time_ns) {
			totals->members[nr++] = member;
			continue;
		}
		link = &totals->by_pid[member->pid];
		while (*link != member)
			link = &(*link)->older;
		*link = member->older;
		release_row(totals, member->name);
		release_row(totals, member->cgroup);
		free(member);
		totals->nr_ended--;
	}
	totals->nr_members = nr;
}

/* ---- Rows that are used again ---- */

/*
 * Drops the rows that no process has referred to for some time. Returns whether there
 * were any.
 */
static bool drop_unused(const struct totals *totals, struct total_rows *rows)
{
	struct total *row;
	bool dropped = false;
	size_t i;

	for (i = 1; i < rows->nr; i++) {
		row = &rows->rows[i];
		if (!row->label || row->nr_members ||
		    totals->now_ns - row->unused_ns < totals->keep_ns)
			continue;
		rows->former.min_flt += row->min_flt;
		rows->former.maj_flt += row->maj_flt;
		rows->former.cpu_ns += row->cpu_ns;
		rows->former.started += row->started;
		rows->former.stall_ns += row->stall_ns;
		free(row->label);
		*row = (struct total){};
		dropped = true;
	}

	return dropped;
}

/* Has names that found no room use the rows of others that are no longer used. */
static void reuse_names(struct totals *totals)
{
	struct member *member;
	size_t i;

	if (!totals->names.refused || !drop_unused(totals, &totals->names))
		return;
	totals->names.refused = false;
	for (i = 0; i < totals->nr_members; i++) {
		member = totals->members[i];
		if (member->name == totals->names.rows && member->named &&
		    !member->end_ns)
			find_name(totals, member);
	}
}

/* The same for cgroups */
static void reuse_cgroups(struct totals *totals)
{
	struct member *member;
	struct cgroup_id *known;
	size_t i;

	if (!totals->cgroups.refused || !drop_unused(totals, &totals->cgroups))
		return;
	totals->cgroups.refused = false;
	for (i = 0; i < totals->cgroup_ids.nr; i++) {
		known = set_item(&totals->cgroup_ids, i);
		known->row = NULL;
	}
	for (i = 0; i < totals->nr_members; i++) {
		member = totals->members[i];
		if (member->cgroup == totals->cgroups.rows && !member->end_ns)
			set_cgroup(totals, member, member->cgroup_id);
	}
}

/* ---- Faults ---- */

/* Returns the newest process that had an id at a time, or NULL. */
static struct member *find_member(const struct totals *totals, __u32 pid,
				  __u64 time_ns)
{
	struct member *member = pid < PID_LIMIT ? totals->by_pid[pid] : NULL;

	while (member && member->start_ns > time_ns)
		member = member->older;

	return member;
}

/* Returns whether a process can have had its id at a time. */
static bool may_have_run(const struct member *member, __u64 time_ns)
{
	return !member->exited || time_ns <= member->end_ns;
}

static void add_stall(struct totals *totals, const struct waiting_fault *fault,
		      const struct member *member)
{
	__u64 weight = fault->major ? 1 : totals->every;
	struct stalls *stalls = &totals->stalls[fault->major];
	struct total *name = member ? member->name : totals->names.rows;
	struct total *cgroup = member ? member->cgroup : totals->cgroups.rows;
	size_t i = 0;

	while (i < STALL_BUCKETS && fault->stall_ns > totals_stall_ns[i])
		i++;
	stalls->buckets[i] += weight;
	stalls->sum_ns += weight * fault->stall_ns;
	name->stall_ns += weight * fault->stall_ns;
	cgroup->stall_ns += weight * fault->stall_ns;
}

/*
 * Adds a fault, unless its stalled time is unknown; totals_settle() counts it. Exits if
 * there is no memory.
 */
void totals_fault(struct totals *totals, const struct mp3_fault *fault)
{
	if (fault->stall_ns == MP3_NO_STALL)
		return;
	if (totals->nr_waiting == totals->max_waiting) {
		totals->max_waiting = totals->max_waiting ?
				      2 * totals->max_waiting : 64;
		totals->waiting = reallocarray(totals->waiting,
					       totals->max_waiting,
					       sizeof(*totals->waiting));
		if (!totals->waiting)
			err(1, "faults");
	}
	totals->waiting[totals->nr_waiting++] = (struct waiting_fault){
		.time_ns = fault->time_ns,
		.stall_ns = fault->stall_ns,
		.pid = fault->pid,
		.major = fault->flags & MP3_FAULT_MAJOR,
	};
}

/**
 * totals_settle() - count faults, after the records that show whose they are
 * @totals: the totals
 * @now_ns: the time, on the clock of records; MP3_NEVER: no record follows
 *
 * A fault whose process may have no record yet waits for it. If none has come, it is
 * of the last process that had the id: a process can fault after the start of the
 * tick that reports it as exited.
 *
 * Rows that are no longer used are then those of names that have found no room.
 */
void totals_settle(struct totals *totals, __u64 now_ns)
{
	__u64 until_ns = now_ns > totals->patience_ns ?
			 now_ns - totals->patience_ns : 0;
	const struct waiting_fault *fault;
	const struct member *member;
	size_t i, kept = 0;

	totals->now_ns = now_ns;
	for (i = 0; i < totals->nr_waiting; i++) {
		fault = &totals->waiting[i];
		member = find_member(totals, fault->pid, fault->time_ns);
		if ((member && may_have_run(member, fault->time_ns)) ||
		    fault->time_ns < until_ns)
			add_stall(totals, fault, member);
		else
			totals->waiting[kept++] = *fault;
	}
	totals->nr_waiting = kept;
	forget_ended(totals, until_ns > totals->patience_ns ?
			     until_ns - totals->patience_ns : 0);
	if (!totals->keep_ns || now_ns < totals->reuse_ns)
		return;
	totals->reuse_ns = now_ns + REUSE_NS;
	reuse_names(totals);
	reuse_cgroups(totals);
}
