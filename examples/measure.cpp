// SPDX-License-Identifier: GPL-2.0 OR MIT
//
// Measures functions with a capture: their page faults and their CPU time. Needs no
// privilege.
//
//	g++ -std=c++17 -O2 -I /usr/local/include -o measure measure.cpp
//	./measure
#include <cstddef>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <mp3_client.h>

// What a function has cost
struct Cost {
	unsigned long long minor = 0;	// page faults without I/O
	unsigned long long major = 0;	// page faults with I/O
	unsigned long long cpu_ns = 0;
};

// A capture of this process. The destructor ends it, however the scope is left.
class Capture {
public:
	Capture() { check(mp3_capture_open(&reader)); }
	~Capture() { mp3_capture_close(&reader); }
	Capture(const Capture &) = delete;
	Capture &operator=(const Capture &) = delete;

	// Returns what a function costs. Counts all threads of the process.
	Cost measure(const std::function<void()> &function)
	{
		struct mp3_record record;
		Cost cost;

		// Skip the records of a function that has thrown.
		reader.next = mp3_reader_head(&reader);
		check(mp3_capture_register(&reader, getpid()));
		try {
			function();
		} catch (...) {
			mp3_capture_unregister(&reader, getpid());
			throw;
		}
		check(mp3_capture_unregister(&reader, getpid()));

		while (mp3_reader_next_record(&reader, &record)) {
			// An identity record has no counts.
			if (record.flags & MP3_IDENTITY)
				continue;
			cost.minor += record.min_flt;
			cost.major += record.maj_flt;
			cost.cpu_ns += record.cpu_ns;
		}
		if (reader.lost)
			throw std::runtime_error("records were lost");

		return cost;
	}

private:
	static void check(int error)
	{
		if (error)
			throw std::runtime_error(MP3_CAPTURE_PATH ": " +
						 std::string(mp3_strerror(error)));
	}

	struct mp3_reader reader;
};

int main()
{
	constexpr std::size_t size = 16 << 20;
	std::vector<char> buffer;

	try {
		Capture capture;
		const struct {
			const char *name;
			std::function<void()> function;
		} functions[] = {
			{ "allocate and fill 16 MiB", [&] { buffer.assign(size, 1); } },
			{ "fill them again", [&] { buffer.assign(size, 2); } },
			{ "copy them", [&] { auto copy = buffer; } },
		};

		std::printf("%-26s %8s %8s %10s\n", "", "minor", "major", "CPU");
		for (const auto &[name, function] : functions) {
			const Cost cost = capture.measure(function);

			std::printf("%-26s %8llu %8llu %7.1f ms\n", name,
				    cost.minor, cost.major,
				    static_cast<double>(cost.cpu_ns) / 1e6);
		}
	} catch (const std::exception &error) {
		std::fprintf(stderr, "measure: %s\n", error.what());
		return 1;
	}

	return 0;
}
