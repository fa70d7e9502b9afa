/* What the daemon asks of the operating system for its own process. */
#pragma once

#include "route/settings.h"

/* umask 027, as many descriptors as the hard limit allows, and no core dumps: they would hold secrets and payloads. */
void process_prepare(void);
/* Warns of each configuration file that holds a password and may be read by everyone. */
void process_warn_readable(const struct settings *s);
