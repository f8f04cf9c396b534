-- Take the message that has waited longest, for a minute: whoever took it and died has it taken by another one then.
UPDATE incoming_message
SET try_at = now() + interval '1 minute'
WHERE id = (
    SELECT id FROM incoming_message
    WHERE state = 'new' AND try_at <= now() AND NOT EXISTS (SELECT FROM casebook_recovery)
    ORDER BY try_at, id
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING id, digest, content, case_id, handled_by, came_at
