-- upload - one upload: look at it, cancel, complete or settle it.
-- ARGV: [4] the verb, [5] the id, [6] "there", "missing" or "unknown", [7] size, [8] etag,
-- [9] the second in which the asking began, by the clock of whoever asks.
-- Answer: outcome, the time, the state's word, then the upload (upload_row).

local u = upload_load(ARGV[5])
if not u then
    return { NOT_FOUND, now_s, '' }
end
local presence, size, etag, asker_s = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])

local function see()
    u.size, u.etag = size, etag
end

local verbs = {}

function verbs.view()
    return OK
end

function verbs.cancel()
    if u.state == 'completed' then
        return STATE
    end
    if u.state ~= 'cancelled' then
        u.state = 'cancelled'
        upload_close(u)
        upload_save(u)
    end
    return OK
end

function verbs.complete()
    if u.state == 'cancelled' then
        return STATE
    end
    -- what was seen before the packet's death may be overwritten until then: the sweeper looks again
    local dead = is_dead(u, asker_s)
    if u.state ~= 'completed' or (dead and u.size ~= size) then
        u.state = 'completed'
        see()
        upload_close(u)
    end
    if dead then
        upload_settle(u, 1, tonumber(size))
        upload_not_due(u)
    end
    upload_save(u)
    return OK
end

function verbs.settle()
    if not is_dead(u, asker_s) or (u.charge ~= 'reserved' and u.state ~= 'granted') then
        return OK
    end
    if presence == 'there' then
        upload_settle(u, 1, tonumber(size))
        if u.state == 'granted' or (u.state == 'completed' and u.size ~= size) then
            u.state = 'completed'
            see()
        end
    elseif presence == 'unknown' and u.handed and u.release ~= '1' then
        upload_settle(u, 1, tonumber(u.bytes))
    else
        upload_settle(u, 0, 0)
    end
    if u.state == 'granted' then
        u.state = 'expired'
    end
    upload_close(u)
    upload_not_due(u)
    upload_save(u)
    return OK
end

local outcome = verbs[ARGV[4]]()
return upload_row({ outcome, now_s, u.state }, u)
