-- The ledger case by case: all of it, the case $1, or with $2 those cases that are not as the last checkpoint has them.
-- In one piece each, since a row for each event takes several times as long to read. A body holds no line feed and a
-- type no space; where one does, the numbers differ and the rows are looked at one by one. With $3 also what is
-- derived from the events.
SELECT e.case_id, count(*) AS count, max(e.seq) AS last,
       string_agg(e.body, E'\n' ORDER BY e.seq) AS bodies,
       string_agg(e.type, ' ' ORDER BY e.seq) AS types,
       array_agg(date_part('epoch', e.at) ORDER BY e.seq) AS at,
       array_agg(date_part('epoch', e.recorded_at) ORDER BY e.seq) AS recorded_at,
       string_agg(e.prev_hash, '' ORDER BY e.seq) AS prev_hashes,
       string_agg(e.hash, '' ORDER BY e.seq) AS hashes,
       (SELECT f.head_seq FROM case_file AS f WHERE f.case_id = e.case_id) AS head_seq,
       (SELECT f.head_hash FROM case_file AS f WHERE f.case_id = e.case_id) AS head_hash,
       (SELECT jsonb_agg(jsonb_build_array(t.seq, t.field, encode(t.salt, 'hex'), t.text))
        FROM case_text AS t WHERE t.case_id = e.case_id) AS texts,
       CASE WHEN $3::boolean THEN (
           SELECT jsonb_build_object(
               'file', to_jsonb(f),
               'notices', (SELECT jsonb_agg(to_jsonb(n)) FROM notification AS n WHERE n.case_id = e.case_id),
               'payout', (SELECT jsonb_build_object('amount', p.amount::text, 'state', p.state, 'reference', p.reference,
                                                    'payee', p.payee)
                          FROM payout AS p WHERE p.case_id = e.case_id),
               'sent', (SELECT jsonb_agg(jsonb_build_array(s.first, s.seq, s.body) ORDER BY s.seq)
                        FROM case_proof AS s WHERE s.case_id = e.case_id),
               'search', (SELECT to_jsonb(s) FROM case_search AS s WHERE s.case_id = e.case_id),
               'numbers', (SELECT jsonb_agg(g.number) FROM case_number_given AS g
                           WHERE g.kind = f.kind AND g.number = f.number AND g.case_id = e.case_id),
               'personal', (SELECT jsonb_build_object(
                                'facts', q.facts, 'salt', encode(q.salt, 'hex'), 'erased', q.erased_at IS NOT NULL)
                            FROM personal AS q WHERE q.case_id = e.case_id),
               'recognized', EXISTS (SELECT FROM case_request AS r WHERE r.case_id = e.case_id)
                   OR EXISTS (SELECT FROM personal AS q WHERE q.case_id = e.case_id AND q.intake_salt IS NOT NULL))
           FROM case_file AS f WHERE f.case_id = e.case_id) END AS derived
FROM case_event AS e
WHERE ($1::text IS NULL OR e.case_id = $1)
  AND (NOT $2::boolean OR NOT EXISTS (
      SELECT FROM checkpoint_head AS h JOIN case_file AS f USING (case_id)
      WHERE h.case_id = e.case_id AND h.number = case_number_signed(f.number, f.numbered_later) AND f.head_seq = h.seq AND f.head_hash = h.hash))
GROUP BY e.case_id
ORDER BY e.case_id
