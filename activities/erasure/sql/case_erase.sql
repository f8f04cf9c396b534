-- Erase what the case $1 holds of persons, and append the event that says so; it is locked.
--  $2 view   $3 seq   $4 at   $5 recorded_at   $6 body   $7 prev_hash   $8 hash   $9 type
WITH filed AS (
    -- No run records for it any more.
    UPDATE case_file SET view = $2, head_seq = $3, head_hash = $8, updated_at = $4, held_by = 'erased' WHERE case_id = $1
), appended AS (
    INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)
    VALUES ($1, $3, $9, $4, $5, $6, $7, $8)
), facts AS (
    UPDATE personal
    SET facts = NULL, salt = NULL, intake_salt = NULL, intake_digest = NULL, phone_hash = NULL, erased_at = now()
    WHERE case_id = $1 AND erased_at IS NULL
), drafts AS (
    -- What somebody has typed of the same customer.
    DELETE FROM draft USING personal AS p
    WHERE p.case_id = $1
      AND (draft.phone_hash = p.phone_hash OR draft.customer_ref = p.facts -> 'customer' ->> 'ref'
           OR lower(draft.typed -> 'customer.email' ->> 0) = lower(p.facts -> 'customer' ->> 'email'))
), texts AS (
    UPDATE case_text SET salt = NULL, text = NULL WHERE case_id = $1 AND text IS NOT NULL
), messages AS (
    DELETE FROM customer_message WHERE case_id = $1
), incoming AS (
    -- What the same customer has written and nobody has dealt with.
    UPDATE incoming_message
    SET state = 'handled', content = NULL, files = NULL, outcome = 'erased', handled_at = now()
    FROM personal AS p
    WHERE p.case_id = $1 AND incoming_message.content IS NOT NULL
      AND (incoming_message.case_id = $1
           OR incoming_message.content -> 'sender' ->> 'email' = lower(p.facts -> 'customer' ->> 'email')
           OR phone_hash(incoming_message.content -> 'sender' ->> 'phone') = p.phone_hash
           OR incoming_message.content -> 'sender' ->> 'ref' = p.facts -> 'customer' ->> 'ref')
), accounts AS (
    UPDATE payee SET details = NULL, salt = NULL, erased_at = now() WHERE case_id = $1 AND erased_at IS NULL
)
-- What recognizes contents that were sent.
DELETE FROM case_request WHERE case_id = $1
