-- What waits for somebody is found without reading every open case: each list of Now is asked for anew whenever something happens.

CREATE INDEX case_file_untaken ON case_file (rung) WHERE closed_at IS NULL AND view @> '{"acknowledged": false}';
CREATE INDEX case_file_asking ON case_file (case_id) WHERE closed_at IS NULL AND view @> '{"approvals": [{"state": "open"}]}';
CREATE INDEX case_file_waiting ON case_file (case_id) WHERE closed_at IS NULL AND view @> '{"waits_for": [{}]}';
