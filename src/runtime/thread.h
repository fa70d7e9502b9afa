/* Threads of the runtime: named, with all signals blocked. */
#pragma once

#include <pthread.h>

/* Aborts when no thread can be made. name is cut at 15 characters. */
pthread_t thread_start(const char *name, void *(*run)(void *), void *arg);
