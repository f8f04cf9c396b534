-- What the writer may do: exactly what the SQL of activities/ does, column by column. Run by the owner at the end of
-- every migration, which takes back before all that an earlier release gave.
--
-- Every table stands here, also one that the writer has no business with. A column that is not named is the database's
-- own: in the ledger the order of the events and their transaction, elsewhere ids and instants.
-- tests/activities/test_grants.py holds both ways: nothing that the SQL does is missing here, nothing else is granted.

-- The record: it grows, and nothing in it changes.
GRANT SELECT, INSERT (case_id, seq, type, at, recorded_at, body, prev_hash, hash) ON case_event TO caseladder_writer;
GRANT SELECT, INSERT (case_id, seq, field, salt, text), UPDATE (salt, text) ON case_text TO caseladder_writer;
GRANT SELECT, INSERT (case_id, first, seq, body) ON case_proof TO caseladder_writer;
GRANT SELECT, INSERT (kind, number, case_id) ON case_number_given TO caseladder_writer;
GRANT SELECT, INSERT (case_id, caller, role, masked, sitting, by_phone) ON personal_look TO caseladder_writer;
GRANT SELECT, INSERT (hash, name, document) ON policy TO caseladder_writer;
GRANT INSERT (case_id, seq, notice, roles, outcome, channel, at, id, meant, attempts, reasons, remarks), SELECT
    ON notification TO caseladder_writer;
GRANT SELECT, INSERT (swap, initiator, counterparty, months, moves, signed_at) ON shift_swap TO caseladder_writer;
GRANT SELECT, INSERT (number, envelope, peaks, leaves) ON checkpoint TO caseladder_writer;
GRANT SELECT, INSERT (number, response) ON checkpoint_timestamp TO caseladder_writer;
GRANT SELECT, INSERT (number, began_at) ON ledger_epoch TO caseladder_writer;

-- Read off the record, and what goes with it.
GRANT SELECT,
    INSERT (
        case_id, kind, number, numbered_later, status, rung, holder, unit, severity, policy, opened_at, updated_at,
        closed_at, next_due, breached, view, head_seq, head_hash, held_by),
    UPDATE (
        status, rung, holder, unit, severity, policy, opened_at, updated_at, closed_at, next_due, breached, view,
        head_seq, head_hash, held_by)
    ON case_file TO caseladder_writer;
GRANT SELECT, INSERT (case_id, waybill, parent, words), UPDATE (waybill, parent, words)
    ON case_search TO caseladder_writer;
GRANT SELECT, INSERT (case_id, words), UPDATE (words), DELETE ON personal_search TO caseladder_writer;
GRANT SELECT ON search_fold TO caseladder_writer;
GRANT SELECT, INSERT (kind, year, month, serial), UPDATE (serial) ON case_number TO caseladder_writer;
GRANT SELECT, INSERT (case_id, seq, request_id, salt, digest), UPDATE (seq, salt, digest), DELETE
    ON case_request TO caseladder_writer;
GRANT SELECT, INSERT (case_id, facts, salt, intake_salt, intake_digest, phone_hash),
    UPDATE (facts, salt, intake_salt, intake_digest, phone_hash, erased_at)
    ON personal TO caseladder_writer;
GRANT SELECT, INSERT (one), DELETE ON casebook_recovery TO caseladder_writer;
GRANT SELECT, INSERT (case_id, number, seq, hash), UPDATE (number, seq, hash) ON checkpoint_head TO caseladder_writer;
GRANT SELECT, INSERT (place, number), UPDATE (number, at) ON checkpoint_place TO caseladder_writer;

-- Erasure.
GRANT SELECT, INSERT (message_id, case_id, direction, seq), DELETE ON customer_message TO caseladder_writer;
GRANT SELECT, INSERT (digest, state, content, files, outcome, handled_at),
    UPDATE (state, content, files, outcome, case_id, reason, handled_by, handled_at, try_at), DELETE
    ON incoming_message TO caseladder_writer;
GRANT SELECT, INSERT (why, asked_by, asked_role, asked_person, approved, decided_by, decided_role, decided_at),
    UPDATE (approved, decided_by, decided_role, decided_at)
    ON erasure TO caseladder_writer;
GRANT SELECT, INSERT (erasure, case_id, erased_at, refused), UPDATE (erased_at, refused, gone_at)
    ON erasure_case TO caseladder_writer;
GRANT SELECT, INSERT (case_id, reference, set_by), UPDATE (lifted_by, lifted_at) ON legal_hold TO caseladder_writer;

GRANT SELECT, INSERT (id, case_id, sha256, size), DELETE ON attachment TO caseladder_writer;

-- Payments.
GRANT SELECT, INSERT (key, case_id, amount, state, reference, requested_at, settled_at, gateway, payee),
    UPDATE (key, amount, state, reference, reason, settled_at, gateway, payee)
    ON payout TO caseladder_writer;
GRANT SELECT, INSERT (number, key, case_id, amount, booked_at, payee) ON payout_booking TO caseladder_writer;
GRANT SELECT, INSERT (token, case_id, details, salt), UPDATE (details, salt, erased_at) ON payee TO caseladder_writer;
GRANT EXECUTE ON FUNCTION payout_booking_raise(bigint) TO caseladder_writer;
GRANT EXECUTE ON FUNCTION case_file_number(text, integer, integer, integer) TO caseladder_writer;

-- People, working days, doors, subscribers.
GRANT SELECT, INSERT (id, name, parent), DELETE ON unit TO caseladder_writer;
GRANT SELECT, INSERT (id, name, role, unit, language, deputies, contacts, person), DELETE ON staff TO caseladder_writer;
GRANT SELECT, INSERT (person, starts_at, ends_at, case_id, seq), DELETE ON absence TO caseladder_writer;
GRANT SELECT, INSERT (id, person, starts_at, ends_at), UPDATE (person), DELETE ON shift TO caseladder_writer;
GRANT SELECT, UPDATE (version) ON directory_version TO caseladder_writer;
GRANT SELECT, INSERT (year, published), UPDATE (published, loaded_at) ON calendar_year TO caseladder_writer;
GRANT SELECT, INSERT (id, name, hash, role, scopes, units, customers), UPDATE (revoked_at, customers)
    ON api_key TO caseladder_writer;
GRANT SELECT, INSERT (key, person, kind, began_at, typed, customer_ref, phone_hash),
    UPDATE (changed_at, typed, customer_ref, phone_hash), DELETE
    ON draft TO caseladder_writer;
GRANT EXECUTE ON FUNCTION phone_hash(text) TO caseladder_writer;
GRANT SELECT, INSERT (id, expires_at), DELETE ON ended_session TO caseladder_writer;
GRANT SELECT, INSERT (person, name, page, query, unit), UPDATE (name, unit), DELETE ON saved_view TO caseladder_writer;
GRANT SELECT, INSERT (person, now_sort, notify, sound, seen_at), UPDATE (now_sort, notify, sound, seen_at)
    ON preference TO caseladder_writer;
GRANT SELECT, INSERT (caller, key, digest, salt), UPDATE (status, body), DELETE ON door_answer TO caseladder_writer;
GRANT SELECT, INSERT (id, url, types, kinds, secret, retry_for, tx, position, texts),
    UPDATE (state, secret, tx, position, pump, delivered_at, failing_since, last_error)
    ON subscription TO caseladder_writer;

-- The owner's own.
REVOKE ALL ON caseladder_version FROM caseladder_writer;
REVOKE ALL ON phone_key FROM caseladder_writer;
