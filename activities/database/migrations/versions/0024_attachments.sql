-- Attachments that were uploaded: which content in the store belongs to which case. Their names are texts of events.

CREATE TABLE attachment (
    id       text PRIMARY KEY,
    case_id  text COLLATE "C" NOT NULL,
    sha256   text             NOT NULL,
    size     bigint           NOT NULL,
    added_at timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX attachment_case ON attachment (case_id);
COMMENT ON TABLE attachment IS 'Which content in the store of attachments belongs to which case; gone once its content is.';
