-- The cases of a parcel, a customer or an order among those that may be seen, open ones first, then the newest; and by
-- what each was found. With $7 who looks by a number or a mail address is logged with it: for each case that has it; a
-- look by a number that none has is logged once.
--  $1 units and $2 kinds that may be seen   $3 waybill   $4 number   $5 reference of the customer   $6 order, or null each
--  $7 whether to log   $8 caller   $9 role   $10 limit   $11 mail address of the customer, or null
WITH hit AS (
    SELECT case_id, 'waybill' AS why FROM case_search WHERE upper(waybill) = upper($3::text)
    UNION ALL SELECT case_id, 'phone' FROM personal WHERE phone_hash = phone_hash($4::text)
    UNION ALL SELECT case_id, 'ref' FROM personal WHERE facts -> 'customer' ->> 'ref' = $5::text
    UNION ALL SELECT case_id, 'email' FROM personal
              WHERE lower(facts -> 'customer' ->> 'email') = lower($11::text)
                AND facts -> 'customer' ->> 'email' IS NOT NULL
    UNION ALL SELECT case_id, 'order_number' FROM case_file
              WHERE upper(view -> 'facts' ->> 'order_number') = upper($6::text)
), found AS MATERIALIZED (
    SELECT file.case_id, array_agg(DISTINCT hit.why) AS why, file.closed_at IS NOT NULL AS closed, file.opened_at
    FROM hit JOIN case_file AS file USING (case_id)
    WHERE ($1::text[] IS NULL OR coalesce(file.unit, '') = ANY ($1))
      AND ($2::text[] IS NULL OR file.kind = ANY ($2))
    GROUP BY file.case_id
    ORDER BY closed, file.opened_at DESC, file.case_id
    LIMIT $10
), look AS (
    INSERT INTO personal_look (case_id, caller, role, masked, by_phone)
    SELECT case_id, $8, $9, true, true FROM found WHERE $7::boolean AND why && ARRAY['phone', 'email']
    UNION ALL
    SELECT '', $8, $9, true, true
    WHERE $7::boolean AND $4 IS NOT NULL AND NOT EXISTS (SELECT FROM found WHERE 'phone' = ANY (why))
)
SELECT file.view, found.why
FROM found JOIN case_file AS file USING (case_id)
ORDER BY found.closed, found.opened_at DESC, found.case_id
