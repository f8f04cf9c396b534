-- Record the events of one step: ledger, case file and all that is read off them, or nothing at all.
-- It takes effect only where the chain still ends at ($4, $5); otherwise it returns no row.
-- At seq 0 the case is opened: it gets the next number of its kind and month.
--
--  $1 case id   $2 kind   $3 view   $4 seq and $5 hash of the present head
--  $6 seqs   $7 types   $8 ats   $9 recorded_ats   $10 bodies   $11 prev_hashes   $12 hashes
--  $13 year and $14 month of the opening   $15 personal facts or null
--  $16 policy document or null   $17 its hash
WITH head AS (
    SELECT ($6::int[])[cardinality($6)] AS seq,
           ($12::bytea[])[cardinality($12)] AS hash,
           ($8::timestamptz[])[cardinality($8)] AS at
), stand AS (
    SELECT * FROM jsonb_to_record($3::jsonb) AS v(
        status text, rung text, holder text, unit text, severity text, policy text,
        opened_at timestamptz, closed_at timestamptz, next_due timestamptz, breached text[])
), counted AS (
    -- The row lock makes the numbers gap-free: a second opening waits until this one is committed.
    INSERT INTO case_number AS n (kind, year, month, serial)
    SELECT $2, $13::int, $14::int, 1 WHERE $4::int = 0
    ON CONFLICT (kind, year, month) DO UPDATE SET serial = n.serial + 1
    RETURNING case_number_text(n.year, n.month, n.serial) AS number
), opened AS (
    INSERT INTO case_file (
        case_id, kind, number, status, rung, holder, unit, severity, policy,
        opened_at, updated_at, closed_at, next_due, breached, view, head_seq, head_hash)
    SELECT $1, $2, c.number, s.status, s.rung, s.holder, s.unit, s.severity, s.policy,
           coalesce(s.opened_at, ($8::timestamptz[])[1]), h.at, s.closed_at, s.next_due,
           coalesce(s.breached, '{}'), $3::jsonb || jsonb_build_object('number', c.number), h.seq, h.hash
    FROM counted AS c, stand AS s, head AS h
    RETURNING number
), continued AS (
    UPDATE case_file AS f SET
        status = s.status, rung = s.rung, holder = s.holder, unit = s.unit, severity = s.severity,
        policy = s.policy, opened_at = coalesce(s.opened_at, f.opened_at), updated_at = h.at,
        closed_at = s.closed_at, next_due = s.next_due, breached = coalesce(s.breached, '{}'),
        view = $3::jsonb || jsonb_build_object('number', f.number), head_seq = h.seq, head_hash = h.hash
    FROM stand AS s, head AS h
    WHERE f.case_id = $1 AND f.head_seq = $4 AND f.head_hash = $5::bytea
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
), told AS (
    INSERT INTO notification (
        case_id, seq, notice, roles, outcome, channel, at, id, meant, attempts, reasons, remarks)
    SELECT $1, seq, data ->> 'notice', ARRAY(SELECT jsonb_array_elements_text(data -> 'roles')),
           data ->> 'outcome', coalesce(data ->> 'channel', ''), at,
           $1 || '/' || (data ->> 'of') || '/' || (data ->> 'notice'), coalesce(data -> 'meant', '[]'),
           coalesce(data -> 'attempts', '[]'), coalesce(data -> 'reasons', '{}'), coalesce(data -> 'remarks', '[]')
    FROM (SELECT seq, at, body::jsonb -> 'data' AS data FROM fresh WHERE type = 'notified') AS n
), paid AS (
    -- What a gateway paid, the book knows already. What finance confirmed by hand it learns here, so
    -- that an order under way or still to come finds it paid, and nobody pays a second time.
    INSERT INTO payout AS p (key, case_id, amount, state, reference, requested_at, settled_at, gateway)
    SELECT $1 || '/by-hand', $1, (data ->> 'amount')::numeric, 'paid', data ->> 'reference', at, at, 'manual'
    FROM (SELECT at, body::jsonb -> 'data' AS data FROM fresh WHERE type = 'paid' ORDER BY seq LIMIT 1) AS e
    ON CONFLICT (case_id) DO UPDATE
    SET state = 'paid', reference = excluded.reference, reason = '', settled_at = excluded.settled_at,
        gateway = 'manual'
    WHERE p.state <> 'paid'
), kept AS (
    INSERT INTO personal (case_id, facts)
    SELECT $1, $15::jsonb FROM opened WHERE $15::jsonb IS NOT NULL
), pinned AS (
    INSERT INTO policy (hash, name, document)
    SELECT $17::text, s.policy, $16::text FROM filed, stand AS s WHERE $16::text IS NOT NULL
    ON CONFLICT (hash) DO NOTHING
)
SELECT number FROM filed
