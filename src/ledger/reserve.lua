-- reserve - files under a plan: all limits of all files together, or nothing. Mirrors limits.c.
--
-- ARGV: [4] "reserve" or "peek", [5] limits, [6] files, [7] Idempotency-Key or "", [8] the request's
-- hash, [9] "1": what cannot be settled is released; then for each limit
--   name kind max window_s step_us span_us
-- and for each file
--   id uuid profile bucket bucket_name key type length bytes expires_s post exact
-- Answer: outcome, the time, what was wanted (files, bytes, places lost and wanted again, 1 for rate
-- alone), the earliest end of an open upload, a word; of each limit start, used, reserved, tat; for a repeated request the
-- time of the first, and of each file id, uuid, key.

local LIMIT_ARGS, FILE_ARGS, FIRST_ARG = 6, 12, 9
local STALE_MAX = 200 -- ended places that one call takes away
local DUE_KEPT_S = 40 * 86400 -- longer than any upload is kept
local OPEN_KEPT_S = 8 * 86400 -- longer than any packet lives
local HAIR_S = 10     -- limits.h: a window may have begun for another clock

local peek = ARGV[4] == 'peek'
local n_limits, n_files = tonumber(ARGV[5]), tonumber(ARGV[6])
local idem, request_hash = ARGV[7], ARGV[8]
local open_set = user .. ':o'

local function limit_arg(i, k)
    return ARGV[FIRST_ARG + (i - 1) * LIMIT_ARGS + k]
end

local function file_arg(i, k)
    return ARGV[FIRST_ARG + n_limits * LIMIT_ARGS + (i - 1) * FILE_ARGS + k]
end

-- the plan's limits, and what was counted for them

local function month_start_s()
    local days = math.floor(now_s / 86400)
    local of_era = math.fmod(days + 719468, 146097)
    local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) -
                             math.floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local month = math.floor((5 * of_year + 2) / 153)
    local of_month = of_year - math.floor((153 * month + 2) / 5)
    return (days - of_month) * 86400
end

local function renews(l)
    return (l.kind == 'count' or l.kind == 'bytes') and l.window ~= 0
end

local function window_start_s(l)
    if not renews(l) then
        return 0
    end
    return l.window > 0 and now_s - math.fmod(now_s, l.window) or month_start_s()
end

local function roll(t, l)
    local start = window_start_s(l)
    local ahead = renews(l) and t and t.start > now_s and t.start - now_s <= HAIR_S
    if not t or t.kind ~= l.kind or (t.start ~= start and not ahead) then
        t = { name = l.name, kind = l.kind, start = start, used = 0, reserved = 0, tat = 0 }
    end
    if l.kind == 'rate' then
        t.tat = math.min(t.tat, now_us + l.span)
    end
    return t
end

local limits, tallies, names, has_open = {}, {}, {}, false
for i = 1, n_limits do
    limits[i] = { name = limit_arg(i, 1), kind = limit_arg(i, 2), max = tonumber(limit_arg(i, 3)),
                  window = tonumber(limit_arg(i, 4)), step = tonumber(limit_arg(i, 5)),
                  span = tonumber(limit_arg(i, 6)) }
    names[i] = limits[i].name
    has_open = has_open or limits[i].kind == 'open'
end
local n_open, open_ends_s = 0, 0

-- Places end by themselves: those are taken away, a bounded number a call, and never counted.
local function count_open()
    local first = redis.call('ZRANGE', open_set, 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) <= now_s then
        if not peek then
            local stale = redis.call('ZCOUNT', open_set, '-inf', whole(now_s))
            redis.call('ZREMRANGEBYRANK', open_set, 0, math.min(stale, STALE_MAX) - 1)
        end
        first = redis.call('ZRANGEBYSCORE', open_set, '(' .. whole(now_s), '+inf', 'WITHSCORES',
                           'LIMIT', 0, 1)
        n_open = redis.call('ZCOUNT', open_set, '(' .. whole(now_s), '+inf')
    elseif first[2] then
        n_open = redis.call('ZCOUNT', open_set, '-inf', '+inf')
    end
    open_ends_s = bounded(tonumber(first[2] or 0))
