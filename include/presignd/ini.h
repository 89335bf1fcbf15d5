/*
 * ini - the form of the AWS credentials file, line by line. Pure: a view in, views out, no copies, so
 * that nothing of a secret is left behind here.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".
 *
 *     [section]          blanks around the name do not count; the same name again goes on with it
 *     key = value        blanks around both do not count; a value may be empty
 *     # or ; comment     a line, or behind a blank after a value or a section
 *
 * Lines end with LF or CR LF; a byte order mark in front is passed over. A line that stands further
 * in than the key above it belongs to that key's value (nested settings) and is skipped.
 */
#ifndef PRESIGND_INI_H
#define PRESIGND_INI_H

#include "presignd/str.h"

enum ini_line {
    INI_END,
    INI_SECTION, /* section is its name */
    INI_PAIR,    /* key and value, of section */
    INI_BAD,     /* neither of these, or a key before any section: line says where */
};

struct ini {
    struct str rest;
    size_t line; /* of what ini_next gave, from 1 */
    struct str section, key, value;
    bool in_section, after_key;
    size_t indent; /* of the last key */
};

/* The text must outlive the reader and what it gives. */
void ini_begin(struct ini *r, struct str text);

/* The next section or pair; each call takes at least a line, and after INI_END there is no other. */
enum ini_line ini_next(struct ini *r);

#endif
