-- base - what the scripts of the ledger stand on; each is this text and its own (scripts.c).
--
-- KEYS[1] is the user, "<prefix>{<user_hash>}"; what else belongs to the user has the same hash tag:
--   <user>          hash: limit name -> "kind start used reserved tat"
--   <user>:o        sorted set: open uploads by the end of their packets
--   <user>:u:<id>   text: an upload ("+" handed out, "-" not, then JSON), or "x": never to be made
--   <user>:i:<key>  text: what was granted under an Idempotency-Key (JSON)
--   <prefix>due     sorted set: "<user_hash>:<id>" by the time from which a packet is dead
-- ARGV[1] is the time in microseconds, or "" for the server's; ARGV[2] the key of what is due;
-- ARGV[3] the user's hash. Numbers that are stored are decimal texts below 2^53: cjson would round.

local GRACE_S, KEPT_S, IDEM_S = 60, 86400, 86400
local UNSETTLED_KEPT_S = 30 * 86400 -- a reservation nobody came to settle
local NEVER_S = 900                 -- no request that was given up arrives after this
local NUMBER_MAX = 9007199254740991
local HOLDERS_MAX, LIMITS_MAX = 16, 16
local UPLOAD_TEXT_MAX = 65536       -- no upload of ours is longer

local OK, NOT_FOUND, STATE, CONFLICT, REFUSED, GIVEN_UP = 0, 1, 2, 3, 4, 5

local user, due, user_hash = KEYS[1], ARGV[2], ARGV[3]

local now_us = tonumber(ARGV[1])
if not now_us then
    local t = redis.call('TIME')
    now_us = t[1] * 1000000 + t[2]
end
local now_s = (now_us - math.fmod(now_us, 1000000)) / 1000000

local function whole(n)
    return string.format('%.0f', n)
end

local function bounded(n)
    return math.min(math.max(n, 0), NUMBER_MAX)
end

-- tallies

local LIMIT_KINDS = { rate = true, count = true, bytes = true, open = true }

local function tally_read(name, text)
    local kind, start, used, reserved, tat =
        string.match(text or '', '^(%a+) (%d+) (%d+) (%d+) (%d+)$')
    if not LIMIT_KINDS[kind] then
        return nil
    end
    return { name = name, kind = kind, start = bounded(tonumber(start)),
             used = bounded(tonumber(used)), reserved = bounded(tonumber(reserved)),
             tat = bounded(tonumber(tat)) }
end

local function tally_text(t)
    return string.format('%s %.0f %.0f %.0f %.0f', t.kind, t.start, t.used, t.reserved, t.tat)
end

local function tally_load(name)
    return tally_read(name, redis.call('HGET', user, name))
end

local function tally_save(t)
    redis.call('HSET', user, t.name, tally_text(t))
end

-- uploads

local function upload_key(id)
    return user .. ':u:' .. id
end

-- The packet was dated by the clock of whoever asks: where that differs, the slower one decides.
local function is_dead(u, asker_s)
    return math.min(now_s, asker_s) >= u.expires + GRACE_S
end

-- What an upload is made of, besides its lists; "many" may be missing.
local UPLOAD_TEXTS = { 'profile', 'bucket', 'bucket_name', 'key', 'type', 'etag', 'idem', 'post',
                       'exact', 'release', 'place' }
local UPLOAD_NUMBERS = { bytes = 0, created = 0, expires = 0, taken = 0, length = -1, size = -1 }
local UPLOAD_STATES = { granted = true, completed = true, cancelled = true, expired = true }
local UPLOAD_CHARGES = { [''] = true, reserved = true, used = true }

local function is_number(text, least)
    if type(text) ~= 'string' or not string.match(text, '^%-?%d+$') then
        return false
    end
    local n = tonumber(text)
    return n >= least and n <= NUMBER_MAX
end

local function is_list(t, most)
    if type(t) ~= 'table' or #t > most then
        return false
    end
    for i, v in pairs(t) do
        if type(i) ~= 'number' or i > #t or type(v) ~= 'string' then
            return false
        end
    end
    return true
end

local function are_charges(t)
    if not is_list(t, 3 * LIMITS_MAX) or #t % 3 ~= 0 then
        return false
    end
    for i = 3, #t, 3 do
        if not is_number(t[i], 0) then
            return false
        end
    end
    return true
