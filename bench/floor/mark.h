/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks for bench/lines, in kernel and user space: an instruction without effect
 * that its plugin of QEMU recognizes (bench/plugin/lines.c).
 */
#ifndef MP3_MARK_H
#define MP3_MARK_H

/* nopl 0x2133706d(%rax) */
#define MARK_CODE	"\017\037\200mp3!"

/*
 * Have the plugin measure each call of the function at @address, under a name of at
 * most 31 bytes; with the address 0, start a phase of that name. The function must
 * not have been called before. Does nothing without the plugin.
 */
static inline void mark(unsigned long address, const char *name)
{
	/* It loads a byte of the name: the plugin cannot read an absent page. */
	asm volatile(".byte 0x0f, 0x1f, 0x80; .ascii \"mp3!\""
		     : : "D"(address), "S"(name), "r"(*name) : "memory");
}

#endif /* MP3_MARK_H */
