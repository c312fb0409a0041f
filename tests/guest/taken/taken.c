// SPDX-License-Identifier: GPL-2.0
/* For tests: a driver that has the major number of mp3 as long as it is loaded. */
#include <linux/fs.h>
#include <linux/module.h>

static const dev_t taken_dev = MKDEV(423, 0);

static int __init taken_init(void)
{
	return register_chrdev_region(taken_dev, 1, "taken");
}

static void __exit taken_exit(void)
{
	unregister_chrdev_region(taken_dev, 1);
}

module_init(taken_init);
module_exit(taken_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("has major number 423, for tests");
