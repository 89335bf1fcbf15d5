/*
 * ledger_vfs - SQLite's way to the system, with one write where SQLite makes many.
 *
 * Each page that a transaction changed is written to the journal as a frame, a head of 24 bytes and
 * the page, by two system calls. Here the frames of a transaction are gathered and go out together.
 *
 * What is gathered counts for nobody: frames count once the journal's index says so, in shared
 * memory, and SQLite says that when the last one is written. That one has the size of the database
 * in its head, the others a zero (sqlite.org/fileformat2.html, section 4.1): with it all goes out,
 * and what comes of that is what SQLite hears. Whatever else is asked of the file finds it written.
 *
 * It must not be used where pages may be written before the end of a transaction (PRAGMA
 * cache_spill): of one that is taken back frames would be left here.
 */
#include "ledger_db.h"

#include <stdlib.h>

enum {
    FRAME_HEAD = 24,
    HEAD_SIZE_AT = 4, /* four bytes: the database's size in pages, or zero */
    GATHER_BYTES = 128 << 10,
};

struct journal {
    sqlite3_file file;
    sqlite3_file *real; /* behind this struct */
    char *gathered;     /* GATHER_BYTES; NULL until there is something */
    int n;
    sqlite3_int64 at; /* where in the file they belong */
    bool in_frame;    /* the last was a head */
    bool ends;        /* of a transaction's last frame */
};

static sqlite3_vfs *parent;
static sqlite3_vfs vfs;

static struct journal *journal_of(sqlite3_file *f)
{
    return container_of(f, struct journal, file);
}

static int put_out(struct journal *j)
{
    const int n = j->n;
    j->n = 0;
    j->in_frame = false;
    return n > 0 ? j->real->pMethods->xWrite(j->real, j->gathered, n, j->at) : SQLITE_OK;
}

static int gather(struct journal *j, const void *bytes, int n)
{
    if (!j->gathered)
        j->gathered = malloc(GATHER_BYTES);
    if (!j->gathered)
        return SQLITE_IOERR_NOMEM;
    memcpy(j->gathered + j->n, bytes, (size_t)n);
    j->n += n;
    return SQLITE_OK;
}

static bool last_of_transaction(const void *head)
{
    const unsigned char *size = (const unsigned char *)head + HEAD_SIZE_AT;
    return size[0] || size[1] || size[2] || size[3];
}

static int journal_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    struct journal *j = journal_of(f);
    const bool follows = j->n > 0 && at == j->at + j->n && n <= GATHER_BYTES - j->n;
    const bool page = follows && j->in_frame;
    if (!follows) {
        const int rc = put_out(j);
        if (rc != SQLITE_OK)
            return rc;
        j->at = at;
    }
    if (!page && n != FRAME_HEAD) {
        const int rc = put_out(j);
        return rc == SQLITE_OK ? j->real->pMethods->xWrite(j->real, bytes, n, at) : rc;
    }
    const int rc = gather(j, bytes, n);
    j->in_frame = !page;
    if (!page)
        j->ends = last_of_transaction(bytes);
    return rc == SQLITE_OK && page && j->ends ? put_out(j) : rc;
}

/* ---- what comes after all that was gathered ----------------------------------------------------- */

static int journal_close(sqlite3_file *f)
{
    struct journal *j = journal_of(f);
    const int rc = put_out(j);
    free(j->gathered);
    j->gathered = NULL;
    const int closed = j->real->pMethods->xClose(j->real);
    return rc == SQLITE_OK ? closed : rc;
}

static int journal_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    struct journal *j = journal_of(f);
    const int rc = put_out(j);
    return rc == SQLITE_OK ? j->real->pMethods->xRead(j->real, to, n, at) : rc;
}

static int journal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct journal *j = journal_of(f);
    const int rc = put_out(j);
    return rc == SQLITE_OK ? j->real->pMethods->xTruncate(j->real, size) : rc;
}

static int journal_sync(sqlite3_file *f, int flags)
{
    struct journal *j = journal_of(f);
    const int rc = put_out(j);
    return rc == SQLITE_OK ? j->real->pMethods->xSync(j->real, flags) : rc;
}

static int journal_size(sqlite3_file *f, sqlite3_int64 *out)
{
    struct journal *j = journal_of(f);
    const int rc = put_out(j);
    return rc == SQLITE_OK ? j->real->pMethods->xFileSize(j->real, out) : rc;
}

static int journal_control(sqlite3_file *f, int what, void *arg)
{
    struct journal *j = journal_of(f);
    const int rc = put_out(j);
    return rc == SQLITE_OK ? j->real->pMethods->xFileControl(j->real, what, arg) : rc;
}

/* ---- what needs none of it ---------------------------------------------------------------------- */

static int journal_lock(sqlite3_file *f, int level)
{
    sqlite3_file *real = journal_of(f)->real;
    return real->pMethods->xLock(real, level);
}

static int journal_unlock(sqlite3_file *f, int level)
{
    sqlite3_file *real = journal_of(f)->real;
    return real->pMethods->xUnlock(real, level);
}

static int journal_reserved(sqlite3_file *f, int *out)
{
    sqlite3_file *real = journal_of(f)->real;
    return real->pMethods->xCheckReservedLock(real, out);
}

static int journal_sector(sqlite3_file *f)
{
    sqlite3_file *real = journal_of(f)->real;
    return real->pMethods->xSectorSize(real);
}

static int journal_traits(sqlite3_file *f)
{
    sqlite3_file *real = journal_of(f)->real;
    return real->pMethods->xDeviceCharacteristics(real);
}

static const sqlite3_io_methods journal_methods = {
    .iVersion = 1, /* the index and mapped pages belong to the database's own file */
    .xClose = journal_close,
    .xRead = journal_read,
    .xWrite = journal_write,
    .xTruncate = journal_truncate,
    .xSync = journal_sync,
    .xFileSize = journal_size,
    .xLock = journal_lock,
    .xUnlock = journal_unlock,
    .xCheckReservedLock = journal_reserved,
    .xFileControl = journal_control,
    .xSectorSize = journal_sector,
    .xDeviceCharacteristics = journal_traits,
};

/* ---- opening ------------------------------------------------------------------------------------ */

/* Only journals are ours; any other file is the system's own from its first byte. */
static int open_any(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    if (!(flags & SQLITE_OPEN_WAL))
        return parent->xOpen(parent, name, f, flags, out);
    struct journal *j = journal_of(f);
    *j = (struct journal){ .real = (sqlite3_file *)(void *)(j + 1) };
    const int rc = parent->xOpen(parent, name, j->real, flags, out);
    if (rc == SQLITE_OK)
        j->file.pMethods = &journal_methods;
    else if (j->real->pMethods)
        j->real->pMethods->xClose(j->real);
    return rc;
}

void ledger_vfs_register(void)
{
    parent = sqlite3_vfs_find(NULL);
    if (!parent)
        return;
    vfs = *parent;
    vfs.zName = LEDGER_VFS;
    vfs.szOsFile = (int)sizeof(struct journal) + parent->szOsFile;
    vfs.xOpen = open_any;
    sqlite3_vfs_register(&vfs, 0);
}
