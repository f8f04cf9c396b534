-- Write down an order before it is carried out, for the run that holds the case and while no cases recover. One row:
-- whether what asks for it is recorded, whether the run holds it, whether cases recover, and the order; its columns are
-- null when it was not written, or the key or the case has one already.
-- $1 key   $2 case   $3 amount   $4 now   $5 gateway   $6 run   $7 seq of what asks for it   $8 payee
WITH file AS (
    -- Locked, so that whoever takes the case over waits, or has done so.
    SELECT head_seq >= $7::int AS recorded, coalesce(held_by, $6) = $6 AS held
    FROM case_file WHERE case_id = $2 FOR SHARE
), stand AS (
    SELECT coalesce((SELECT recorded FROM file), false) AS recorded,
           coalesce((SELECT held FROM file), false) AS held, EXISTS (SELECT FROM casebook_recovery) AS recovering
), ordered AS (
    INSERT INTO payout (key, case_id, amount, state, requested_at, gateway, payee)
    SELECT $1, $2, $3, 'requested', $4, $5, $8 FROM stand WHERE recorded AND held AND NOT recovering
    ON CONFLICT DO NOTHING
    RETURNING *
)
SELECT s.*, o.* FROM stand AS s LEFT JOIN ordered AS o ON true
