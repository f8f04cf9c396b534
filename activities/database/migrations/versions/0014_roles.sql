-- What a writer that owns nothing needs to do to a counter. The rights of the writer: activities/database/sql/grants.sql.

-- Runs as the owner. Its body is parsed here, so no name in it is looked up where the caller says.
CREATE FUNCTION payout_booking_raise(number bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    RETURN setval(
        'payout_booking_number_seq'::regclass,
        greatest(pg_sequence_last_value('payout_booking_number_seq'::regclass), number));
REVOKE ALL ON FUNCTION payout_booking_raise(bigint) FROM PUBLIC;
COMMENT ON FUNCTION payout_booking_raise(bigint) IS 'No later booking gets a number up to this one. It never goes back.';
