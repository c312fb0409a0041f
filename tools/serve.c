// SPDX-License-Identifier: GPL-2.0
/*
 * mp3ctl serve: serves the totals of a capture over HTTP, for Prometheus.
 *
 * One thread reads the capture and serves clients, in turns: neither waits for the
 * other, since all sockets are nonblocking, and the capture is read in each turn. A
 * connection serves one request and ends after LIFETIME_NS, whatever its client does.
 */
#include <err.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifdef MP3_HAVE_MICROHTTPD
#include <dlfcn.h>
#include <microhttpd.h>
#endif

#include "exporter.h"
#include "mp3ctl.h"
#include "util.h"

#define DEFAULT_LISTEN "127.0.0.1:10423"

static const char help[] =
	"usage: mp3ctl serve [OPTION]...\n"
	"Serves the totals of every process that you may profile, by name and by cgroup,\n"
	"on http://" DEFAULT_LISTEN "/metrics for Prometheus, until a signal ends it.\n"
	"\n"
	"      --listen ADDRESS:PORT  serve there instead\n"
	EXPORTER_HELP
	"      --faults[=N]      locate faults, one minor fault in N (default 1): stalled\n"
	"                        time, and a histogram; requires CAP_PERFMON or the\n"
	"                        module's user_faults=1\n"
	EXPORTER_ROWS_HELP
	"  -h, --help            show this help\n"
	"  -V, --version         show the version\n";

enum {
	OPT_LISTEN = OPT_EXPORTER_OWN,
};

/* ---- Sockets ---- */

/* The first descriptor that systemd passes, SD_LISTEN_FDS_START */
#define FIRST_PASSED 3

/* The most that the kernel buffers for a client that reads slowly */
#define SEND_BUFFER_BYTES (128 << 10)

/* Limits the buffers of the connections of a socket, which otherwise grow to 4 MiB. */
static void limit_buffers(int fd)
{
	int bytes = SEND_BUFFER_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/*
 * Returns the socket that systemd has passed, or -1. Exits with one line if it has
 * passed something else.
 */
static int passed_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int is_listening = 0;
	socklen_t size = sizeof(is_listening);

	if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
		return -1;
	if (strcmp(fds, "1"))
		errx(1, "%s sockets were passed instead of one", fds);
	if (getsockopt(FIRST_PASSED, SOL_SOCKET, SO_ACCEPTCONN, &is_listening,
		       &size) || !is_listening)
		errx(1, "what was passed is not a listening socket");
	fcntl(FIRST_PASSED, F_SETFD, FD_CLOEXEC);
	fcntl(FIRST_PASSED, F_SETFL,
	      fcntl(FIRST_PASSED, F_GETFL) | O_NONBLOCK);
	limit_buffers(FIRST_PASSED);

	return FIRST_PASSED;
}

/*
 * Splits ADDRESS:PORT or [ADDRESS]:PORT in place. Exits with status 2 if it is neither.
 */
static const char *split_address(char *text, const char **port)
{
	char *colon = strrchr(text, ':');

	if (!colon || colon == text || !colon[1])
		errx(2, "--listen: '%s' is not ADDRESS:PORT", text);
	parse_number("port", colon + 1, 0, 65535);
	*colon = '\0';
	*port = colon + 1;
	if (text[0] != '[' || colon[-1] != ']')
		return text;
	colon[-1] = '\0';

	return text + 1;
}

/* Returns a socket that listens. Exits with one line if that is impossible. */
static int listen_on(const char *text)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	char *copy = strdup(text);
	const char *port, *address;
	struct addrinfo *found;
	int fd, error, one = 1;

	if (!copy)
		err(1, "--listen");
	address = split_address(copy, &port);
	error = getaddrinfo(address, port, &hints, &found);
	free(copy);
	if (error)
		errx(1, "%s: %s", text, gai_strerror(error));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, found->ai_addr, found->ai_addrlen) ||
	    listen(fd, SOMAXCONN))
		err(1, "%s", text);
	limit_buffers(fd);
	freeaddrinfo(found);

	return fd;
}

