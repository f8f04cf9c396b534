-- Numbers that are given after opening (S1-5.8, S1-5.9.3), and absences that a case asked for (S1-1.7).

ALTER TABLE case_file
    ALTER COLUMN number DROP NOT NULL,
    ADD COLUMN numbered_later boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT case_file_numbered CHECK (number IS NOT NULL OR numbered_later);
COMMENT ON COLUMN case_file.numbered_later IS
    'Whether an event of the case says its number, null until then; else it got one at its opening.';

CREATE FUNCTION case_number_signed(number text, numbered_later boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    -- What checkpoints sign beside the events: a number that is said by an event is signed with that.
    RETURN CASE WHEN numbered_later THEN '-' ELSE number END;

-- Runs as the owner: the writer may change no number, and give one only to a case that waits for it. Its body is parsed
-- here, so no name in it is looked up where the caller says.
CREATE FUNCTION case_file_number(of_case text, of_year integer, of_month integer, of_serial integer) RETURNS text
    LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    UPDATE case_file
    SET number = case_number_text(of_year, of_month, of_serial),
        view = view || jsonb_build_object('number', case_number_text(of_year, of_month, of_serial))
    WHERE case_id = of_case AND number IS NULL AND numbered_later;
    SELECT number FROM case_file WHERE case_id = of_case;
END;
REVOKE ALL ON FUNCTION case_file_number(text, integer, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION case_file_number(text, integer, integer, integer) IS 'Give a case the number that its event says.';

-- Which number a case was given.
CREATE INDEX case_number_given_case ON case_number_given (case_id);

ALTER TABLE absence
    ADD COLUMN case_id text COLLATE "C",
    ADD COLUMN seq     integer,
    ADD CONSTRAINT absence_asked_for CHECK ((case_id IS NULL) = (seq IS NULL));
COMMENT ON COLUMN absence.case_id IS 'The case that asked for it, by its event seq; null where a file of staff has it.';

-- The forms that a person filed, which they find wherever they are.
CREATE INDEX case_file_filed_by ON case_file ((view -> 'facts' -> 'filed_by' ->> 'id'), opened_at)
    WHERE view -> 'facts' -> 'filed_by' ->> 'id' IS NOT NULL;
