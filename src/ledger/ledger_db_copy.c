/*
 * ledger_db_copy - the ledger for other eyes: as JSON lines, and as a copy.
 */
#include "ledger_db.h"
