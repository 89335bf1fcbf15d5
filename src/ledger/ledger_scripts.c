/*
 * ledger_scripts - the Lua files beside this one, as the server gets them: each is base.lua and its
 * own text. The Makefile turns the files into data.
 */
#include "redis_parts.h"

/* clang-format off */
extern const struct str data_ledger_base_lua, data_ledger_reserve_lua, data_ledger_handed_lua,
    data_ledger_release_lua, data_ledger_upload_lua, data_ledger_due_lua, data_ledger_tallies_lua,
    data_ledger_probe_lua;

static const struct { const struct str *text; bool alone; } files[SCRIPT_COUNT] = {
    [SCRIPT_RESERVE] = { &data_ledger_reserve_lua, false },
    [SCRIPT_HANDED]  = { &data_ledger_handed_lua,  true  },
    [SCRIPT_RELEASE] = { &data_ledger_release_lua, false },
    [SCRIPT_UPLOAD]  = { &data_ledger_upload_lua,  false },
    [SCRIPT_DUE]     = { &data_ledger_due_lua,     false },
    [SCRIPT_TALLIES] = { &data_ledger_tallies_lua, false },
    [SCRIPT_PROBE]   = { &data_ledger_probe_lua,   true  },
};
/* clang-format on */

enum { SCRIPT_BYTES_MAX = 64 * 1024 };

enum status fleet_scripts_make(struct ledger_fleet *f)
{
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        struct buf *text = &f->texts[i];
        *text = BUF_INIT(SCRIPT_BYTES_MAX);
        if (!files[i].alone)
            buf_str(text, data_ledger_base_lua);
        buf_str(text, *files[i].text);
        TRY(buf_check(text));
        f->scripts[i].text = buf_view(text);
        resp_script_prepare(&f->scripts[i]);
    }
    return ST_OK;
}
