-- What became of each notice: its id, who was meant and why, every attempt and its reason.
ALTER TABLE notification
    ADD COLUMN id       text,
    ADD COLUMN meant    jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN attempts jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN reasons  jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN remarks  jsonb NOT NULL DEFAULT '[]';

-- What was recorded before knows its id and its reasons.
UPDATE notification AS n
SET id = n.case_id || '/' || (e.data ->> 'of') || '/' || n.notice, reasons = coalesce(e.data -> 'reasons', '{}')
FROM (SELECT case_id, seq, body::jsonb -> 'data' AS data FROM case_event WHERE type = 'notified') AS e
WHERE e.case_id = n.case_id AND e.seq = n.seq;

CREATE INDEX notification_at ON notification (at DESC);
COMMENT ON COLUMN notification.id IS 'Of the notice: case/seq of its event/name. A notice that was sent again has it twice.';
