"""The kinds of case, by the name that stands in workflow ids."""

from __future__ import annotations

from cases.case import Case
from cases.kinds.claim import Claim
from cases.kinds.complaint import Complaint
from cases.kinds.exception_report import ExceptionReport
from cases.kinds.handover import Handover
from cases.kinds.inquiry import Inquiry
from cases.kinds.summary import Summary
from cases.kinds.swap import ShiftSwap

KINDS: dict[str, type[Case]] = {
    kind.KIND: kind for kind in (Complaint, Claim, ExceptionReport, Inquiry, Summary, Handover, ShiftSwap)
}
