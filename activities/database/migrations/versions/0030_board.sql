-- The ladder counts the open cases of each rung and shows those that are due first: both without reading the cases.
CREATE INDEX case_file_board ON case_file (rung, next_due, case_id) INCLUDE (unit, kind, breached)
    WHERE closed_at IS NULL AND status = 'open';
