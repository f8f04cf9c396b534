-- What the person $1 has under way, the last changed first, or the one with the key $2.
SELECT key, kind, began_at, changed_at, typed FROM draft
WHERE person = $1 AND typed IS NOT NULL AND changed_at > now() - interval '7 days' AND ($2::text IS NULL OR key = $2)
ORDER BY changed_at DESC
LIMIT 50
