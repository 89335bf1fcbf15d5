-- release - the packets of a request were never handed out: what it took is given back.
--
-- ARGV: [4] the request's token (the id it made for its first file), [5] Idempotency-Key or "", then
-- the ids it made. Each upload knows who holds it; the last one who lets go removes it. Safe to say
-- twice, and before the request itself arrives: then that one takes nothing (GIVEN_UP).

local token, idem = ARGV[4], ARGV[5]

local heard = false -- the request was here

local function let_go(id)
    local u = upload_load(id)
    if not u then
        return
    end
    local others = {}
    for _, holder in ipairs(u.holders) do
        if holder ~= token then
            others[#others + 1] = holder
        end
    end
    if #others == #u.holders then
        return
    end
    heard = true
    if u.many then
        return
    end
    if #others > 0 then
        u.holders = others
        upload_save(u)
        return
    end
    upload_settle(u, 0, 0)
    upload_close(u)
    upload_not_due(u)
    redis.call('DEL', upload_key(id))
    if u.idem ~= '' then
        local text = redis.call('GET', user .. ':i:' .. u.idem)
        if text and string.find(text, id, 1, true) then
            redis.call('DEL', user .. ':i:' .. u.idem)
        end
    end
end

if idem ~= '' then
    local text = redis.call('GET', user .. ':i:' .. idem)
    local ids = text and cjson.decode(text).ids or {}
    for i = 1, #ids, 2 do
        let_go(ids[i])
    end
end
for i = 6, #ARGV do
    let_go(ARGV[i])
end
if not heard then
    redis.call('SET', upload_key(token), 'x', 'EX', whole(NEVER_S), 'NX')
end
return { OK }
