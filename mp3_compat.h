/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between kernel versions, and nothing else: mp3.c is written
 * for the newest kernel, and what an older one lacks is made up for here.
 */
#ifndef MP3_COMPAT_H
#define MP3_COMPAT_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/version.h>

#ifndef CONFIG_64BIT
#error "mp3 needs a 64-bit kernel: its counters are words of 64 bits"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma,
				unsigned long set, unsigned long clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define mp3_class_create(name)	class_create(THIS_MODULE, name)
#else
#define mp3_class_create(name)	class_create(name)
#endif

#endif /* MP3_COMPAT_H */
