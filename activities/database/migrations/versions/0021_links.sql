-- The cases that somebody linked to another one, by that one. Few are, so the index is small.
CREATE INDEX case_file_links ON case_file USING gin ((view -> 'links') jsonb_path_ops)
    WHERE view -> 'links' <> '[]';