/* Prints where the totals are. */
static void print_address(int fd)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	bool is_long;

	if (getsockname(fd, (struct sockaddr *)&address, &size) ||
	    getnameinfo((struct sockaddr *)&address, size, host, sizeof(host),
			port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	is_long = strchr(host, ':');
	fprintf(stderr, "serving http://%s%s%s:%s/metrics until Ctrl-C\n",
		is_long ? "[" : "", host, is_long ? "]" : "", port);
}

/* ---- HTTP ---- */

#ifdef MP3_HAVE_MICROHTTPD

#define LIBRARY "libmicrohttpd.so.12"

/* How many connections there are at once, and how long each lives at most */
#define MAX_CONNECTIONS 32
#define LIFETIME_NS (10 * NSEC_PER_SEC)

/*
 * How many pages of a format there are at once. While slow clients hold all of them,
 * others share the newest one. It is at most LIFETIME_NS old: by then, the connections
 * that hold an older one have ended.
 */
#define MAX_PAGES 2

/* For a request's header, and for parts of a response */
#define CONNECTION_BYTES 16384

#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

/*
 * Functions of the library. It is not linked: with the 8 libraries that it needs, it
 * would make each start of mp3ctl slower.
 */
static struct {
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
	__typeof__(MHD_get_daemon_info) *get_daemon_info;
	__typeof__(MHD_get_connection_info) *get_connection_info;
	__typeof__(MHD_get_timeout) *get_timeout;
	__typeof__(MHD_run) *run;
	__typeof__(MHD_lookup_connection_value) *lookup_value;
	__typeof__(MHD_create_response_from_buffer) *create_response;
	__typeof__(MHD_create_response_from_buffer_with_free_callback) *create_shared;
	__typeof__(MHD_add_response_header) *add_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
} mhd;

/* Loads the library. Exits with one line if that is impossible. */
static void load_library(void)
{
	static const struct {
		const char *name;
		void *function;
	} functions[] = {
		{ "MHD_start_daemon", &mhd.start_daemon },
		{ "MHD_stop_daemon", &mhd.stop_daemon },
		{ "MHD_get_daemon_info", &mhd.get_daemon_info },
		{ "MHD_get_connection_info", &mhd.get_connection_info },
		{ "MHD_get_timeout", &mhd.get_timeout },
		{ "MHD_run", &mhd.run },
		{ "MHD_lookup_connection_value", &mhd.lookup_value },
		{ "MHD_create_response_from_buffer", &mhd.create_response },
		{ "MHD_create_response_from_buffer_with_free_callback",
		  &mhd.create_shared },
		{ "MHD_add_response_header", &mhd.add_header },
		{ "MHD_queue_response", &mhd.queue_response },
		{ "MHD_destroy_response", &mhd.destroy_response },
	};
	void *library = dlopen(LIBRARY, RTLD_NOW), *function;
	size_t i;

	if (!library)
		errx(1, "%s (Debian: apt install libmicrohttpd12)", dlerror());
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		function = dlsym(library, functions[i].name);
		if (!function)
			errx(1, "%s", dlerror());
		*(void **)functions[i].function = function;
	}
}

/**
 * struct connection - a client
 * @fd:	      its socket; -1: none
 * @until_ns: when the connection ends
 */
struct connection {
	int fd;
	__u64 until_ns;
};

static struct connection connections[MAX_CONNECTIONS];

/* Called when a connection begins or ends. */
static void note_connection(void *data, struct MHD_Connection *connection,
			    void **context,
			    enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct connection *client = *context;
	size_t i;

	(void)data;
	if (code != MHD_CONNECTION_NOTIFY_STARTED) {
		if (client)
			client->fd = -1;
		return;
	}
	info = mhd.get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	for (i = 0; info && i < MAX_CONNECTIONS; i++) {
		client = &connections[i];
		if (client->fd >= 0)
			continue;
		client->fd = info->connect_fd;
		client->until_ns = initial_monotonic_ns() + LIFETIME_NS;
		*context = client;
		return;
	}
}

