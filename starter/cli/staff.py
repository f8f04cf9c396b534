"""The commands ``staff import|check|export|who`` and ``duty import|show``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter

from cases.directory import Shift, problems
from cases.vocabulary.addresses import FORMS, secure_address
from cases.vocabulary.refusals import Refused
from starter.cli import output, staff_files
from starter.cli.errors import BAD_INPUT, OK, BadInput, Failed, say
from starter.cli.options import STACK, StackOptions
from starter.cli.staff_files import Fault, Sheet, Stray

if TYPE_CHECKING:  # half a second to import
    from activities.database.database import Database
    from activities.events.outbound import Guard
    from activities.people.tables import Stored

app = App(name="staff", help="People: import, export and check them, ask who holds a rung.")
duty = App(name="duty", help="The duty roster: import it, show it.")

File = Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True)]
# The period that `duty show` shows without --to.
DEFAULT_PERIOD = timedelta(days=7)


@app.command(name="import")
async def import_(
    file: File,
    /,
    *,
    units: Path | None = None,
    absences: Path | None = None,
    policy: str = "default",
    options: StackOptions = STACK,
) -> int:
    """Put the people of a file in place of all that there are. With one bad line nothing is changed.

    Args:
        file: CSV with the columns id, name, role, unit, deputies, language, email, wecom, dingtalk, feishu,
            webhook, apprise, prefer; of these id, role and unit are needed. - reads stdin.
        units: CSV with id, name and parent, in place of all units; without it the units stay.
        absences: CSV with person, from and to, in place of all absences but those that forms asked for and that
            are not over; without it all stay.
        policy: in whose zone times without an offset are.
    """
    from activities.people.directory import DirectoryBook
    from activities.people.directory_changes import DirectoryChanges

    zone, roles = _zone(policy, options), _roles(options)
    files = _Files(file, units, absences, None, zone)
    async with options.database() as database:
        old = await DirectoryBook(database).stored()
        _refuse_faults([*files.faults(old, roles), *await files.private(_guard(options))])
        new = await DirectoryChanges(database).replace_people(
            files.people, units=files.units, absences=files.absences, roles=roles
        )
    before, after = {one.id: one for one in old.people}, {one.id: one for one in new.people}
    changes = {
        "people": len(after),
        "new": sorted(after.keys() - before.keys()),
        "changed": sorted(id for id in after.keys() & before.keys() if after[id] != before[id]),
        "gone": sorted(before.keys() - after.keys()),
        "units": len(new.units),
        "absences": len(new.absences),
    }
    if options.json:
        output.print_json(changes)
        return OK
    counts = ", ".join(f"{len(changes[name])} {name}" for name in ("new", "changed", "gone"))  # type: ignore[arg-type]
    output.line(f"people: {len(after)} ({counts}), units: {len(new.units)}, absences: {len(new.absences)}")
    if changes["gone"]:
        output.line(f"gone: {', '.join(sorted(before.keys() - after.keys()))}")
    return OK


@app.command
async def check(
    file: File,
    /,
    *,
    units: Path | None = None,
    absences: Path | None = None,
    roster: Path | None = None,
    policy: str = "default",
    options: StackOptions = STACK,
) -> int:
    """Say everything that is wrong with files, and store nothing. Exit code 2 if anything is.

    What is not given is taken from the casebook, as an import would find it; without one, only the files count.

    Args:
        file: CSV with people, as for import.
        units: CSV with units.
        absences: CSV with absences.
        roster: CSV with shifts, as for `duty import`.
        policy: in whose zone times without an offset are.
    """
    from activities.people.directory import DirectoryBook
    from activities.people.tables import Stored

    files = _Files(file, units, absences, roster, _zone(policy, options))
    note = ""
    try:
        async with options.database() as database:
            old = await DirectoryBook(database).stored()
    except Failed:
        old, note = Stored(), "no casebook at hand: only the files were checked"
    faults = [*files.faults(old, _roles(options)), *await files.private(_guard(options))]
    if options.json:
        output.print_json([one._asdict() for one in faults])
    elif faults:
        rows = [
            (one.file, one.line, one.column, one.message)
            if isinstance(one, Fault)
            else (one.where, "", "", one.message)
            for one in faults
        ]
        output.table(("file", "line", "column", "what is wrong"), rows)
    else:
        output.line(f"nothing is wrong: {output.count(len(files.people), 'line')} of people")
    if note and not options.json:
        output.line(note)
    if faults:
        say(f"{output.count(len(faults), 'fault')}; nothing was stored")
        return BAD_INPUT
    return OK


@app.command
async def export(
    target: Annotated[Path, Parameter(name="TARGET", allow_leading_hyphen=True)],
    /,
    *,
    policy: str = "default",
    options: StackOptions = STACK,
) -> int:
    """Write the directory as CSV files that can be imported again. They hold personal data.

    Args:
        target: a folder, which gets units.csv, staff.csv, absences.csv and roster.csv; or a file that ends in
            .csv, or - for stdout, for the people alone.
        policy: in whose zone times are written.
    """
    from activities.people.directory import DirectoryBook

    zone = _zone(policy, options)
    async with options.database() as database:
        found = await DirectoryBook(database).read()
    if str(target) == "-":
        print(staff_files.staff_csv(found.people), end="")
        return OK
    if target.suffix == ".csv":
        files = {target: staff_files.staff_csv(found.people)}
    else:
        files = {
            target / "units.csv": staff_files.units_csv(found.units),
            target / "staff.csv": staff_files.staff_csv(found.people),
            target / "absences.csv": staff_files.absences_csv(found.absences, zone),
            target / "roster.csv": staff_files.roster_csv(found.shifts, zone),
        }
        target.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        staff_files.write(file, text)
    if options.json:
        output.print_json([str(file) for file in files])
    else:
        output.line(f"written: {', '.join(map(str, files))}")
    return OK


@app.command
async def who(
    role: str,
    /,
    *,
    unit: str | None = None,
    at: str | None = None,
    policy: str = "default",
    options: StackOptions = STACK,
) -> int:
    """Show who holds a rung, and why; and who is told next if that person cannot be reached.

    Args:
        role: for example supervisor.
        unit: of the case; without it headquarters.
        at: when, for example 2026-03-10T09:00 or 2026-03-10T09:00:00+08:00; without it now.
        policy: in whose zone times are.
    """
    from activities.people.directory import DirectoryBook

    zone = _zone(policy, options)
    when = (_time(at, "--at", zone) or datetime.now(UTC)).astimezone(zone)
    roles = _roles(options)
    if role not in roles:
        raise BadInput(f"ROLE = {role!r}: not a known role; allowed: {', '.join(sorted(roles))}")
    async with options.database() as database:
        found = await DirectoryBook(database).read()
    line = found.line(role, unit, when)
    if options.json:
        plain = [
            {
                "person": answer.person and answer.person.id,
                "why": answer.why,
                "acts_for": answer.acts_for,
                "unit": answer.unit,
                "because": answer.because,
            }
            for answer in line
        ]
        output.print_json({**plain[0], "next": plain[1:]})
        return OK
    first, *others = line
    output.line(f"{first.person.id if first.person else 'nobody'} ({_because(first.why, first.acts_for)})")
    for step in first.because:
        output.line(f"  {step}")
    if others:
        rows = [
            (number, one.person and one.person.id, _because(one.why, one.acts_for), one.because[-1])
            for number, one in enumerate(others, 2)
        ]
        output.table(("", "then", "why", "who is"), rows)
    return OK


@duty.command(name="import")
async def import_roster(
    file: File,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    policy: str = "default",
    options: StackOptions = STACK,
) -> int:
    """Put the shifts of a file in place of those that begin in its period. With one bad line nothing is changed.

    The end of each shift is waited for, so that it is handed over (see `handover`).

    Args:
        file: CSV with the columns id, person, from and to; - reads stdin.
        from_: where the period begins; without it, with the first shift of the file.
        to: where the period ends; without it, with the last shift of the file.
        policy: in whose zone times without an offset are, and by which the shifts are handed over.
    """
    from activities.people.directory import DirectoryBook
    from activities.people.directory_changes import DirectoryChanges

    zone = _zone(policy, options)
    sheet = staff_files.read_roster(file, zone)
    period = _period(sheet, _time(from_, "--from", zone), _time(to, "--to", zone))
    async with options.database() as database:
        old = await DirectoryBook(database).stored()
        new = old.with_shifts(sheet.entries, period)
        _refuse_faults(staff_files.faults([sheet], problems(new.units, new.people, new.absences, new.shifts)))
        await DirectoryChanges(database).replace_shifts(sheet.entries, period=period)
    replaced = len(old.shifts) + len(sheet.entries) - len(new.shifts)
    begins, ends = (moment.astimezone(zone).isoformat() for moment in period)
    planned = await _plan_handovers(sheet.entries, policy, options)
    if options.json:
        imported = {"shifts": len(sheet.entries), "replaced": replaced, "from": begins, "to": ends}
        output.print_json({**imported, "handovers": planned})
    else:
        output.line(
            f"shifts: {len(sheet.entries)}, in place of {replaced} that began from {output.instant(begins)}"
            f" to before {output.instant(ends)}"
        )
    return OK


async def _plan_handovers(shifts: Sequence[Shift], policy: str, options: StackOptions) -> int | None:
    """Start the workflows that wait for the ends of shifts.

    Returns:
        How many workflows wait, or None if no Temporal server answers.
    """
    if not any(shift.ends_at > datetime.now(UTC) for shift in shifts):
        return 0
    from starter.connection import Unreachable, connect
    from starter.handover import plan_handovers

    try:
        return await plan_handovers(await connect(options.settings().data), shifts, policy)
    except Unreachable as error:
        say(f"the roster is stored, but nobody waits for handovers; import it again then: {error}")
        return None


@duty.command
async def show(
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    unit: str | None = None,
    policy: str = "default",
    options: StackOptions = STACK,
) -> int:
    """Show who is on duty when; without times, from now on for a week.

    Args:
        from_: shifts that end after this.
        to: shifts that begin before this.
        unit: only people of this unit and those below it.
        policy: in whose zone times are.
    """
    from activities.people.directory import DirectoryBook

    zone = _zone(policy, options)
    begins = _time(from_, "--from", zone) or datetime.now(UTC)
    ends = _time(to, "--to", zone) or begins + DEFAULT_PERIOD
    if ends <= begins:
        raise BadInput(f"--to = {ends.isoformat()}: not after --from = {begins.isoformat()}")
    async with options.database() as database:
        found = await DirectoryBook(database).read()
    units = None if unit is None else found.units_under(unit)
    rows = []
    for shift in sorted(found.shifts, key=lambda one: (one.starts_at, one.id)):
        person = found.person(shift.person)
        if person is None or shift.ends_at <= begins or shift.starts_at >= ends:
            continue
        if units is None or person.unit in units:
            rows.append(
                {
                    "id": shift.id,
                    "person": person.id,
                    "role": person.role,
                    "unit": person.unit,
                    "from": shift.starts_at.astimezone(zone).isoformat(),
                    "to": shift.ends_at.astimezone(zone).isoformat(),
                    "absent": any(
                        one.person == person.id and one.starts_at < shift.ends_at and shift.starts_at < one.ends_at
                        for one in found.absences
                    ),
                }
            )
    if options.json:
        output.print_json(rows)
        return OK
    output.table(
        ("shift", "person", "role", "unit", "from", "to", ""),
        [
            (
                *(row[name] for name in ("id", "person", "role", "unit")),
                output.instant(str(row["from"])),
                output.instant(str(row["to"])),
                "absent" if row["absent"] else "",
            )
            for row in rows
        ],
    )
    return OK


class _Files:
    """The files of one command, read but not yet stored."""

    def __init__(
        self, file: Path, units: Path | None, absences: Path | None, roster: Path | None, zone: ZoneInfo
    ) -> None:
        self._units = None if units is None else staff_files.read_units(units)
        self._people = staff_files.read_staff(file)
        self._absences = None if absences is None else staff_files.read_absences(absences, zone)
        self._roster = None if roster is None else staff_files.read_roster(roster, zone)
        self.people = self._people.entries
        self.units = None if self._units is None else self._units.entries
        self.absences = None if self._absences is None else self._absences.entries

    def faults(self, old: Stored, roles: frozenset[str]) -> list[Fault | Stray]:
        """List the faults of the files and of the directory that storing them would make.

        Args:
            old: the directory as it is stored.
            roles: the known roles.

        Raises:
            Refused: a person who is missing from the files is still on the roster.
        """
        sheets: list[Sheet[Any]] = [one for one in (self._units, self._people, self._absences, self._roster) if one]
        try:
            new = old.with_people(self.people, self.units, self.absences, datetime.now(UTC))
        except Refused:
            # The person may be missing only because their line has a fault.
            if any(sheet.faults for sheet in sheets):
                return staff_files.faults(sheets, ())
            raise
        if self._roster is not None and self._roster.entries:
            new = new.with_shifts(self._roster.entries, _period(self._roster, None, None))
        return staff_files.faults(sheets, problems(new.units, new.people, new.absences, new.shifts, roles))

    async def private(self, guard: Guard) -> list[Fault]:
        """List the addresses of people that lead where notices may not go; a host that is not known may be later."""
        from activities.events.outbound import PATIENCE, PrivateAddress, UnknownHost

        async def leads_there(host: str) -> bool:
            try:
                async with asyncio.timeout(PATIENCE):
                    await guard.addresses(host, 443)
            except PrivateAddress:
                return True
            except (UnknownHost, TimeoutError):
                pass
            return False

        addresses = [
            (line, channel, urlsplit(address).hostname or "")
            for person, line in zip(self._people.entries, self._people.lines, strict=True)
            for channel, address in person.contacts.items()
            if FORMS[channel] is secure_address
        ]
        hosts = sorted({host for *_, host in addresses})
        private = {
            host for host, there in zip(hosts, await asyncio.gather(*map(leads_there, hosts)), strict=True) if there
        }
        message = "it leads to a network that is not public; notices may not go there (CASELADDER_PRIVATE_SUBSCRIBERS)"
        return [
            Fault(self._people.file, line, channel, message) for line, channel, host in addresses if host in private
        ]


def _guard(options: StackOptions) -> Guard:
    from activities.events.outbound import Guard

    return Guard(options.settings().private_subscribers)


def _refuse_faults(faults: Sequence[Fault | Stray]) -> None:
    if faults:
        raise BadInput("; ".join(map(str, faults)))


def _period(sheet: Sheet[Any], begins: datetime | None, ends: datetime | None) -> tuple[datetime, datetime]:
    """Return the period that a roster replaces; a shift that begins outside of it is added to the sheet's faults.

    Args:
        sheet: the roster.
        begins: the begin of the period; None for that of the first shift.
        ends: the end of the period; None for that of the last shift.

    Raises:
        BadInput: the period ends before it begins, or the roster is empty and the period is not given.
    """
    if begins is not None and ends is not None and ends <= begins:
        raise BadInput(f"--to = {ends.isoformat()}: not after --from = {begins.isoformat()}")
    if not sheet.entries and not sheet.faults and (begins is None or ends is None):
        raise BadInput(f"{sheet.file}: holds no shift; to empty a period, give --from and --to")
    starts = [shift.starts_at for shift in sheet.entries]
    begins = begins or min(starts, default=datetime.max.replace(tzinfo=UTC))
    ends = ends or max((shift.ends_at for shift in sheet.entries), default=begins)
    for start, line in zip(starts, sheet.lines, strict=True):
        if not begins <= start < ends:
            message = f"{start.isoformat()} lies outside the period from {begins.isoformat()} to {ends.isoformat()}"
            sheet.faults.append(Fault(sheet.file, line, "from", message))
    return begins, ends


def _time(text: str | None, option: str, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    try:
        return staff_files.read_time(text, zone)
    except ValueError as error:
        raise BadInput(f"{option} = {error}") from None


def _zone(policy: str, options: StackOptions) -> ZoneInfo:
    from activities.policies.store import Policies

    return ZoneInfo(Policies(options.settings().policies).load(policy).zone)


def _roles(options: StackOptions) -> frozenset[str]:
    """Collect the roles of all policies, since a person may be on the ladder of any of them."""
    from activities.policies.store import Policies

    policies = Policies(options.settings().policies)
    return frozenset(role for name in policies.names() for role in policies.load(name).all_roles)


def _because(why: str, acts_for: str | None) -> str:
    return f"deputy of {acts_for}" if acts_for else why.replace("_", " ")


async def import_sample(folder: Path, database: Database) -> bool:
    """Import the staff of a folder of samples if the directory is empty.

    Returns:
        Whether anything was imported.
    """
    from activities.people.directory import DirectoryBook
    from activities.people.directory_changes import DirectoryChanges

    if not (folder / "staff.csv").is_file():
        return False
    stored = await DirectoryBook(database).stored()
    if stored.people or stored.units:
        return False
    units, people = staff_files.read_units(folder / "units.csv"), staff_files.read_staff(folder / "staff.csv")
    _refuse_faults(staff_files.faults([units, people], problems(units.entries, people.entries, (), ())))
    await DirectoryChanges(database).replace_people(people.entries, units=units.entries)
    return True
