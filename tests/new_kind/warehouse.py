"""A warehouse request (仓储申请): goods that arrived are put into store within two hours.

This module is all the code of the kind. Imported before anything else, it is there as if it were one of
``cases/kinds`` with its line in ``cases/registry.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from cases import registry
from cases.case import Case, by_name
from cases.policy.tables import KindTable
from cases.vocabulary.commands import EVERY_KIND, Command
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.facts import Facts, Intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Instant, Money, PositiveYuan, Text, Yuan
from cases.vocabulary.views import CaseView


class WarehouseFacts(Facts):
    """A warehouse request: ``goods_value`` in yuan."""

    storage: Literal["dry", "cold"]
    goods_value: Yuan | None = None
    arrived_at: Instant | None = None


class WarehouseIntake(Intake):
    """Input of the workflow ``WarehouseRequest``."""

    facts: WarehouseFacts


class WarehouseTable(KindTable):
    """The numbers of warehouse requests."""

    CLOCKS = ("storing", "promise", "approval")


class StoreGoods(Command):
    """The goods are in store; the fee in yuan."""

    NAME = "store_goods"
    SERVES: ClassVar[frozenset[str]] = frozenset({"storing"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"shelf": "C-12", "storage_fee": "35.00"}
    shelf: Text
    storage_fee: PositiveYuan
    sealed: bool = True


class GoodsStored(EventData):
    """The goods were put into store, for a fee in yuan."""

    TYPE: ClassVar[str] = "goods_stored"
    shelf: str
    storage_fee: Money
    sealed: bool


class WarehouseView(CaseView):
    """A warehouse request as it stands; the fee in yuan."""

    storage_fee: Money | None


class WarehouseRequest(Case):
    """Goods wait to be put into store, and a breach brings in the supervisor."""

    KIND = "warehouse"
    WORKFLOW = "WarehouseRequest"
    INTAKE = WarehouseIntake
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"key": "dock-2026-7", "facts": {"storage": "cold", "goods_value": "900.00"}}
    TABLE = WarehouseTable
    COMMANDS: ClassVar[dict[str, type[Command]]] = by_name(*EVERY_KIND, StoreGoods)
    VIEW = WarehouseView
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset({"warehouse_keeper"})
    ABOUT = "storage"
    MONEY: ClassVar[Mapping[str, str]] = {"storage_fee": "storage_fee"}

    def __init__(self, policy: Any) -> None:
        super().__init__(policy)
        self.storage_fee: Decimal | None = None

    def _start_clocks(self, at: datetime) -> None:
        self.clocks.start("storing", at)

    def _may_store_goods(self, by: Actor, at: datetime) -> None:
        if self.storage_fee is not None:
            raise Refused("already_stored", "store_goods: the goods are in store already", "INVENTED")

    def _do_store_goods(self, command: StoreGoods, at: datetime, by: Actor) -> None:
        data = GoodsStored(shelf=command.shelf, storage_fee=command.storage_fee, sealed=command.sealed)
        self.emit(data, at, by=by, clauses=("INVENTED",))
        self.clocks.meet(at, "storing")

    def _on_goods_stored(self, data: GoodsStored, event: Event) -> None:
        self.storage_fee = data.storage_fee

    def _view(self) -> dict[str, Any]:
        return {**super()._view(), "storage_fee": self.storage_fee}


registry.declare(WarehouseRequest)
