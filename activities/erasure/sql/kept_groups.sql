-- By which policies cases of which kinds have closed that are not erased.
SELECT policy, kind FROM case_file WHERE closed_at IS NOT NULL AND held_by IS DISTINCT FROM 'erased'
GROUP BY policy, kind ORDER BY policy, kind
