-- Cases that are behind what the last checkpoint has of them, or another one: the cheap look at what it covers.
SELECT h.case_id, h.number, h.seq, case_number_signed(f.number, f.numbered_later) AS number_now, f.head_seq,
       e.hash IS NOT DISTINCT FROM h.hash AS same
FROM checkpoint_head AS h
LEFT JOIN case_file AS f ON f.case_id = h.case_id
LEFT JOIN case_event AS e ON e.case_id = h.case_id AND e.seq = h.seq
WHERE f.case_id IS NULL OR case_number_signed(f.number, f.numbered_later) IS DISTINCT FROM h.number
   OR f.head_seq < h.seq OR e.hash IS DISTINCT FROM h.hash
ORDER BY h.case_id
