// SPDX-License-Identifier: GPL-2.0
/*
 * A worker of vhost accesses the memory of a process for a device that the process has
 * set up, here a socket, and takes the faults of these accesses. Up to Linux 6.3, the
 * worker is a kernel thread that borrows the memory, and the faults count as its own:
 * mp3 neither counts nor locates them. From 6.4 on, the worker is a thread of the
 * process: mp3 counts them for the process, and locates each.
 */
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "located.h"
#include "module.h"

#define NR		64		/* buffers, and entries of a ring */
#define HEADER_SIZE	44		/* of a packet, struct virtio_vsock_hdr */
#define GUEST_CID	1000

/* The queues of the socket: the process only sends. */
enum { RECEIVE, SEND, NR_QUEUES };

static struct {
	int fd, kick, call;
	char *buffers;			/* one page each, shared with the test */
} vhost;

/* Load what the socket needs, in this order. Returns false if it is not there. */
static bool load_vhost(void)
{
	static const char *const names[] = {
		"vsock", "vmw_vsock_virtio_transport_common", "vhost_iotlb",
		"vhost", "vhost_vsock",
	};
	char path[80];
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/mp3/%s.ko", names[i]);
		ret = load_file(path, "");
		if (ret == -ENOENT)
			return false;
		if (ret)
			errx(1, "load %s: %s", path, strerror(-ret));
	}
	return true;
}

static void control(unsigned long request, const void *arg)
{
	if (ioctl(vhost.fd, request, arg))
		err(1, "vhost: request %#lx", request);
}

/* Set up a ring in new memory, with a descriptor for each buffer. */
static void set_up_ring(unsigned int queue, unsigned int filled)
{
	struct vring_desc *descriptors = (void *)map_anonymous(1);
	struct vring_avail *avail = (void *)map_anonymous(1);
	struct vring_used *used = (void *)map_anonymous(1);
	struct vhost_vring_state size = { .index = queue, .num = NR };
	struct vhost_vring_state base = { .index = queue };
	struct vhost_vring_file kick = { .index = queue, .fd = vhost.kick };
	struct vhost_vring_file call = { .index = queue, .fd = vhost.call };
	struct vhost_vring_addr address = {
		.index = queue,
		.desc_user_addr = (uintptr_t)descriptors,
		.avail_user_addr = (uintptr_t)avail,
		.used_user_addr = (uintptr_t)used,
	};
	unsigned int i;

	for (i = 0; i < NR; i++) {
		descriptors[i] = (struct vring_desc){
			.addr = (uintptr_t)vhost.buffers + i * PAGE,
			.len = HEADER_SIZE,
		};
		avail->ring[i] = i;
	}
	avail->idx = filled;
	used->idx = 0;
	control(VHOST_SET_VRING_NUM, &size);
	control(VHOST_SET_VRING_BASE, &base);
	control(VHOST_SET_VRING_ADDR, &address);
	if (queue != SEND)
		return;
	control(VHOST_SET_VRING_KICK, &kick);
	control(VHOST_SET_VRING_CALL, &call);
}

/* Prepare to send packets, in pages that were never accessed. */
static void prepare(void *arg)
{
	struct {
		struct vhost_memory memory;
		struct vhost_memory_region region;
	} memory = { .memory.nregions = 1 };
	uint64_t features = 1ull << VIRTIO_F_VERSION_1, cid = GUEST_CID;
	int start = 1;

	(void)arg;
	vhost.fd = open("/dev/vhost-vsock", O_RDWR | O_CLOEXEC);
	vhost.kick = eventfd(0, EFD_CLOEXEC);
	vhost.call = eventfd(0, EFD_CLOEXEC);
	if (vhost.fd < 0 || vhost.kick < 0 || vhost.call < 0)
		err(1, "/dev/vhost-vsock");
	control(VHOST_SET_OWNER, NULL);
	control(VHOST_SET_FEATURES, &features);
	/* The addresses of the device are those of the process. */
	memory.region = (struct vhost_memory_region){
		.guest_phys_addr = (uintptr_t)vhost.buffers,
		.memory_size = NR * PAGE,
		.userspace_addr = (uintptr_t)vhost.buffers,
	};
	control(VHOST_SET_MEM_TABLE, &memory);
	set_up_ring(RECEIVE, 0);
	set_up_ring(SEND, NR);
	control(VHOST_VSOCK_SET_GUEST_CID, &cid);
	control(VHOST_VSOCK_SET_RUNNING, &start);
}

