-- By which policies cases of which kinds have closed.
SELECT policy, kind FROM case_file WHERE closed_at IS NOT NULL GROUP BY policy, kind ORDER BY policy, kind
