"""The role that only writes: what it is granted is what the SQL of the activities does, and what it cannot do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import chain
from pathlib import Path

import asyncpg
import pytest

import activities
from activities.database import WRITER
from activities.database.database import Database, statement
from activities.database.errors import MigrationFailed, TooPowerful
from activities.database.migrate import migrate
from tests.activities.ledger import CASE, batch
from tests.casebook import open_book
from tests.postgres import Cluster, as_writer, cluster

ROOT = Path(activities.__file__).parent
GRANTS = (ROOT / "database" / "sql" / "grants.sql").read_text("utf-8")
# Run by the owner alone.
OF_THE_OWNER = ("grants", "grants_begin", "beyond_writing", "recovery_leap")
# What triggers do in the name of whoever changed a table (0004_people.sql, 0007_desk.sql, 0026_find.sql).
OF_TRIGGERS = (
    "UPDATE directory_version SET version = version + 1",
    "INSERT INTO case_search (case_id, waybill, parent, words) VALUES ('', '', '', '') ON CONFLICT (case_id) "
    "DO UPDATE SET waybill = excluded.waybill, parent = excluded.parent, words = excluded.words",
    "INSERT INTO personal_search (case_id, words) VALUES ('', '') ON CONFLICT (case_id) "
    "DO UPDATE SET words = excluded.words",
    "DELETE FROM personal_search WHERE case_id = ''",
    "SELECT written, read FROM search_fold",
)


def statements() -> Iterator[str]:
    """Every statement that the activities run, as a text that PostgreSQL can plan."""
    for file in sorted(ROOT.glob("*/sql/*.sql")):
        if file.stem not in OF_THE_OWNER:
            # Only searches have a place for a condition, and for the words of many.
            sql = file.read_text("utf-8").replace("{where}", "true").replace("{own}", "")
            yield sql.replace("{words}", "''").replace("{read}", "ARRAY['']")
    yield from OF_TRIGGERS


@pytest.fixture(scope="module")
async def address(postgres: Cluster) -> str:
    made = await postgres.fresh_database()
    await migrate(made)
    return made


@pytest.fixture(scope="module")
async def owner(address: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(address)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def writer(address: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(as_writer(address))
    yield connection
    await connection.close()


# --- what is granted --------------------------------------------------------------------------------


async def test_every_table_and_every_function_of_the_owner_has_a_stated_grant(owner: asyncpg.Connection) -> None:
    there = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
        " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    )
    stated = re.findall(r"\bON (?:FUNCTION )?(\w+)", re.sub("--.*", "", GRANTS))
    assert len(stated) == len(set(stated)), "a table stands twice"
    assert sorted(row[0] for row in there) == sorted(stated)


async def test_the_writer_may_do_what_the_sql_does(writer: asyncpg.Connection) -> None:
    """EXPLAIN asks for the rights of a statement and does nothing."""
    for sql in statements():
        await writer.execute(f"EXPLAIN (GENERIC_PLAN) {sql}")


async def test_the_writer_is_granted_nothing_that_no_sql_does(
    owner: asyncpg.Connection, writer: asyncpg.Connection
) -> None:
    columns = await owner.fetch(
        "SELECT attrelid::regclass::text, attname, acl.privilege_type FROM pg_attribute, aclexplode(attacl) AS acl"
        " WHERE acl.grantee = $1::text::regrole",
        WRITER,
    )
    tables = await owner.fetch(
        "SELECT oid::regclass::text, '', acl.privilege_type FROM pg_class, aclexplode(relacl) AS acl"
        " WHERE acl.grantee = $1::text::regrole",
        WRITER,
    )
    assert len(columns) > 100
    unused = []
    for table, column, right in chain(tables, columns):
        # Rights of tables and of columns are taken back for a moment, one at a time.
        what = f"{right} ({column})" if column else right
        await owner.execute(f"REVOKE {what} ON {table} FROM {WRITER}")
        if not await _is_missed(writer, table):
            unused.append(f"{what} ON {table}")
        await owner.execute(f"GRANT {what} ON {table} TO {WRITER}")
    assert unused == []
    functions = await owner.fetch(
        "SELECT proname FROM pg_proc, aclexplode(proacl) AS acl WHERE acl.grantee = $1::text::regrole", WRITER
    )
    assert sorted(row[0] for row in functions) == ["case_file_number", "payout_booking_raise", "phone_hash"]


async def _is_missed(writer: asyncpg.Connection, table: str) -> bool:
    for sql in statements():
        if re.search(rf"\b{table}\b", sql):
            try:
                await writer.execute(f"EXPLAIN (GENERIC_PLAN) {sql}")
            except asyncpg.InsufficientPrivilegeError:
                return True
    return False


async def test_a_migration_takes_back_what_it_does_not_grant(owner: asyncpg.Connection, address: str) -> None:
    await owner.execute(f"GRANT ALL ON case_event, caseladder_version TO {WRITER}")
    await owner.execute(f"GRANT UPDATE (tx) ON case_event TO {WRITER}")
    await owner.execute(f"GRANT ALL ON SEQUENCE case_event_position_seq TO {WRITER}")
    await owner.execute(f"GRANT CREATE ON SCHEMA public TO PUBLIC, {WRITER}")
    async with Database.open(as_writer(address), only_writes=True) as database:
        with pytest.raises(TooPowerful, match=f"{WRITER} may change the ledger"):
            await database.check_role()
        await migrate(address)
        await database.check_role()
    assert await owner.fetchval(
        "SELECT count(*) FROM pg_class, aclexplode(relacl) AS acl WHERE acl.grantee = $1::text::regrole"
        " AND relname IN ('case_event_position_seq', 'caseladder_version')",
        WRITER,
    ) == 0  # fmt: skip


# --- what it cannot do ------------------------------------------------------------------------------

ROW = "('complaint:X', 1, 'noted', now(), now(), '{}', sha256('x'), sha256('x')"
COLUMNS = "case_id, seq, type, at, recorded_at, body, prev_hash, hash"
ATTACKS = {
    "change": "UPDATE case_event SET body = '{}'",
    "change nothing": "UPDATE case_event SET body = '{}' WHERE false",
    "remove": "DELETE FROM case_event",
    "empty": "TRUNCATE case_event",
    "put in its place": f"INSERT INTO case_event ({COLUMNS}) VALUES {ROW}) ON CONFLICT (case_id, seq) "
    "DO UPDATE SET body = '{}'",
    "merge": "MERGE INTO case_event AS e USING case_file AS f ON f.case_id = e.case_id WHEN MATCHED THEN DELETE",
    "an order of its own": f"INSERT INTO case_event ({COLUMNS}, position) VALUES {ROW}, 1)",
    "an order against the system": f"INSERT INTO case_event ({COLUMNS}, position) OVERRIDING SYSTEM VALUE "
    f"VALUES {ROW}, 1)",
    "a transaction of its own": f"INSERT INTO case_event ({COLUMNS}, tx) VALUES {ROW}, 1)",
    "all columns": f"INSERT INTO case_event VALUES {ROW}, 1, 1)",
    "copy": "COPY case_event FROM STDIN",
    "lock rows": "SELECT * FROM case_event FOR UPDATE",
    "lock": "DO 'BEGIN LOCK TABLE case_event IN ACCESS EXCLUSIVE MODE; END'",
    "trigger off": "ALTER TABLE case_event DISABLE TRIGGER case_event_append_only",
    "all triggers off": "ALTER TABLE case_event DISABLE TRIGGER ALL",
    "trigger gone": "DROP TRIGGER case_event_append_only ON case_event",
    "trigger changed": "CREATE OR REPLACE FUNCTION case_event_is_append_only() RETURNS trigger LANGUAGE plpgsql "
    "AS 'BEGIN RETURN NULL; END'",
    "a trigger of its own": "CREATE TRIGGER mine BEFORE INSERT ON case_event FOR EACH ROW "
    "EXECUTE FUNCTION case_event_is_append_only()",
    "a rule": "CREATE RULE mine AS ON INSERT TO case_event DO INSTEAD NOTHING",
    "shift of the order": "CREATE OR REPLACE FUNCTION case_event_shift() RETURNS bigint LANGUAGE sql STABLE RETURN 9",
    "another owner": f"ALTER TABLE case_event OWNER TO {WRITER}",
    "a column": "ALTER TABLE case_event ADD COLUMN more text",
    "gone": "DROP TABLE case_event",
    "replica": "SET session_replication_role = replica",
    "replica for ever": f"ALTER ROLE {WRITER} SET session_replication_role = replica",
    "become the owner": "SET ROLE postgres",
    "log in as the owner": "SET SESSION AUTHORIZATION postgres",
    "a superuser": f"ALTER ROLE {WRITER} SUPERUSER",
    "a member": f"GRANT postgres TO {WRITER}",
    "a role": "CREATE ROLE mine SUPERUSER",
    "passwords": "SELECT rolpassword FROM pg_authid",
    "passwords again": "SELECT passwd FROM pg_shadow",
    "the next position": "SELECT nextval('case_event_position_seq')",
    "set the position": "SELECT setval('case_event_position_seq', 1)",
    "set the booking": "SELECT setval('payout_booking_number_seq', 1)",
    "set the look": "SELECT setval('personal_look_id_seq', 1)",
    "a function before ours": "CREATE FUNCTION public.case_event_tx(xid8) RETURNS bigint LANGUAGE sql RETURN 1",
    "a function before the system's": "CREATE FUNCTION public.sha256(text) RETURNS bytea LANGUAGE sql RETURN ''::bytea",
    "a table": "CREATE TABLE public.mine ()",
    "a schema": "CREATE SCHEMA mine",
    "a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "a file": "SELECT pg_read_file('PG_VERSION')",
    "settings": "ALTER SYSTEM SET fsync = off",
    "the version": "UPDATE caseladder_version SET version_num = '0'",
    "read the version": "SELECT * FROM caseladder_version",
    "change a look": "UPDATE personal_look SET caller = 'nobody'",
    "remove a look": "DELETE FROM personal_look",
    "date a look": "INSERT INTO personal_look (case_id, caller, role, masked, at) VALUES ('', '', '', true, now())",
    "change a number given": "UPDATE case_number_given SET number = ''",
    "remove a case": "DELETE FROM case_file",
    "renumber a case": "UPDATE case_file SET number = ''",
    "change a notice": "UPDATE notification SET outcome = 'sent'",
    "change a policy": "UPDATE policy SET document = ''",
    "a text of another event": "UPDATE case_text SET seq = 1",
    "remove a payout": "DELETE FROM payout",
    "a payout of another case": "UPDATE payout SET case_id = ''",
    "a payee of another case": "UPDATE payee SET case_id = ''",
    "remove a payee": "DELETE FROM payee",
    "a booking changed": "UPDATE payout_booking SET amount = 1",
}


@pytest.mark.parametrize("sql", ATTACKS.values(), ids=ATTACKS.keys())
async def test_the_writer_is_refused(writer: asyncpg.Connection, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute(sql)


async def test_the_writer_gives_itself_nothing(writer: asyncpg.Connection) -> None:
    """PostgreSQL answers this with a warning."""
    await writer.execute(f"GRANT UPDATE, DELETE ON case_event TO {WRITER}; GRANT ALL ON case_event TO PUBLIC")
    assert not await writer.fetchval("SELECT has_table_privilege('case_event', 'UPDATE, DELETE, TRUNCATE, TRIGGER')")
    assert not await writer.fetchval("SELECT has_any_column_privilege('case_event', 'UPDATE')")


async def test_a_sequence_of_bookings_never_goes_back(writer: asyncpg.Connection) -> None:
    assert await writer.fetchval("SELECT payout_booking_raise(5)") == 5
    assert await writer.fetchval("SELECT payout_booking_raise(3)") == 5


async def test_functions_of_the_owner_look_up_nothing_where_the_writer_says(writer: asyncpg.Connection) -> None:
    """A table of the session's own stands before the owner's, but not within what runs as the owner."""
    async with _undone(writer):
        await writer.execute("CREATE TEMP SEQUENCE payout_booking_number_seq; SET LOCAL search_path = pg_temp, public")
        raised = await writer.fetchval("SELECT payout_booking_raise(7)")
        assert await writer.fetchval("SELECT payout_booking_raise(1)") == raised
        assert await writer.fetchval("SELECT last_value FROM pg_temp.payout_booking_number_seq") == 1


async def test_the_chain_of_looks_is_led_astray_by_no_table_of_the_session(writer: asyncpg.Connection) -> None:
    look = (
        "INSERT INTO public.personal_look (case_id, caller, role, masked) VALUES ('', '', '', true) RETURNING id, hash"
    )
    async with _undone(writer):
        await writer.execute("CREATE TEMP TABLE personal_look (id bigint, hash bytea)")
        await writer.execute("INSERT INTO pg_temp.personal_look VALUES (1000000000000, 'x')")
        first, second = await writer.fetchrow(look), await writer.fetchrow(look)
        assert second["id"] == first["id"] + 1 < 1_000_000
        await writer.execute("DROP TABLE pg_temp.personal_look")
        rows = await writer.fetch("SELECT * FROM public.personal_look ORDER BY id")
        last = rows[-2]["hash"] if len(rows) > 1 else b""
        hash = "SELECT personal_look_hash($1, $2, '', '', '', true, $3)"
        assert await writer.fetchval(hash, last, second["id"], rows[-1]["at"]) == second["hash"]


async def test_order_and_transaction_are_the_database_s_own(address: str, owner: asyncpg.Connection) -> None:
    async with open_book(address) as book:
        await book.record(batch(1, 3))
    rows = await owner.fetch("SELECT seq, tx, position FROM case_event WHERE case_id = $1 ORDER BY seq", CASE)
    assert len({row["tx"] for row in rows}) == 1
    assert [row["position"] for row in rows] == sorted(row["position"] for row in rows)


@asynccontextmanager
async def _undone(connection: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


# --- who may not be the writer ------------------------------------------------------------------------

POWERFUL = {
    "a superuser": ("SUPERUSER", "SELECT", "powerful is a superuser"),
    "one who makes roles": ("CREATEROLE", "SELECT", "powerful may create roles"),
    "one who replicates": ("REPLICATION", "SELECT", "powerful may replicate"),
    "one who owns a table": ("", "CREATE TABLE own (); ALTER TABLE own OWNER TO powerful", "owns a table of the"),
    "one who may become the owner": ("NOINHERIT", "GRANT postgres TO powerful", "postgres is a superuser"),
    "one who may change a column": ("", "GRANT UPDATE (body) ON case_event TO powerful", "may change the ledger"),
    "one who may remove": ("", "GRANT DELETE ON case_event TO powerful", "may change the ledger"),
    "one who may add triggers": ("", "GRANT TRIGGER ON case_event TO powerful", "may change the ledger"),
    "one who may set the order": ("", "GRANT INSERT ON case_event TO powerful", "may order the ledger"),
    "one who may change all": ("", "GRANT pg_write_all_data TO powerful", "may change the ledger"),
    "one who may create": ("", "GRANT CREATE ON SCHEMA public TO powerful", "may create in the schema public"),
    "one who runs programs": ("", "GRANT pg_execute_server_program TO powerful", "reaches the files of the server"),
    "the owner of the database": ("", "ALTER DATABASE {} OWNER TO powerful", "powerful owns the database"),
}


@pytest.mark.parametrize(("options", "sql", "said"), POWERFUL.values(), ids=POWERFUL.keys())
async def test_nothing_is_done_as_who_may_do_more(postgres: Cluster, options: str, sql: str, said: str) -> None:
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute(f"CREATE ROLE powerful LOGIN {options} IN ROLE {WRITER}")
        await owner.execute(sql.format(dsn.rpartition("/")[2]))
        with pytest.raises(TooPowerful, match=said) as refused:
            async with open_book(dsn.replace("postgres@", "powerful@")) as book:
                await book.record(batch(1, 1))
        assert "CASELADDER_DATABASE_OWNER_URL" in refused.value.message
        assert await owner.fetchval("SELECT count(*) FROM case_event") == 0
    finally:
        with suppress(asyncpg.PostgresError):
            await owner.execute("REASSIGN OWNED BY powerful TO postgres")
        await owner.execute("DROP OWNED BY powerful; DROP ROLE powerful")
        await owner.close()


async def test_a_database_that_is_away_is_looked_at_once_it_serves(postgres: Cluster) -> None:
    async with Database.open("postgresql://nobody@127.0.0.1:1/x", only_writes=True) as away:
        await away.check_role()
    async with Database.open(await postgres.fresh_database(), only_writes=True) as unmigrated:
        with pytest.raises(TooPowerful, match="postgres is a superuser"):
            async with unmigrated.connection():
                pass


async def test_a_member_of_the_writer_writes(postgres: Cluster, address: str) -> None:
    """So that a password can be changed without a pause: a second member, then the first one goes."""
    owner = await asyncpg.connect(address)
    await owner.execute(f"CREATE ROLE member LOGIN IN ROLE {WRITER}")
    try:
        async with open_book(address.replace("postgres@", "member@")) as book:
            await book.record(batch(1, 1, "complaint:by-a-member"))
    finally:
        await owner.execute("DROP ROLE member")
        await owner.close()


async def test_an_owner_that_is_no_superuser_migrates_and_makes_the_writer() -> None:
    with cluster() as own:
        root = await asyncpg.connect(own.dsn())
        await root.execute("CREATE ROLE keeper LOGIN")
        await root.execute("CREATE DATABASE cases OWNER keeper")
        dsn = own.dsn("cases", "keeper")
        with pytest.raises(MigrationFailed, match=rf"no role {WRITER}, and keeper may not create it: .* CREATE ROLE"):
            await migrate(dsn)
        await root.execute("ALTER ROLE keeper CREATEROLE")
        await migrate(dsn)
        assert not await root.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", WRITER)
        # Once it is there, nobody needs the right to make it.
        await root.execute(f"ALTER ROLE keeper NOCREATEROLE; ALTER ROLE {WRITER} LOGIN")
        await migrate(dsn)
        async with open_book(own.dsn("cases", WRITER)) as book:
            await book.record(batch(1, 2))
            assert (await book.verify()).ok
        async with open_book(dsn) as book:
            with pytest.raises(TooPowerful, match="keeper owns"):
                await book.case(CASE)
        await root.close()


def test_the_look_at_the_role_is_one_statement() -> None:
    """It is made with every connection."""
    assert statement("activities.database", "beyond_writing").count(";") == 1
