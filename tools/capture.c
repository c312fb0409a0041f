// SPDX-License-Identifier: GPL-2.0
#include <err.h>

#include "capture.h"

/* Creates a capture. Exits with status 1 and one line if that is impossible. */
void capture_open_or_exit(struct mp3_reader *capture)
{
	int error = mp3_capture_open(capture);

	if (error)
		reader_open_failed(capture, MP3_CAPTURE_PATH, error);
}

/**
 * reader_open_failed() - explain why a ring or a capture cannot be opened, and
 *			  exit with status 1
 * @reader: as the function of mp3_client.h that failed has left it
 * @path:   path of the device
 * @error:  negative errno that it has returned
 */
void reader_open_failed(const struct mp3_reader *reader, const char *path,
			int error)
{
	if (reader->version && reader->version != MP3_ABI_VERSION)
		errx(1, "%s: has ABI version %u, this program reads version %u",
		     path, reader->version, MP3_ABI_VERSION);
	errx(1, "%s: %s", path, mp3_strerror(error));
}