/*
 * Shuts down the connections that have lived for too long: the timeout of the library
 * starts again with each byte. Returns when the next one has.
 */
static __u64 end_connections(__u64 now_ns)
{
	__u64 next_ns = MP3_NEVER;
	size_t i;

	for (i = 0; i < MAX_CONNECTIONS; i++) {
		if (connections[i].fd < 0)
			continue;
		if (now_ns >= connections[i].until_ns)
			shutdown(connections[i].fd, SHUT_RDWR);
		else if (connections[i].until_ns < next_ns)
			next_ns = connections[i].until_ns;
	}

	return next_ns;
}

/* Returns the weight that a media range of Accept has, 0..1000. */
static int range_weight(const char *parameters)
{
	const char *weight;
	double value;

	for (; *parameters == ';'; parameters += strcspn(parameters, ";,")) {
		weight = parameters + 1 + strspn(parameters + 1, " \t");
		if (!strncasecmp(weight, "q=", 2)) {
			value = strtod(weight + 2, NULL);
			/* It can also be NaN. */
			return !(value > 0) ? 0 :
			       value > 1 ? 1000 : (int)(value * 1000);
		}
		parameters++;
	}

	return 1000;
}

/* Returns whether the header Accept prefers OpenMetrics; it can be NULL. */
static bool prefers_openmetrics(const char *accept)
{
	int openmetrics = 0, text = 0, weight;
	size_t length;

	while (accept && *accept) {
		accept += strspn(accept, ", \t");
		length = strcspn(accept, ";, \t");
		weight = range_weight(accept + length +
				      strspn(accept + length, " \t"));
		if (length == strlen("application/openmetrics-text") &&
		    !strncasecmp(accept, "application/openmetrics-text", length)) {
			if (weight > openmetrics)
				openmetrics = weight;
		} else if (weight > text) {
			text = weight;
		}
		accept += strcspn(accept, ",");
	}

	return openmetrics && openmetrics >= text;
}

/* Queues a response, which the connection then holds instead of the caller. */
static enum MHD_Result respond(struct MHD_Connection *connection,
			       unsigned int status, const char *type,
			       struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	mhd.add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	mhd.add_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		mhd.add_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = mhd.queue_response(connection, status, response);
	mhd.destroy_response(response);

	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
			      unsigned int status, const char *reason)
{
	return respond(connection, status, TEXT,
		       mhd.create_response(strlen(reason), (void *)reason,
					   MHD_RESPMEM_PERSISTENT));
}

/**
 * struct page - a page of metrics, while connections hold it
 * @text:     the page; NULL: there is none
 * @response: its response, which the connections hold
 * @made_ns:  time of the pass of the exporter whose totals it has
 */
struct page {
	char *text;
	struct MHD_Response *response;
	__u64 made_ns;
};

/* By format: text, OpenMetrics */
static struct page pages[2][MAX_PAGES];

/* Called when no connection holds a page any longer. */
static void free_page(void *text)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		for (j = 0; j < MAX_PAGES; j++)
			if (pages[i][j].text == text)
				pages[i][j].text = NULL;
	free(text);
}

/* Prints a page. Returns its response, which the caller holds, or NULL. */
static struct MHD_Response *print_page(const struct exporter *exporter,
				       struct page *page, bool openmetrics)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	exporter_print(exporter, file, openmetrics);
	if (fclose(file)) {
		free(text);
		return NULL;
	}
	page->response = mhd.create_shared(size, text, free_page);
	if (!page->response) {
		free(text);
		return NULL;
	}
	page->text = text;
	page->made_ns = exporter->live.now_ns;

	return page->response;
}

/* Queues a page: one that was made in this pass, a new one, or the newest one. */
static enum MHD_Result respond_page(struct MHD_Connection *connection,
				    const struct exporter *exporter,
				    bool openmetrics)
{
	struct page *page, *newest = NULL, *unused = NULL;
	size_t i;

	for (i = 0; i < MAX_PAGES; i++) {
		page = &pages[openmetrics][i];
		if (!page->text)
			unused = page;
		else if (!newest || page->made_ns > newest->made_ns)
			newest = page;
	}
	if (newest && (!unused || newest->made_ns == exporter->live.now_ns))
		return mhd.queue_response(connection, MHD_HTTP_OK,
					  newest->response);

	return respond(connection, MHD_HTTP_OK, openmetrics ? OPENMETRICS : TEXT,
		       print_page(exporter, unused, openmetrics));
}

