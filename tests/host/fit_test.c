// SPDX-License-Identifier: GPL-2.0
/* Labels that are shortened for a terminal: paths, functions, names. */
#include "../../tools/fit.c"
#include "../../tools/name.c"
#include "../guest/test.h"

#define LIBC	"/usr/lib/x86_64-linux-gnu/libc.so.6"
#define MALLOC	"malloc  malloc.c:3321  " LIBC
#define BLANKS	"/home/my  files/a  /b  c.so"

/* Frees @text. Returns whether it is @expected, and takes at most so many columns. */
static bool is(char *text, size_t columns, const char *expected)
{
	bool good = !strcmp(text, expected) && fit_width(text) <= columns;

	if (!good)
		diag("got '%s', want '%s'", text, expected);
	free(text);

	return good;
}

static bool path(const char *name, size_t columns, const char *expected)
{
	return is(fit_path(name, columns), columns, expected);
}

static bool label(const char *name, size_t columns, const char *expected)
{
	return is(fit_label(name, columns), columns, expected);
}

/* Returns whether each of some labels fits into every number of columns. */
static bool always_fits(void)
{
	static const char *const labels[] = {
		LIBC, MALLOC, "/", "//", "a", "/a", "  ", "    ", "a  b",
		"a  /b", "a  /", "  /usr/lib/b", "f  c:1  g", "...lib/a/b/c",
		"averyveryverylongfunctionname(unsigned long, char const *)",
		"averyveryverylongfunctionname(unsigned long)  /usr/bin/other",
		"f  averyveryverylongsourcefile.c:12345  /bin/averylongprogram",
		"others (12)", "a_long_program+0x2030", "+", "a +0x",
		"a  b  c  d  e  f", "/a/b/c/d/e/f/g/h/i/j/k", BLANKS,
		"a_function  " BLANKS, "f  c:1  " BLANKS,
	};
	bool good = true;
	size_t i, columns;
	char *text;

	for (i = 0; i < sizeof(labels) / sizeof(*labels); i++)
		for (columns = FIT_LEAST; columns < 90; columns++) {
			text = fit_label(labels[i], columns);
			good = good && fit_width(text) <= columns &&
			       (strlen(labels[i]) > columns ||
				!strcmp(text, labels[i]));
			free(text);
			text = fit_path(labels[i], columns);
			good = good && fit_width(text) <= columns;
			free(text);
		}

	return good;
}

static void test_ascii(void)
{
	ok(path(LIBC, 35, LIBC), "a path that fits is not shortened");
	ok(path(LIBC, 34, "/usr/lib/.../libc.so.6") &&
	   path(LIBC, 21, "/usr/.../libc.so.6") &&
	   path(LIBC, 17, "/.../libc.so.6") && path(LIBC, 13, ".../libc.so.6"),
	   "a path keeps its file and as many directories as fit");
	ok(path(LIBC, 12, "libc.so.6") && path("/a/abcdefghijklmno", 12,
					       "abcdefghi..."),
	   "a path without space for a directory is the name of its file, or a part");
}

static void test_unicode(void)
{
	ok(path(LIBC, 34, "/usr/lib/…/libc.so.6") &&
	   path(LIBC, 19, "/usr/…/libc.so.6") && path(LIBC, 11, "…/libc.so.6"),
	   "an ellipsis takes one column in a UTF-8 locale");
	ok(label(MALLOC, 58, MALLOC) &&
	   label(MALLOC, 50, "malloc  malloc.c:3321  /usr/lib/…/libc.so.6") &&
	   label(MALLOC, 34, "malloc  malloc.c:3321  …/libc.so.6"),
	   "the path of a function is shortened first");
	ok(label(MALLOC, 33, "malloc  /usr/lib/…/libc.so.6") &&
	   label(MALLOC, 19, "malloc  …/libc.so.6"),
	   "the source line of a function is left out next");
	ok(label("a_long_function_name  " LIBC, 24, "a_long_fun…  …/libc.so.6") &&
	   label(MALLOC, 16, "malloc  libc.so…"),
	   "the name of a function is shortened last");
	ok(label("others (123456789)", 12, "others (123…"),
	   "a label without a path is cut at its end");
	ok(label("a_long_program+0x2030  /usr/bin/a_long_program", 30,
		 "a_lon…+0x2030  a_long_program") &&
	   label("a_long_program+0x2030", 16, "a_long_p…+0x2030") &&
	   label("\\xd0\\xbf\\xd1\\x80 12345", 15, "\\xd0\\xbf… 12345"),
	   "the offset of an instruction and the id of a process are kept");
	ok(label(BLANKS, 26, "/home/my  files/…/b  c.so") &&
	   label("f  " BLANKS, 20, "f  /home/…/b  c.so") &&
	   label("f  source.c:12  " BLANKS, 32,
		 "f  source.c:12  /home/…/b  c.so") &&
	   label("f  source.c:12  " BLANKS, 17, "f  /…/b  c.so"),
	   "a path with blanks is shortened like any other");
	ok(fit_rest(80, 47) == 33 && fit_rest(50, 47) == FIT_LEAST &&
	   fit_rest(20, 47) == FIT_LEAST,
	   "a label is not shortened to less than 12 columns");
}

/* Has labels be shortened as in a locale. */
static void set_locale(const char *name)
{
	setenv("LC_ALL", name, 1);
	dots = NULL;
}

int main(void)
{
	set_locale("C");
	test_ascii();
	ok(always_fits(), "every label fits into every number of columns");
	set_locale("C.UTF-8");
	test_unicode();
	ok(always_fits(), "every label with a short ellipsis fits, too");

	return done();
}