end

if has_open then
    count_open()
end
if n_limits > 0 then
    local stored = redis.call('HMGET', user, unpack(names))
    for i = 1, n_limits do
        tallies[i] = roll(tally_read(names[i], stored[i]), limits[i])
        if limits[i].kind == 'open' then
            tallies[i].reserved = n_open
        end
    end
end

-- what is wanted

local want = { files = n_files, bytes = 0, reopened = 0, rate_only = false }
local again, record -- the uploads of an earlier request with this Idempotency-Key

local function answer(outcome, word)
    local out = { outcome, now_us, want.files, want.bytes, want.reopened, want.rate_only and 1 or 0,
                  open_ends_s, word or '' }
    for i = 1, n_limits do
        local t = tallies[i]
        local n = #out
        out[n + 1], out[n + 2], out[n + 3], out[n + 4] = t.start, t.used, t.reserved, t.tat
    end
    if outcome == OK and again then
        out[#out + 1] = tonumber(record.created_us)
        for i = 1, n_files do
            local n = #out
            out[n + 1], out[n + 2], out[n + 3] = again[i].id, record.ids[2 * i], again[i].key
        end
    end
    return out
end

local function is_open(u)
    return u.state == 'granted' and now_s < tonumber(u.expires)
end

-- The earlier request's uploads, or nil: the key counts as one never seen. And a word that ends it.
local function earlier()
    local text = redis.call('GET', user .. ':i:' .. idem)
    record = text and cjson.decode(text)
    if not record or now_s >= math.floor(record.created_us / 1000000) + IDEM_S then
        return nil
    end
    local found = {}
    for i = 1, #record.ids, 2 do
        found[#found + 1] = upload_load(record.ids[i])
    end
    if 2 * #found ~= #record.ids then
        return nil
    end
    if record.hash ~= request_hash or #found ~= n_files then
        return nil, CONFLICT, ''
    end
    for i = 1, n_files do
        if found[i].state == 'completed' or found[i].state == 'cancelled' then
            return nil, STATE, found[i].state
        end
    end
    return found
end

if idem ~= '' then
    local outcome, word
    again, outcome, word = earlier()
    if outcome then
        return answer(outcome, word)
    end
end
if again then
    want.files = 0
    for i = 1, n_files do
        local u = again[i]
        u.anew = u.state == 'expired' -- settled: it holds nothing any more
        if u.anew then
            want.files = want.files + 1
            want.bytes = want.bytes + file_arg(i, 9)
        elseif u.place == '1' and not is_open(u) then
            want.reopened = want.reopened + 1
        end
    end
    want.rate_only = want.files == 0
else
    for i = 1, n_files do
        want.bytes = want.bytes + file_arg(i, 9)
    end
end

-- may it be had

local function amount(l)
    if l.kind == 'bytes' then
        return want.bytes
    end
    return l.kind == 'open' and want.files + want.reopened or want.files
end

local function fits(l, t)
    if l.kind == 'rate' then
        return l.max >= 1 and math.max(t.tat, now_us) + l.step - now_us <= l.span
    end
    return (want.rate_only and amount(l) == 0) or t.used + t.reserved <= l.max - amount(l)
end

for i = 1, n_files > 0 and n_limits or 0 do
    if not fits(limits[i], tallies[i]) then
        return answer(REFUSED)
    end
end
if peek or n_files == 0 then
    return answer(OK)
end

-- taken

local charges = {}
for i = 1, n_limits do
    if limits[i].kind == 'count' or limits[i].kind == 'bytes' then
        local n = #charges
        charges[n + 1], charges[n + 2] = limits[i].name, limits[i].kind
        charges[n + 3] = whole(tallies[i].start)
    end
end

local function place(u, expires_s)
    redis.call('ZADD', due, whole(expires_s + GRACE_S), user_hash .. ':' .. u.id)
    if u.place == '1' then
        redis.call('ZADD', open_set, whole(expires_s), u.id)
        redis.call('EXPIRE', open_set, OPEN_KEPT_S)
    end
end

local function reserve_again(u, i)
    local expires_s = tonumber(file_arg(i, 10))
    if u.anew then
        u.bytes, u.exact, u.release = file_arg(i, 9), file_arg(i, 12), ARGV[9]
        u.charges, u.charge, u.taken = charges, #charges > 0 and 'reserved' or '', '0'
        u.place = has_open and '1' or '0'
    end
    expires_s = math.max(expires_s, u.expires)
    u.anew, u.state, u.expires = nil, 'granted', whole(expires_s)
    if #u.holders < HOLDERS_MAX then
        u.holders[#u.holders + 1] = file_arg(1, 1)
    else
        u.many = '1'
    end
    upload_save(u)
    place(u, expires_s)
end

local function reserve_fresh(i)
    local expires_s = tonumber(file_arg(i, 10))
    local u = {
        id = file_arg(i, 1), profile = file_arg(i, 3), bucket = file_arg(i, 4),
        bucket_name = file_arg(i, 5), key = file_arg(i, 6), type = file_arg(i, 7),
        length = file_arg(i, 8), bytes = file_arg(i, 9), expires = file_arg(i, 10),
        post = file_arg(i, 11), exact = file_arg(i, 12), release = ARGV[9], state = 'granted',
        created = whole(now_s), size = '-1', etag = '', taken = '0', idem = idem,
        place = has_open and '1' or '0',
        charges = charges, charge = #charges > 0 and 'reserved' or '', holders = { file_arg(1, 1) },
    }
    upload_save(u)
    place(u, expires_s)
    if has_open and expires_s > now_s then
        open_ends_s = open_ends_s > 0 and math.min(open_ends_s, expires_s) or expires_s
    end
end

local function remember_key()
    local ids = {}
    for i = 1, n_files do
        ids[2 * i - 1], ids[2 * i] = file_arg(i, 1), file_arg(i, 2)
    end
    redis.call('SET', user .. ':i:' .. idem,
               cjson.encode({ hash = request_hash, created_us = whole(now_us), ids = ids }), 'EX',
               whole(IDEM_S))
end

-- A key lives as long as something in it can matter; `kept_s` nil: for ever.
local function live(key, left_s, kept_s)
    if not kept_s then
        if left_s >= 0 then
            redis.call('PERSIST', key)
        end
    elseif left_s ~= -1 and left_s < kept_s then
        redis.call('EXPIRE', key, whole(kept_s))
    end
end

local function tally_kept_s(l, t)
    if l.kind == 'rate' then
        return math.ceil((t.tat - now_us) / 1000000) + 1
    elseif l.kind == 'open' then
        return 1
    end
    return renews(l) and t.start + (l.window > 0 and l.window or 31 * 86400) - now_s + 1 or nil
end

local function take()
    local fields, kept_s = {}, 1
    for i = 1, n_limits do
        local l, t = limits[i], tallies[i]
        if l.kind == 'rate' then
            t.tat = math.max(t.tat, now_us) + l.step
        else
            t.reserved = bounded(t.reserved + amount(l))
        end
        fields[2 * i - 1], fields[2 * i] = l.name, tally_text(t)
        local own_s = tally_kept_s(l, t)
        kept_s = kept_s and own_s and math.max(kept_s, own_s)
    end
    local left_s = redis.call('TTL', user)
    redis.call('HSET', user, unpack(fields))
    live(user, left_s, kept_s)
end

-- Counted before it is recorded: should the server refuse a command in between, nobody gets more.
if redis.call('GETRANGE', upload_key(file_arg(1, 1)), 0, 0) == 'x' then
    return answer(GIVEN_UP)
end
if n_limits > 0 then
    take()
end
for i = 1, n_files do
    if again then
        reserve_again(again[i], i)
    else
        reserve_fresh(i)
    end
end
if idem ~= '' and not again then
    remember_key()
end
redis.call('EXPIRE', due, DUE_KEPT_S)
if again and has_open then
    count_open()
end
return answer(OK)
