-- Record the events of whole steps: ledger, case file and all that is read off them, or nothing at all.
-- It takes effect only where the chain still ends at ($4, $5) and no other run than $20 holds the case; otherwise
-- nothing is filed. At seq 0 the case is opened: it takes over the number that it was given before an older
-- casebook was restored, or gets the next one of its kind and month, for which it waits while cases recover. With $35
-- an event says its number, which it gets by number_file.sql.
--
--  $1 case id   $2 kind   $3 view   $4 seq and $5 hash of the present head
--  $6 seqs   $7 types   $8 ats   $9 recorded_ats   $10 bodies   $11 prev_hashes   $12 hashes
--  $13 year and $14 month of the number   $15 personal facts or null
--  $16 policy document or null   $17 its hash
--  $18 serial of the number to be taken over, or null   $19 the number that another case has got meanwhile, or null
--  $20 run
--  $21 seqs   $22 fields   $23 salts   $24 texts
--  $25 seqs   $26 ids   $27 salts   $28 digests of requests
--  $29 salt and $30 digest of the intake, or null   $31 salt of the personal facts, or null
--  $32 first seqs   $33 last seqs   $34 bodies of proofs of senders   $35 whether an event says the number
WITH head AS (
    SELECT ($6::int[])[cardinality($6)] AS seq,
           ($12::bytea[])[cardinality($12)] AS hash,
           ($8::timestamptz[])[cardinality($8)] AS at
), stand AS (
    SELECT * FROM jsonb_to_record($3::jsonb) AS v(
        status text, rung text, holder text, unit text, severity text, policy text,
        opened_at timestamptz, closed_at timestamptz, next_due timestamptz, breached text[])
), recovery AS (
    SELECT EXISTS (SELECT FROM casebook_recovery)
           AND $18::int IS NULL AND $19::text IS NULL AND NOT $35::boolean AS waits
), counted AS (
    -- The row lock makes the numbers gap-free: a second opening waits until this one is committed.
    INSERT INTO case_number AS n (kind, year, month, serial)
    SELECT $2, $13::int, $14::int, coalesce($18::int, 1) FROM recovery
    WHERE $4::int = 0 AND NOT waits AND NOT $35::boolean
    ON CONFLICT (kind, year, month) DO UPDATE
    SET serial = CASE WHEN $18::int IS NULL THEN n.serial + 1 ELSE greatest(n.serial, $18::int) END
    RETURNING case_number_text(n.year, n.month, coalesce($18::int, n.serial)) AS number
), numbered AS (
    SELECT number FROM counted UNION ALL SELECT NULL WHERE $4::int = 0 AND $35::boolean
), opened AS (
    INSERT INTO case_file (
        case_id, kind, number, numbered_later, status, rung, holder, unit, severity, policy,
        opened_at, updated_at, closed_at, next_due, breached, view, head_seq, head_hash, held_by)
    SELECT $1, $2, c.number, $35::boolean, s.status, s.rung, s.holder, s.unit, s.severity, s.policy,
           coalesce(s.opened_at, ($8::timestamptz[])[1]), h.at, s.closed_at, s.next_due,
           coalesce(s.breached, '{}'), $3::jsonb || jsonb_build_object('number', c.number), h.seq, h.hash, $20::text
    FROM numbered AS c, stand AS s, head AS h
    RETURNING number
), given AS (
    INSERT INTO case_number_given (kind, number, case_id)
    SELECT $2, number, $1 FROM opened WHERE number IS NOT NULL
    UNION ALL SELECT $2, $19::text, $1 FROM opened WHERE $19::text IS NOT NULL
    ON CONFLICT DO NOTHING
), continued AS (
    UPDATE case_file AS f SET
        status = s.status, rung = s.rung, holder = s.holder, unit = s.unit, severity = s.severity,
        policy = s.policy, opened_at = coalesce(s.opened_at, f.opened_at), updated_at = h.at,
        closed_at = s.closed_at, next_due = s.next_due, breached = coalesce(s.breached, '{}'),
        view = $3::jsonb || jsonb_build_object('number', f.number), head_seq = h.seq, head_hash = h.hash,
        held_by = $20::text
    FROM stand AS s, head AS h
    WHERE f.case_id = $1 AND f.head_seq = $4 AND f.head_hash = $5::bytea
      AND coalesce(f.held_by, $20::text) = $20::text
    RETURNING f.number
), filed AS (
    SELECT number FROM opened UNION ALL SELECT number FROM continued
), fresh AS (
    SELECT e.*
    FROM filed, unnest($6::int[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::text[],
                       $11::bytea[], $12::bytea[])
         AS e(seq, type, at, recorded_at, body, prev_hash, hash)
), appended AS (
    INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)
    -- Sorted, so that the order in which others read them is theirs.
    SELECT $1, seq, type, at, recorded_at, body, prev_hash, hash FROM fresh ORDER BY seq
), wrote AS (
    INSERT INTO case_text (case_id, seq, field, salt, text)
    SELECT $1, t.*
    FROM filed, unnest($21::int[], $22::text[], $23::bytea[], $24::text[]) AS t(seq, field, salt, text)
), answered AS (
    INSERT INTO case_request (case_id, seq, request_id, salt, digest)
    SELECT $1, r.*
    FROM filed, unnest($25::int[], $26::text[], $27::bytea[], $28::bytea[]) AS r(seq, request_id, salt, digest)
    -- A run remembers so many requests only; one that it has forgotten may come again.
    ON CONFLICT (case_id, request_id) DO UPDATE
    SET seq = excluded.seq, salt = excluded.salt, digest = excluded.digest
), proven AS (
    INSERT INTO case_proof (case_id, first, seq, body)
    SELECT $1, p.*
    FROM filed, unnest($32::int[], $33::int[], $34::text[]) AS p(first, seq, body)
), told AS (
    INSERT INTO notification (
        case_id, seq, notice, roles, outcome, channel, at, id, meant, attempts, reasons, remarks)
    SELECT $1, seq, data ->> 'notice', ARRAY(SELECT jsonb_array_elements_text(data -> 'roles')),
           data ->> 'outcome', coalesce(data ->> 'channel', ''), at,
           $1 || '/' || (data ->> 'of') || '/' || (data ->> 'notice') || coalesce('/' || (data ->> 'no'), ''),
           coalesce(data -> 'meant', '[]'),
           coalesce(data -> 'attempts', '[]'), coalesce(data -> 'reasons', '{}'), coalesce(data -> 'remarks', '[]')
    FROM (SELECT seq, at, body::jsonb -> 'data' AS data FROM fresh WHERE type = 'notified') AS n
), settled AS (
    -- By a gateway, whose proof names a booking if it is ours; or by hand.
    SELECT at, (data ->> 'amount')::numeric AS amount, data ->> 'reference' AS reference, by_gateway,
           CASE WHEN by_gateway AND NOT EXISTS (
               SELECT FROM payout WHERE case_id = $1 AND gateway NOT IN ('ledger', '')
           ) THEN substring(data ->> 'reference' FROM '^LEDGER-([1-9][0-9]{0,17})$')::bigint END AS booking
    FROM (
        SELECT at, body::jsonb -> 'data' AS data, body::jsonb -> 'actor' ->> 'role' = 'system' AS by_gateway
        FROM fresh WHERE type = 'paid' ORDER BY seq LIMIT 1
    ) AS e
), booked AS (
    -- There already, unless an older casebook was restored.
    -- From here on nobody else takes a number or moves the counter, so that it is never taken back.
    INSERT INTO payout_booking (number, key, case_id, amount, booked_at) OVERRIDING SYSTEM VALUE
    SELECT booking, $1 || '/payout', $1, amount, at
    FROM (SELECT *, pg_advisory_xact_lock(27424450402154854) FROM settled WHERE booking IS NOT NULL OFFSET 0) AS s
    ON CONFLICT DO NOTHING
    RETURNING number
), raised AS (
    -- No later payment gets the number a second time.
    SELECT payout_booking_raise(number) FROM booked
), paid AS (
    -- What a gateway paid, the book knows already, unless an older one was restored; which gateway it was, only a
    -- booking tells. What finance confirmed by hand it learns here, so that an order under way or still to come
    -- finds it paid, and nobody pays a second time.
    INSERT INTO payout AS p (key, case_id, amount, state, reference, requested_at, settled_at, gateway, payee)
    SELECT $1 || CASE WHEN by_gateway THEN '/payout' ELSE '/by-hand' END, $1, amount, 'paid', reference, at, at,
           CASE WHEN booking IS NOT NULL THEN 'ledger' WHEN by_gateway THEN '' ELSE 'manual' END,
           coalesce((SELECT body::jsonb -> 'data' ->> 'payee' FROM case_event
                     WHERE case_id = $1 AND type = 'payout_requested' ORDER BY seq DESC LIMIT 1), '')
    FROM settled
    ON CONFLICT (case_id) DO UPDATE
    SET state = 'paid', reference = excluded.reference, reason = '', settled_at = excluded.settled_at,
        -- What finance paid by hand may be of a later agreement than the order that was left to it.
        amount = excluded.amount, payee = coalesce(nullif(excluded.payee, ''), p.payee),
        gateway = coalesce(nullif(excluded.gateway, ''), p.gateway)
    WHERE p.state <> 'paid'
), kept AS (
    INSERT INTO personal (case_id, facts, salt, intake_salt, intake_digest, phone_hash)
    SELECT $1, $15::jsonb, $31::bytea, $29::bytea, $30::bytea, phone_hash($15::jsonb -> 'customer' ->> 'phone')
    FROM opened WHERE $15::jsonb IS NOT NULL OR $30::bytea IS NOT NULL
), pinned AS (
    INSERT INTO policy (hash, name, document)
    SELECT $17::text, s.policy, $16::text FROM filed, stand AS s WHERE $16::text IS NOT NULL
    ON CONFLICT (hash) DO NOTHING
)
SELECT (SELECT number FROM filed) AS number, EXISTS (SELECT FROM filed) AS filed, recovery.waits,
       (SELECT count(*) FROM raised) AS bookings
FROM recovery