/* Have the worker read the packets, and drop them: they are from nobody. */
static void act(void *arg)
{
	uint64_t value = 1;

	(void)arg;
	if (write(vhost.kick, &value, sizeof(value)) != sizeof(value) ||
	    read(vhost.call, &value, sizeof(value)) != sizeof(value))
		err(1, "eventfd");
}

/* Find the worker of a process. Sets whether it is a thread of it. */
static pid_t find_worker(pid_t pid, bool *thread)
{
	char line[128];
	pid_t worker;
	FILE *pipe;

	/* A kernel thread is named by its creator, and has no other link to it. */
	snprintf(line, sizeof(line),
		 "cd /proc && grep -lsx vhost-%d [0-9]*/comm %d/task/*/comm",
		 pid, pid);
	pipe = popen(line, "r");
	if (!pipe || !fgets(line, sizeof(line), pipe))
		errx(1, "%d has no worker", pid);
	pclose(pipe);
	*thread = sscanf(line, "%*d/task/%d/comm", &worker) == 1;
	if (!*thread && sscanf(line, "%d/comm", &worker) != 1)
		errx(1, "a worker of %d: %s", pid, line);

	return worker;
}

static long faults_of_worker(pid_t pid, pid_t worker, bool thread)
{
	struct stat_line stat;
	char path[80], text[512] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat",
		 thread ? pid : worker, worker);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		err(1, "%s", path);
	close(fd);
	stat_parse(text, &stat);

	return stat.flt[0] + stat.flt[2];
}

/* Count the faults in the buffers, taken by @tid in the kernel, without callers. */
static unsigned int located_in_buffers(const struct fault_ring *r, pid_t tid)
{
	uint64_t begin = (uintptr_t)vhost.buffers, i;
	unsigned int nr = 0;

	for (i = 0; i < fault_head(r); i++) {
		struct mp3_fault f = fault_at(r, i);

		if (f.tid == (uint32_t)tid && f.address >= begin &&
		    f.address < begin + NR * PAGE &&
		    !(f.flags & MP3_FAULT_USER) && !f.frames[0])
			nr++;
		else
			diag_fault("a fault elsewhere", &f);
	}
	return nr;
}

int main(void)
{
	struct capture c = capture_open();
	struct fault_ring r;
	struct usage usage;
	struct history history;
	pid_t pid, worker;
	uint64_t before, head;
	bool thread;
	long faults;

	if (!load_vhost()) {
		skip("faults of a worker of vhost", "no vhost");
		return done();
	}
	vhost.buffers = map_alone(NR * PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	locate_or_die(c.fd, 1, MP3_FRAMES - 1);
	r = fault_ring_map(c.fd);
	pid = subject_start(prepare, act, NULL);
	worker = find_worker(pid, &thread);
	diag("the worker is a %s", thread ? "thread of the process" :
					    "kernel thread");
	ok_eq(thread, kernel_version() >= 604,
	      "the worker is a thread of the process from 6.4 on");

	faults = faults_of_worker(pid, worker, thread);
	before = faults_of(pid);
	subject_profile(&c, pid);
	ok_eq(faults_of_worker(pid, worker, thread) - faults, NR,
	      "the worker takes a fault for each page");
	ok_eq(faults_of(pid) - before, thread ? NR : 0,
	      "the kernel counts them for the process if the worker is its thread");
	ok_eq(c.header->counted, thread ? NR : 0,
	      "mp3 counts the faults of a worker that is a thread, and no others");
	ok(counts_add_up(&c, &r, 0), "each fault that is counted is located");
	ok_eq(located_in_buffers(&r, worker), thread ? NR : 0,
	      "they are located in the memory that the worker has read");

	/* It ends while the device, and so the worker, exists. */
	head = capture_head(&c);
	usage = usage_of_pid(pid);
	capture_command_or_die(&c, 'R', pid);
	kill(pid, SIGCONT);
	usage = usage_between(usage, wait_usage(pid));
	capture_has(&c, 0);
	history = history_from(&c, head, pid);
	ok(history_matches(&history, 1, usage, "at the exit"),
	   "the last record is complete if the worker ends with the process");

	return done();
}
