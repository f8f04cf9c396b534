-- Move heads: $1 case ids   $2 numbers   $3 seqs   $4 hashes
INSERT INTO checkpoint_head (case_id, number, seq, hash)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[])
ON CONFLICT (case_id) DO UPDATE SET number = excluded.number, seq = excluded.seq, hash = excluded.hash
