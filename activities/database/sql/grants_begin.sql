-- Makes the writer if there is none, and takes back what it was granted before. Run by the owner before grants.sql.
DO $$
DECLARE
    owned regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'caseladder_writer') THEN
        BEGIN
            CREATE ROLE caseladder_writer NOLOGIN;
        EXCEPTION
            -- Roles are shared by all databases of a server: another one was migrated at this moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'there is no role caseladder_writer, and % may not create it: have an administrator run '
                    'CREATE ROLE caseladder_writer LOGIN PASSWORD ''...''', current_user;
        END;
    END IF;
    FOR owned IN
        SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
          AND pg_has_role(relowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM caseladder_writer',
                       (SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END FROM pg_class WHERE oid = owned),
                       owned);
    END LOOP;
    -- Where anybody may create things, a table or a function of the writer's could stand before one of the owner's.
    EXECUTE format('REVOKE CREATE ON SCHEMA %1$I FROM PUBLIC, caseladder_writer', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %1$I TO caseladder_writer', current_schema());
END
$$
