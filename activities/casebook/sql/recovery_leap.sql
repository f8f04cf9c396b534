-- Let the order of reading go on behind every position that was ever given, also by states of the ledger that are no more:
-- from here on it counts from the microseconds since 1970, which no server's count of transactions overtakes.
DO $$
BEGIN
    LOCK TABLE case_event IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION case_event_shift() RETURNS bigint LANGUAGE sql STABLE RETURN %s::bigint',
        greatest(
            case_event_shift(),
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - pg_current_xact_id()::text::bigint));
END
$$
