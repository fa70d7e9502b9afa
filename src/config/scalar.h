/* Texts in YAML: printing them so that they read back, and telling which bytes YAML can hold. Pure. */
#pragma once

#include "base/buf.h"

/* Decodes one character of UTF-8 at *p (before end) and moves on. False, without moving, when it is not well formed. */
bool utf8_next(const uint8_t **p, const uint8_t *end, uint32_t *character);
/* YAML allows this character in a file as it is. */
bool yaml_allows(uint32_t character);
/* Appends s as a scalar for any place of a flow or block map, quoted where needed. s is UTF-8. value: "${" is escaped,
 * since values are interpolated when read and keys are not. */
void yaml_print(struct bytes s, bool value, struct buf *out);
/* Written without quotes it reads as a whole number, a decimal number or true or false. */
bool yaml_is_typed(const char *text);
/* "null" and the like: what YAML calls nothing. */
bool yaml_is_null(const char *text);