end

local function is_upload(u)
    if type(u) ~= 'table' or not UPLOAD_STATES[u.state] or not UPLOAD_CHARGES[u.charge] then
        return false
    end
    for _, name in ipairs(UPLOAD_TEXTS) do
        if type(u[name]) ~= 'string' then
            return false
        end
    end
    for name, least in pairs(UPLOAD_NUMBERS) do
        if not is_number(u[name], least) then
            return false
        end
    end
    return are_charges(u.charges) and is_list(u.holders, HOLDERS_MAX)
end

-- Another kind of key holds no text. Other errors (a right that is missing, a slot elsewhere) say
-- nothing about what is there: they end the script.
local function text_of(key)
    local text = redis.pcall('GET', key)
    if type(text) == 'table' and not string.find(text.err, 'WRONGTYPE', 1, true) then
        return redis.call('GET', key)
    end
    return text
end

-- nil when there is none, or nothing that one of these scripts wrote.
local function upload_read(id)
    local text = text_of(upload_key(id))
    if type(text) ~= 'string' or #text < 2 or #text > UPLOAD_TEXT_MAX then
        return nil
    end
    local read, u = pcall(cjson.decode, string.sub(text, 2))
    return read and is_upload(u) and u or nil, text
end

-- nil also for one that ended so long ago that it is forgotten.
local function upload_load(id)
    local u, text = upload_read(id)
    if not u then
        return nil
    end
    u.id = id
    u.handed = string.sub(text, 1, 1) == '+'
    local ended = u.state ~= 'granted' and u.charge ~= 'reserved'
    if ended and now_s >= u.expires + GRACE_S + KEPT_S then
        return nil
    end
    return u
end

local function upload_save(u)
    local id, mark = u.id, u.handed and '+' or '-'
    u.id, u.handed = nil, nil
    local text = mark .. cjson.encode(u)
    u.id, u.handed = id, mark == '+'
    local kept_s = u.charge == 'reserved' and UNSETTLED_KEPT_S or KEPT_S
    local ttl = whole(math.max(u.expires + GRACE_S + kept_s - now_s, 1))
    redis.call('SET', upload_key(id), text, 'EX', ttl)
end

local function upload_close(u)
    redis.call('ZREM', user .. ':o', u.id)
end

local function upload_not_due(u)
    redis.call('ZREM', due, user_hash .. ':' .. u.id)
end

-- Changes the tallies an upload was charged to, as long as they are of the same window.
local function upload_charge(u, held, used_files, used_bytes)
    for i = 1, #u.charges, 3 do
        local t = tally_load(u.charges[i])
        local of_bytes = u.charges[i + 1] == 'bytes'
        if t and t.kind == u.charges[i + 1] and t.start == tonumber(u.charges[i + 2]) then
            if held then
                t.reserved = bounded(t.reserved - (of_bytes and u.bytes or 1))
            end
            t.used = bounded(t.used + (of_bytes and used_bytes or used_files))
            tally_save(t)
        end
    end
end

-- A reservation ends, or what was settled before is set right: `files` and `bytes` are used.
local function upload_settle(u, files, bytes)
    if #u.charges == 0 then
        return
    end
    local before_files, before_bytes = 0, 0
    if u.charge == 'used' then
        before_files, before_bytes = 1, u.taken
    end
    upload_charge(u, u.charge == 'reserved', files - before_files, bytes - before_bytes)
    u.charge = files > 0 and 'used' or ''
    u.taken = whole(bytes)
end

local function upload_row(out, u)
    local flags = (u.post == '1' and 1 or 0) + (u.exact == '1' and 2 or 0) +
        (u.release == '1' and 4 or 0) + (u.charge == 'reserved' and 8 or 0)
    local n = #out
    local row = { u.id, user_hash, u.state, u.profile, u.bucket, u.bucket_name, u.key, u.type,
                  u.etag, tonumber(u.length), tonumber(u.bytes), tonumber(u.created),
                  tonumber(u.expires), tonumber(u.size), flags }
    for i = 1, #row do
        out[n + i] = row[i]
    end
    return out
end