/* Called with each request: once its header is complete, and again at its end. */
static enum MHD_Result answer(void *data, struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const char *version, const char *upload,
			      size_t *upload_size, void **context)
{
	const char *accept;

	(void)version;
	(void)upload;
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "only GET and HEAD\n");
	if (!*context) {
		*context = connection;
		return MHD_YES;
	}
	/* What a client sends after the header is ignored. */
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/metrics"))
		return refuse(connection, MHD_HTTP_NOT_FOUND,
			      "mp3ctl serve: see /metrics\n");
	accept = mhd.lookup_value(connection, MHD_HEADER_KIND, "Accept");

	return respond_page(connection, data, prefers_openmetrics(accept));
}

/* Starts a server on a socket. Exits with one line if that is impossible. */
static struct MHD_Daemon *start_server(struct exporter *exporter, int fd)
{
	struct MHD_Daemon *server;
	size_t i;

	for (i = 0; i < MAX_CONNECTIONS; i++)
		connections[i].fd = -1;
	server = mhd.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, exporter,
				  MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
				  MHD_OPTION_CONNECTION_TIMEOUT,
				  (unsigned int)(LIFETIME_NS / NSEC_PER_SEC),
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				  (size_t)CONNECTION_BYTES,
				  MHD_OPTION_NOTIFY_CONNECTION, note_connection,
				  NULL, MHD_OPTION_END);
	if (!server)
		errx(1, "%s: the server cannot be started", LIBRARY);

	return server;
}

static void serve(struct exporter *exporter, int fd)
{
	struct MHD_Daemon *server = start_server(exporter, fd);
	struct wait wait = { .input_fd = mhd.get_daemon_info(server,
					MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd };
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	__u64 timeout_ns;

	do {
		exporter_pass(exporter);
		mhd.run(server);
		wait.until_ns = end_connections(exporter->live.now_ns);
		if (mhd.get_timeout(server, &timeout_ms) == MHD_YES) {
			timeout_ns = initial_monotonic_ns() +
				     timeout_ms * 1000000;
			if (timeout_ns < wait.until_ns)
				wait.until_ns = timeout_ns;
		}
	} while (live_wait(&exporter->live, &wait));
	mhd.stop_daemon(server);
}

#else

static void load_library(void)
{
	errx(1, "built without libmicrohttpd: install libmicrohttpd-dev, then make clean tools");
}

static void serve(struct exporter *exporter, int fd)
{
	(void)exporter;
	(void)fd;
}

#endif

int cmd_serve(int argc, char **argv)
{
	static const struct option known[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "cgroups", required_argument, NULL, OPT_CGROUPS },
		{ "faults", optional_argument, NULL, OPT_LOCATE },
		{ "follow", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "listen", required_argument, NULL, OPT_LISTEN },
		{ "names", required_argument, NULL, OPT_NAMES },
		{ "pid", required_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'V' },
		{}
	};
	int fd = passed_socket(), option;
	static struct exporter exporter;
	struct exporter_options options;
	const char *address = NULL;

	exporter_init(&options);
	while ((option = next_option(argc, argv, "afhp:V", known, "p")) >= 0) {
		if (option == OPT_LISTEN)
			address = optarg;
		else
			exporter_option(&options, option, help);
	}
	if (argv[optind])
		errx(2, "unexpected argument '%s'", argv[optind]);
	if (address && fd >= 0)
		errx(2, "a socket was passed: omit --listen");
	validate_ring_options(&options.ring);
	load_library();
	if (fd < 0)
		fd = listen_on(address ? address : DEFAULT_LISTEN);

	exporter_start(&exporter, &options);
	print_address(fd);
	serve(&exporter, fd);
	exporter_finish(&exporter);

	return 0;
}
