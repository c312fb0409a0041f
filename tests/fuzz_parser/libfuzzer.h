/* SPDX-License-Identifier: GPL-2.0 */
/* The interface of libFuzzer, as far as it is used. */
#ifndef MP3_FUZZ_PARSER_LIBFUZZER_H
#define MP3_FUZZ_PARSER_LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

/* Target: runs with one input. Returns 0; aborts on a failure. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Target, optional: mutates an input. Returns its new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
			       unsigned int seed);

/* Library: mutates bytes. Returns their new number. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#endif /* MP3_FUZZ_PARSER_LIBFUZZER_H */
