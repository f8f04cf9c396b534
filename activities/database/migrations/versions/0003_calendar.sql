-- In the database, since every worker sees it, and nothing else must be there when one starts.

CREATE TABLE calendar_year (
    year      integer     PRIMARY KEY CHECK (year BETWEEN 2000 AND 9998),
    -- source, holidays, make_up_days
    published jsonb       NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE calendar_year IS
    'Working days as published: these years are over those that came with the program. A case keeps those it began with.';
