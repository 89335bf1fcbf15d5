/*
 * ledger_sqlite - the doors of the loops to the one thread that owns the file.
 */
#include "presignd/ledger_sqlite.h"
