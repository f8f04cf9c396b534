"""The kinds of case, by the name that stands in workflow ids."""

from __future__ import annotations

from cases.case import Case
from cases.claim import Claim
from cases.complaint import Complaint
from cases.exception_report import ExceptionReport
from cases.handover import Handover
from cases.inquiry import Inquiry
from cases.shift_swap import ShiftSwap
from cases.summary import Summary

KINDS: dict[str, type[Case]] = {
    kind.KIND: kind for kind in (Complaint, Claim, ExceptionReport, Inquiry, Summary, Handover, ShiftSwap)
}
