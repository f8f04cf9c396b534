-- Bytes that the files of messages take that are not on a case yet. What is handled has none, so that only the rows of
-- the two small indexes are looked at; and no content is read for its size.
SELECT coalesce(sum(pg_column_size(files)), 0) FROM incoming_message WHERE state = 'new' OR state = 'open'
