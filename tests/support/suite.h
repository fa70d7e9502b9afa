/* The end of every unit test's main(). */
#pragma once

#include <check.h>

/* Runs the suite and frees it; main()'s status. CK_VERBOSITY=verbose names each test. */
int suite_run(Suite *suite);
