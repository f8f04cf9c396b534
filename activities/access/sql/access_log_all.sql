-- Who looked at personal facts, found cases by a number, or searched: the last first, with the numbers of the cases.
--  $1 before which look   $2 by whom   $3 case   $4 from   $5 until before; each or null   $6 limit
SELECT look.id, look.case_id, look.caller, look.role, look.masked, look.by_phone, look.at, file.kind, file.number
FROM personal_look AS look LEFT JOIN case_file AS file USING (case_id)
WHERE ($1::bigint IS NULL OR look.id < $1)
  AND ($2::text[] IS NULL OR look.caller = ANY ($2))
  AND ($3::text IS NULL OR look.case_id = $3)
  AND tstzrange($4, $5) @> look.at
ORDER BY look.id DESC
LIMIT $6
